"""`python -m src.models.summary`: see commands/summary.py."""

from ..commands.summary import main

if __name__ == "__main__":
    main()
