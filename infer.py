"""Run a checkpoint on images, folders and lists of them, or on a video: predictions as JSON, pictures of them."""

from src.commands.entries import infer as main

if __name__ == "__main__":
    main()
