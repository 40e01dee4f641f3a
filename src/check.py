"""`python -m src.check`: see commands/check.py."""

from .commands.check import main

if __name__ == "__main__":
    main()
