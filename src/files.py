"""Files that are written whole or not at all, and the formats in which they are written."""

import contextlib
import os
from pathlib import Path

from .errors import UserError

# The format of each kind of file. It rises when an older version would misread what is written.
CHECKPOINT_FORMAT = PREDICTION_FORMAT = EXPORT_FORMAT = 1
RUN_FORMAT = 2  # since 2 a `norm_bias_decay` that is true means gamma and beta too


def require_readable(found: object, known: int, path: str | Path) -> None:
    """UserError where `path` says that its format is later than the `known` one; files of before say nothing (None)."""
    if isinstance(found, int) and found > known:
        raise UserError(f"{path} was written by a newer version: it has format {found}, and {known} is the last known")


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
