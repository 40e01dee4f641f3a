"""`python -m src.models.summary`: see commands/summary.py."""

from src.commands.summary import main

if __name__ == "__main__":
    main()
