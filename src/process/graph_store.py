"""A folder of compiled graphs that several runs share.

A graph is one file, `KEY.SHA256.mindir`: what it was compiled from, and its own bytes. So a file that is damaged is
told by its name; it is written aside and renamed, so that no reader sees half of one; and readers take it into memory
whole, so that it may go at any time.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import weakref
from pathlib import Path

LIMIT = 2 * 2**30  # bytes
ABANDONED = 86400.0  # seconds after which what a run works with is taken to be a killed run's
ENTRY = re.compile(r"([0-9a-f]+)\.([0-9a-f]{64})\.mindir")


class _Process:
    """What lives as long as the process."""


_process = _Process()


class GraphStore:
    """Graphs by key in `folder`; the least recently used ones go where they are more than `limit` bytes together."""

    def __init__(self, folder: Path, limit: int = LIMIT):
        self.folder, self.limit = folder, limit

    def get(self, key: str) -> bytes | None:
        """The newest undamaged graph of this key, or None; damaged ones are removed."""
        for _, _, path in sorted(self._entries(key), reverse=True):
            content = _read_own(path)
            if content is not None and hashlib.sha256(content).hexdigest() == ENTRY.fullmatch(path.name)[2]:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return content
            _remove(path)
        return None

    def put(self, key: str, content: bytes) -> Path:
        """Keep a graph. OSError if it cannot be written."""
        path = self.folder / f"{key}.{hashlib.sha256(content).hexdigest()}.mindir"
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            _remove(Path(temporary))
            raise
        self._tidy(path)
        return path

    def drop(self, key: str) -> None:
        """Remove what is kept under a key."""
        for _, _, path in self._entries(key):
            _remove(path)

    def own_folder(self) -> Path:
        """A folder beside the graphs that is this process's alone, and goes with it."""
        folder = Path(tempfile.mkdtemp(prefix=".run-", dir=self.folder))
        weakref.finalize(_process, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _entries(self, key: str = "") -> list[tuple[int, int, Path]]:
        """(time of the last use, size, file) of the graphs that are kept under a key, or of all."""
        found = []
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                match = ENTRY.fullmatch(path.name)
                if match and key in ("", match[1]):
                    with contextlib.suppress(OSError):  # another run has removed it
                        facts = path.lstat()
                        found.append((facts.st_mtime_ns, facts.st_size, path))
        return found

    def _tidy(self, newest: Path) -> None:
        """Back to the limit, but for the newest graph; away with what killed runs have left."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total > self.limit and path != newest:
                _remove(path)
                total -= size
        for path in self.folder.glob(".*-*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    _remove(path)


def make_private(folder: Path) -> str:
    """Make a folder, where it is missing, that this user alone can use; why it may not be trusted, or an empty text.

    A graph is a program: whoever can write it decides what a run computes.
    """
    try:
        for path in (*reversed(folder.parents), folder):
            if not path.exists():
                with contextlib.suppress(FileExistsError):
                    path.mkdir(mode=0o700)
        facts = folder.stat()
        above = [path.stat() for path in folder.parents]
    except OSError as error:
        return f"it cannot be made ({error.strerror})"
    if not stat.S_ISDIR(facts.st_mode):
        return "it is no folder"
    if facts.st_uid != os.geteuid():
        return "it belongs to another user"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users may write to it"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "it cannot be written"
    for one in above:
        if one.st_mode & stat.S_IWOTH and not one.st_mode & stat.S_ISVTX or one.st_uid not in (0, os.geteuid()):
            return "other users may put another folder in its place"
    return ""


def _read_own(path: Path) -> bytes | None:
    """A regular file of this user's; None for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            os.close(descriptor)
            return None
        with open(descriptor, "rb") as file:
            return file.read()
    except OSError:
        return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
