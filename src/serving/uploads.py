"""Files that visitors have uploaded and that wait for the network, and how nothing of them stays."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

MOST_WAITING = 64  # files
LONGEST_WAIT = 600.0  # seconds, after which whoever uploaded a file has gone
KEPT = 60.0  # seconds, in which a browser has fetched what was made for it


class Uploads:
    """The paths that uploads have got, each for as long as somebody waits for it.

    Gradio names a file by its content, so two visitors may wait for one path: the file goes with the last one; while
    uploads are on their way, which may be the same, it is left to `sweep`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting: dict[str, list[float]] = {}  # path -> when each of those who wait for it has come
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
                self._waiting.setdefault(path, []).append(time.monotonic())

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
            old = time.monotonic() - LONGEST_WAIT
            for path, times in list(self._waiting.items()):
                times[:] = [one for one in times if one > old]
                if not times:
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
            times = self._waiting.get(path, [])
            del times[:1]
            if not times:
                self._waiting.pop(path, None)
                if not self._arriving:
                    with contextlib.suppress(OSError):
                        os.unlink(path)


def _remove_if_old(path: str, now: float, remove) -> None:
    with contextlib.suppress(OSError):  # gone, or a folder that is not empty
        found = os.lstat(path)
        if now - max(found.st_mtime, found.st_ctime) > KEPT:
            remove(path)
