"""Run a checkpoint on one image or on a folder of images and write the predictions as JSON."""

from src.commands.entries import infer as main

if __name__ == "__main__":
    main()
