"""`python -m ms_vision_zoo`: what the command `vision-zoo` does, where it is not found."""

from .commands.cli import main

if __name__ == "__main__":
    main()
