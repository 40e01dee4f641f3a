"""Files that visitors have uploaded and that wait for the network, and how nothing of them stays."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_WAITING = 64  # files
LONGEST_WAIT = 600.0  # seconds, after which whoever uploaded a file has gone
UNASKED = 60.0  # seconds, after which whoever uploaded a file and asked nothing about it has gone
PATIENCE = 120.0  # seconds, after which another one may have the place of a file that was asked about
KEPT = 60.0  # seconds, in which a browser has fetched what was made for it


@dataclass
class Wait:
    """Of somebody for a file. since: seconds, monotonic; is_asked: the network is to look at it."""

    since: float = field(default_factory=lambda: time.monotonic())
    is_asked: bool = False

    @property
    def until(self) -> float:
        return self.since + (LONGEST_WAIT if self.is_asked else UNASKED)


class Uploads:
    """The paths that uploads have got, each for as long as somebody waits for it.

    Gradio names a file by its content, so two visitors may wait for one path: the file goes with the last one; while
    uploads are on their way, which may be the same, it is left to `sweep`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting: dict[str, list[Wait]] = {}  # of each path those who wait for it, longest first
        self._arriving = 0
        self._lock = threading.Lock()

    def __contains__(self, path: object) -> bool:
        with self._lock:
            return isinstance(path, str) and path in self._waiting

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    @contextlib.contextmanager
    def arriving(self) -> Iterator[Callable[[Collection[str]], None]]:
        """While an upload goes on; what is yielded takes the paths that it has got."""
        with self._lock:
            self._arriving += 1
        try:
            yield self._add
        finally:
            with self._lock:
                self._arriving -= 1

    def _add(self, paths: Collection[str]) -> None:
        with self._lock:
            for path in paths:
                self._waiting.setdefault(path, []).append(Wait())

    def make_room(self) -> bool:
        """Whether another file may come: where there are too many, in the place of the one that lies here longest
        without a question about it, or with one for so long that nobody waits for the answer.
        """
        if len(self) < MOST_WAITING:
            return True
        with self._lock:
            waits = [(one, path) for path, some in self._waiting.items() for one in some]
            idle = [item for item in waits if not item[0].is_asked] or [
                item for item in waits if item[0].since < time.monotonic() - PATIENCE
            ]
            if not idle:
                return False
            wait, path = min(idle, key=lambda item: item[0].since)
            self._remove(path, wait)
            return True

    def ask(self, paths: Collection[str]) -> None:
        """The network is to look at these."""
        with self._lock:
            for path in paths:
                for wait in [one for one in self._waiting.get(path, []) if not one.is_asked][:1]:
                    wait.is_asked = True

    def discard(self, paths: Collection[str]) -> None:
        """Remove files that have come and are not taken."""
        with self._lock:
            for path in paths:
                self._unlink(path)

    def take(self, path: str) -> bytes | None:
        """The content of an uploaded file, which has gone then; None where nobody waits for one of this name."""
        if path not in self:
            return None
        try:
            return Path(path).read_bytes()
        except OSError:
            return None
        finally:
            self._leave(path)

    def sweep(self, now: float | None = None) -> None:
        """Remove what lies in the folder and is old. now: seconds since the epoch."""
        now = time.time() if now is None else now
        with self._lock:
            for path, waits in list(self._waiting.items()):
                waits[:] = [one for one in waits if one.until > time.monotonic()]
                if not waits:
                    del self._waiting[path]
            waiting = set(self._waiting)
        for place, folders, files in os.walk(self.folder, topdown=False):
            for name in files:
                path = os.path.join(place, name)
                if path not in waiting:
                    _remove_if_old(path, now, os.unlink)
            for name in folders:
                _remove_if_old(os.path.join(place, name), now, os.rmdir)

    def _leave(self, path: str) -> None:
        """One of those who wait for the path has been served."""
        with self._lock:
            for wait in self._waiting.get(path, [])[:1]:
                self._remove(path, wait)

    def _remove(self, path: str, wait: Wait) -> None:
        waits = self._waiting[path]
        waits[:] = [one for one in waits if one is not wait]
        if not waits:
            del self._waiting[path]
            self._unlink(path)

    def _unlink(self, path: str) -> None:
        if path not in self._waiting and not self._arriving:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _remove_if_old(path: str, now: float, remove) -> None:
    with contextlib.suppress(OSError):  # gone, or a folder that is not empty
        found = os.lstat(path)
        if now - max(found.st_mtime, found.st_ctime) > KEPT:
            remove(path)
