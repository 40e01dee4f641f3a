"""Files that are written whole or not at all, and the formats in which they are written."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import UserError

# The format of each kind of file. It rises when an older version would misread what is written.
CHECKPOINT_FORMAT = PREDICTION_FORMAT = EXPORT_FORMAT = REPORT_FORMAT = 1
RUN_FORMAT = 2  # since 2 a `norm_bias_decay` that is true means gamma and beta too

LONGEST_NAME = 255  # bytes of a file's name
TEMPORARY = re.compile(r"\.(?P<owner>.+)\.(?P<process>\d+)\.tmp")


def require_readable(found: object, known: int, path: str | Path) -> None:
    """UserError where `path` says that its format is later than the `known` one; files of before say nothing (None)."""
    if isinstance(found, int) and found > known:
        raise UserError(f"{path} was written by a newer version: it has format {found}, and {known} is the last known")


def write_text(path: Path, text: str) -> None:
    """Write through a temporary file beside `path`, so that no reader and no kill ever sees half of it.

    Missing folders are made. UserError, naming the file, if it cannot be written.
    """
    with written_whole(path) as file:
        file.write(text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    with written_whole(path) as file:
        file.write(content)


@contextlib.contextmanager
def written_whole(path: Path, sync: bool = False) -> Iterator[BinaryIO]:
    """A file that becomes `path` once the block has ended well, and nothing otherwise; see `write_text`.

    sync: it is on the disk before it gets its name, for what takes the place of something that is deleted then.
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            _hold(file.fileno())
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
        raise


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what is to become it; it is gone after the block. OSError if it cannot be made."""
    folder = temporary_path(path)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # At the end of an interrupted process too, which no block outlives (`process.signals.leave`).
    owner = _Owner()
    remove = weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        _hold(lock)
        yield folder
    finally:
        os.close(lock)
        remove()


class _Owner:
    """What a folder's removal hangs on."""


def temporary_path(path: Path) -> Path:
    """The name beside `path` under which this process writes it: `.NAME.PID.tmp`."""
    ending = f".{os.getpid()}.tmp"
    owner = path.name
    if len(os.fsencode(owner)) + len(ending) + 1 > LONGEST_NAME:
        owner = hashlib.sha256(os.fsencode(owner)).hexdigest()[:16]
    return path.with_name(f".{owner}{ending}")


def sweep(folder: Path, *names: str) -> None:
    """Remove what processes that were killed have left in `folder` of the files `names`, by default of all files.

    Something is left over where its process has ended and nobody holds it, here or in another container.
    """
    owners = {TEMPORARY.fullmatch(temporary_path(folder / name).name)["owner"] for name in names}
    try:
        found = [entry for entry in os.scandir(folder) if entry.name.endswith(".tmp")]
    except OSError:
        return
    for entry in found:
        known = TEMPORARY.fullmatch(entry.name)
        if known and (not owners or known["owner"] in owners) and not _is_alive(int(known["process"])):
            with contextlib.suppress(OSError):
                _remove_unless_held(Path(entry.path))


def _remove_unless_held(path: Path) -> None:
    """OSError where somebody holds it, or where it cannot be removed."""
    lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(lock)


def _hold(file: int) -> None:
    """Keep others from taking it for left over; where the file system has no locks its process alone tells."""
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
