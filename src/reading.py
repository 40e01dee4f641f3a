"""Files that are read with care: what a name or a kind of file can do to whoever opens it is an OSError, or `no`.

Names that no file can have, links that lead round, pipes and devices that never end, JSON that is nested without end.
"""

import contextlib
import errno
import gc
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import UserError, plain

JSON_START = 64  # bytes that are looked at before the rest of a file
ABSENT = "does not exist"
NO_NAME = "no file can have this name"


def is_file(path: str | Path) -> bool:
    """Whether a regular file is there; False too for a name that no file can have, or that links lead round."""
    return _has_kind(path, stat.S_ISREG)


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; False too for a name that none can have, or that links lead round."""
    return _has_kind(path, stat.S_ISDIR)


def is_there(path: str | Path) -> bool:
    """Whether a file or a folder is there; False too for a name that none can have."""
    return is_file(path) or is_folder(path)


def no_file(path: str | Path) -> str:
    """What is in the place of a regular file, for the end of a message: 'does not exist', 'is a folder', ..."""
    if is_folder(path):
        return "is a folder"
    if _has_kind(path, lambda mode: not stat.S_ISREG(mode)):
        return "is a device or a pipe"
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return "is a link that leads to nothing"
    return ABSENT


def need_folder(path: str | Path) -> Path:
    """A data set's folder. UserError if there is none."""
    if not str(path):
        raise UserError("no data set is named: give --val_dataset FOLDER (to train, --train_dataset FOLDER)")
    if is_folder(path):
        return Path(path)
    if not is_file(path):
        raise UserError(f"data set folder {path} {no_file(path)}")
    hint = ": train_annotations and val_annotations name label files" if str(path).endswith(".json") else ""
    raise UserError(f"data set folder {path} is a file{hint}")


def open_regular(path: str | Path, most: int | None = None) -> BinaryIO:
    """A regular file of at most `most` bytes, open for reading. OSError as `read_bytes`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except ValueError:
        raise OSError(errno.EINVAL, NO_NAME, str(path)) from None
    found = os.fstat(descriptor)
    problem = None
    if stat.S_ISDIR(found.st_mode):
        problem = IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    elif not stat.S_ISREG(found.st_mode):
        problem = OSError(errno.EINVAL, "it is no regular file", str(path))
    elif most is not None and found.st_size > most:
        problem = OSError(errno.EFBIG, f"it has {found.st_size:,} bytes; at most {most:,} are read", str(path))
    if problem:
        os.close(descriptor)
        raise problem
    return open(descriptor, "rb")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """The content of a regular file of at most `most` bytes.

    OSError, as `open` raises it, for everything else: folders, pipes and devices (which might never end), names that no
    file can have.
    """
    with open_regular(path, most) as file:
        return file.read()


def read_start(path: str | Path, count: int) -> bytes:
    """The first `count` bytes of a regular file, or all of a shorter one. OSError as `read_bytes`."""
    with open_regular(path) as file:
        return file.read(count)


def read_text(path: str | Path, most: int | None = None) -> str:
    """A text file in UTF-8, with a byte-order mark or without. OSError as `read_bytes`, and for what is no text."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "it is no text in UTF-8", str(path)) from None


def read_json(path: str | Path, most: int | None = None) -> object:
    """What a JSON file holds. UserError, naming the file, where it cannot be read or is none.

    A file that does not start as JSON is not read on, however large it is.
    """
    try:
        with open_regular(path, most) as file:
            start = file.read(JSON_START)
            if start.strip()[:1] == b"\0":
                raise ValueError("it starts with a NUL byte")
            file.seek(0)
            return parse_json(file.read())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({why(error)})") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); is it cut off?") from None


def parse_json(content: bytes | str) -> object:
    """What a JSON text holds; ValueError in a few words where it is none, or nested too deep."""
    try:
        if isinstance(content, bytes):  # here, so that both forms of a large file are in memory for a moment only
            content = content.decode(json.detect_encoding(content), "surrogatepass")
        with without_collection():
            return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:  # Python converts no texts of more than 4,300 digits
        raise ValueError("it holds a number of thousands of digits") from None


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """No search for garbage in circles: millions of values that are being read and kept would be gone through over and
    over, for a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def why(error: OSError | ValueError) -> str:
    """What the system says of a file, in a few words; ValueError: of one with a NUL in its name."""
    return (error.strerror or plain(str(error))) if isinstance(error, OSError) else NO_NAME


def _has_kind(path: str | Path, is_kind) -> bool:
    try:
        return is_kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
