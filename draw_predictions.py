"""Draw the predictions that infer.py wrote: one overlay with boxes, masks, class names and scores for every image."""

from src.process.command import entry_point


@entry_point
def main() -> None:
    from src.commands.draw import main

    main()


if __name__ == "__main__":
    main()
