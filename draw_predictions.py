"""Draw the predictions that infer.py wrote, on their images or on the frames of their video."""

from src.process.command import entry_point


@entry_point
def main() -> None:
    from src.commands.draw import main

    main()


if __name__ == "__main__":
    main()
