"""Files that are written whole or not at all."""

import contextlib
import os
from pathlib import Path

from .errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write through a temporary file beside `path`, so that no reader and no kill ever sees half of it.

    Missing folders are made. UserError, naming the file, if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
