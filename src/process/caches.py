"""Where this user's caches are, and where published weights come from."""

import os
from pathlib import Path

from ..errors import UserError, short

LABEL_SWITCH = "MS_VISION_ZOO_LABEL_CACHE"  # a word for "no": nothing is kept of label files
HOME, MIRROR, TABLE = "VISION_ZOO_HOME", "VISION_ZOO_MIRROR", "VISION_ZOO_TABLE"  # of weights by name
NO, YES = ("0", "false", "no", "off"), ("", "1", "true", "yes", "on")


def user_caches() -> Path:
    """This project's folder among the user's caches; it need not exist."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(caches) if os.path.isabs(caches) else Path(os.path.expanduser("~")) / ".cache"
    return (base / "ms_vision_zoo").resolve()


def weights_home() -> Path:
    """The folder of weights that were downloaded and converted; it need not exist."""
    home = os.environ.get(HOME, "")
    return (Path(os.path.expanduser(home)).resolve() if home else user_caches()) / "weights"


def weights_mirror() -> str:
    """The address of the server to take published weights from instead of their own; empty without one."""
    return os.environ.get(MIRROR, "")


def weights_table() -> str:
    """The file of a table of weights to take the project's place; empty without one."""
    return os.environ.get(TABLE, "")


def is_switched_off(switch: str) -> bool:
    """Whether an environment variable holds a word for "no". UserError for a word that is none."""
    word = os.environ.get(switch, "")
    if word.lower() not in (*NO, *YES):
        raise UserError(f"{switch} must be 0 or 1, not {short(word, 40)}")
    return word.lower() in NO
