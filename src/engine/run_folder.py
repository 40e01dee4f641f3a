"""The folder of a run on the disk: its name, whether a run is in it, who uses it, what a killed run has left there."""

import contextlib
import errno
import fcntl
import logging
import os
import re
import shutil
import time
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError
from .checkpoint_folders import CheckpointFolder
from .curves import CsvTable

logger = logging.getLogger(__name__)

LONGEST_NAME = 255  # bytes that file systems take
LOCK_WAIT = 3.0  # seconds in which a run that is being killed may let go of its folder
LEFTOVERS = re.compile(  # temporary files of checkpoints (ours and the framework's), tables and pictures
    r"\.(epoch_\d+_step_\d+|.+_-?\d+\.\d+_epoch_\d+)\.\d+\.(ckpt|tmp)"
    r"|\.(config\.yaml|mlflow\.json|(losses|metrics)\.(csv|png))\.\d+\.tmp"
)
RECORDS = ("losses.csv", "losses.png", "metrics.csv", "metrics.png", "epochs.csv", "tb", "pictures")
OWN_FILES = ("config.yaml", "train.log")  # of a run that has not begun

_held: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


class FolderLock:
    """Held as long as this object lives, and no longer than its process: a lock on the folder's `train.log`.

    UserError if another process holds it; within one process the last one has it.
    """

    def __init__(self, folder: Path):
        self._descriptor, self._path = -1, os.path.realpath(folder)
        for other in list(_held):
            if other._path == self._path:
                other.let_go()
        deadline = time.monotonic() + LOCK_WAIT
        while not self._take(folder / "train.log"):
            if time.monotonic() > deadline:
                raise UserError(f"{folder} is in use: another process trains there; wait for its end, or stop it first")
            time.sleep(0.1)
        _held.add(self)

    def let_go(self) -> None:
        """Close the file, which ends the lock but in a forked process, whose parent still has it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self):
        self.let_go()

    def _take(self, path: Path) -> bool:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                return False
            logger.warning("%s: this file system has no locks: nothing keeps a second run out of the folder", path)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                self._descriptor = descriptor
                return True
        os.close(descriptor)  # a start that failed has removed the file meanwhile
        return False


def _forget_in_child() -> None:
    """A data worker does not hold its parent's folder, which it may outlive for a moment."""
    for lock in list(_held):
        lock.let_go()


os.register_at_fork(after_in_child=_forget_in_child)


def check_name(name: str) -> None:
    """UserError if the folder's name, which ends in `brief`, cannot be the name of one folder."""
    odd = [letter for letter in name if letter == "/" or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]
    if odd:
        raise UserError(f"brief: {odd[0]!a} cannot be part of a folder's name")
    length = len(os.fsencode(name))
    if length > LONGEST_NAME:
        raise UserError(f"brief: the folder's name would have {length} bytes; {LONGEST_NAME} are possible")


def has_begun(folder: Path) -> bool:
    """Whether there is something of a run that a new one must not touch: checkpoints, or losses."""
    checkpoints = CheckpointFolder(folder / "ckpt", 0).newest_first() or (folder / "best_ckpt").glob("[!.]*.ckpt")
    return any(True for _ in checkpoints) or bool(CsvTable(folder / "losses.csv").read())


def newest_run(outputs: Path, names: Sequence[str]) -> Path | None:
    """The folder `<yymmdd>_<name>` of the latest day that a run has begun in; else the latest with a configuration.

    Of two of one day it is the one whose name comes first.
    """
    found = sorted(
        ((path.name[:6], -k, path) for path in _folders(outputs) for k, name in enumerate(names)
         if path.name[6:] == f"_{name}"),
        reverse=True,
    )  # fmt: skip
    paths = [path for _, _, path in found]
    configured = [path for path in paths if (path / "config.yaml").exists()]
    return next(filter(has_begun, paths), None) or next(iter(configured), None)


def briefs(outputs: Path, systems: Sequence[str]) -> list[str]:
    """The `brief` of the runs of these systems that there are, the latest first."""
    matches = [re.fullmatch(rf"\d{{6}}_({'|'.join(map(re.escape, systems))})_(.*)", path.name)
               for path in sorted(_folders(outputs), reverse=True)]  # fmt: skip
    return list(dict.fromkeys(match[2] for match in matches if match))


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed runs. For whoever holds the folder's lock."""
    for path in (*folder.glob(".*"), *folder.glob("*ckpt/.*")):
        if LEFTOVERS.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def remove_unbegun(folder: Path, above: Sequence[Path] = ()) -> None:
    """Remove the folder of a run that has not begun, if nothing else is in it, and then those above it, innermost
    first, as far as they are empty.
    """
    if has_begun(folder):
        return
    with contextlib.suppress(OSError):
        for name in ("ckpt", "best_ckpt"):
            (folder / name).rmdir()
        if {path.name for path in folder.iterdir()} <= set(OWN_FILES):
            for name in OWN_FILES:
                (folder / name).unlink(missing_ok=True)
            for place in (folder, *above):
                place.rmdir()


def set_aside(folder: Path, files: Sequence[Path], copied: Sequence[Path] = ()) -> Path:
    """Move files of a run into a new folder in it, so that nothing takes their place; of some put copies there.

    Copies come first, so that what cannot be copied (a full disk) leaves the run as it was.
    """
    place = next(p for k in range(1, 10**6) if not (p := folder / f"before_{k}").exists())
    place.mkdir()
    try:
        for path in filter(Path.exists, copied):
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, place / path.name)
    except BaseException:
        shutil.rmtree(place)
        raise
    for path in filter(Path.exists, files):
        path.rename(place / path.name)
    return place


def _folders(outputs: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError, ValueError):  # it is not there, or no path at all
        yield from (path for path in outputs.iterdir() if path.name[:6].isdigit() and path.is_dir())
