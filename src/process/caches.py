"""Where this user's caches are."""

import os
from pathlib import Path

from ..errors import UserError, short

LABEL_SWITCH = "MS_VISION_ZOO_LABEL_CACHE"  # a word for "no": nothing is kept of label files
NO, YES = ("0", "false", "no", "off"), ("", "1", "true", "yes", "on")


def user_caches() -> Path:
    """This project's folder among the user's caches; it need not exist."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(caches) if os.path.isabs(caches) else Path(os.path.expanduser("~")) / ".cache"
    return (base / "ms_vision_zoo").resolve()


def is_switched_off(switch: str) -> bool:
    """Whether an environment variable holds a word for "no". UserError for a word that is none."""
    word = os.environ.get(switch, "")
    if word.lower() not in (*NO, *YES):
        raise UserError(f"{switch} must be 0 or 1, not {short(word, 40)}")
    return word.lower() in NO
