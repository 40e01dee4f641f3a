"""Draw the predictions that infer.py wrote, on their images or on the frames of their video."""

from src.commands.entries import draw as main

if __name__ == "__main__":
    main()
