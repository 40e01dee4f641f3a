"""The SHA-256 whose first digits a file's name ends in (`resnet50-0676ba61.pth`), against the file itself.

OpenMMLab, torchvision and timm name their files so; a file that was damaged on its way, or cut off, does not fit. Eight
digits at the end of a name may be something else: a date (`-20200130`) is not looked at; digits without a letter, and a
`.ckpt` (of which no project is known to mean the SHA-256), are doubts, which are said.
"""

import hashlib
import re
from datetime import datetime
from pathlib import Path

from ..errors import UserError
from .published import known_sha256

# ... -XXXXXXXX, perhaps a browser's " (1)", perhaps suffixes.
NAMED = re.compile(r".+-([0-9a-f]{8})(?: ?\(\d+\))?(?:\.\w+)*", re.IGNORECASE)
OTHERS = ("md5", "sha1")  # what eight such digits may be the beginning of as well
CHUNK = 2**20
SHOWN = 16  # digits of a whole digest


class OtherContent(UserError):
    """A file is another one than it should be. why: by what, without its path."""

    def __init__(self, message: str, why: str):
        super().__init__(message)
        self.why = why


def check_name(path: str | Path, name: str = "", known: str = "") -> tuple[str, str]:
    """(what the file's name proves of its content, what it makes doubtful), a line each; empty where it says nothing.

    name: that it is to have, where it has another one for now; known: the beginning of its SHA-256, where that is known
    otherwise. Raises OtherContent, a UserError, where it is of another content, OSError where it cannot be read.
    """
    path = Path(path)
    name = name or path.name
    known = known or known_sha256(name)
    named = NAMED.fullmatch(name)
    digits = known or (named[1].lower() if named else "")
    if not digits or (not known and _is_date(digits)):
        return "", ""
    is_named = bool(named) and digits.startswith(named[1].lower())
    own = _digest(path, "sha256")
    if own.startswith(digits):
        says = "as its name says" if is_named else "as it should"
        return f"{name} is whole: its SHA-256 begins with {digits[:SHOWN]}, {says}", ""
    if any(_digest(path, kind).startswith(digits) for kind in OTHERS):
        return "", ""
    if not known and (digits.isdecimal() or Path(name).suffix.lower() == ".ckpt"):
        return "", f"{path}: if {digits} in its name is how its SHA-256 begins, it is damaged: its own is {own[:8]}..."
    begins = f"SHA-256 begins with {digits[:SHOWN]}, its own with {own[: min(len(digits), SHOWN)]}"
    if is_named:
        why = f"by its name its {begins}"
        told = f"{path} is damaged or incomplete, download it again: {why}; a file of other content needs another name"
        raise OtherContent(told, why)
    why = f"by the table of weights its {begins}"
    raise OtherContent(f"{path} is damaged or incomplete, or another file: {why}", why)


def _is_date(digits: str) -> bool:
    try:
        return 1970 <= datetime.strptime(digits, "%Y%m%d").year < 2100
    except ValueError:
        return False


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
