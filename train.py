"""Train a model: weights from scratch, from a backbone, from a checkpoint, or on with a stopped run (--resume 1)."""

from src.commands.entries import train as main

if __name__ == "__main__":
    main()
