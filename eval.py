"""Evaluate a checkpoint, or saved predictions, on the validation set."""

from src.commands.entries import evaluate as main

if __name__ == "__main__":
    main()
