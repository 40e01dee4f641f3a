"""The one way a command says that its input is wrong."""


class UserError(Exception):
    """Wrong input from the user: one line that names the file, the key or the shape, and what would be right."""
