"""Outputs: they replace no input, and that they can be written is known before anything is computed."""

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .files import LONGEST_NAME, sweep

PROBE = bytes(2**16)  # a disk that has no room for so much has none for an output
SHOWN = 200  # characters of a path in a message


@dataclass(frozen=True)
class Inputs:
    """What a command reads, each with the words that a message has for it: `files`, and `folders` with all in them."""

    files: tuple[tuple[str, Path], ...] = ()
    folders: tuple[tuple[str, Path], ...] = ()


def check_output_file(
    key: str,
    text: str | Path,
    inputs: Inputs,
    is_own: Callable[[Path], bool] = lambda path: False,
    beside: Sequence[str] = (),
    read_only: bool = False,
) -> None:
    """UserError, in one line that begins with `key`, unless a file can be written at `text` and replaces no input.

    In a folder of inputs an existing file is only replaced where it `is_own`: something that this command wrote
    before. beside: endings of further files that the command writes beside it. read_only: an existing file may be so,
    as MindSpore leaves its own. Nothing is written; what killed processes have left of the file is removed.
    """
    text, path = os.fspath(text), Path(text)
    if names_folder(text):
        raise UserError(f"{key} {_short(text)} is a folder; give the name of a file")
    _check_place(key, path, path.parent, beside)
    for one in (path, *(path.with_name(path.name + ending) for ending in beside)):
        _check_no_input(key, one, inputs.files)
        _check_kind(key, one, read_only)
    if os.path.lexists(path):
        _check_foreign(key, path, inputs.folders, is_own)
    sweep(path.parent, path.name)


def check_output_files(key: str, folder: Path, paths: Sequence[Path], inputs: Inputs, per_set: int = 1) -> None:
    """The same of `paths`, all of them in `folder`, which need not exist.

    per_set: of so many files, one after the other, all are there or none where the command wrote them before: then
    they are its own, in a folder of inputs too.
    """
    _check_place(key, folder, folder, [""])
    existing = [os.path.lexists(path) for path in paths]
    if any(existing):
        known = {}
        for name, path in inputs.files:
            known.setdefault(_identity(path), name)
        for number, path in enumerate(paths):
            if not existing[number]:
                continue
            if (name := known.get(_identity(path))) is not None:
                raise UserError(_would_replace(key, path, name))
            _check_kind(key, path)
            first = number - number % per_set
            if per_set == 1 or not all(existing[first : first + per_set]):
                _check_foreign(key, path, inputs.folders, lambda path: False)
    sweep(folder)


def is_within(path: Path, folder: Path) -> bool:
    """Whether `path`, which need not exist, lies somewhere in `folder`, links followed."""
    return _identity(folder) in {_identity(parent) for parent in Path(os.path.realpath(path)).parents}


def names_folder(text: str) -> bool:
    """Whether a path is that of a folder by its spelling; `Path` drops the slash at its end."""
    return text in ("", ".", "..") or text.endswith(("/", "/.", "/.."))


def _check_place(key: str, path: Path, folder: Path, beside: Sequence[str]) -> None:
    """UserError unless `path`, which may be `folder` itself, can be written in `folder`, which need not exist."""
    which = "the" if path == folder else "its"
    if "\0" in str(path):
        raise UserError(f"{key} {_short(path)!r} is no path: it holds a NUL character")
    room = max((len(ending) for ending in beside), default=0)
    if any(len(os.fsencode(part)) + room * (part == path.name) > LONGEST_NAME for part in path.parts):
        raise UserError(f"{key} {_short(path)}: a name in it is longer than a file's may be")
    place = Path(os.path.abspath(folder))
    while not os.path.lexists(place):
        place = place.parent
    try:
        if not stat.S_ISDIR(os.stat(place).st_mode):
            raise UserError(f"{key} {_short(path)}: {which} folder cannot be made ({_short(place)} is no folder)")
        with tempfile.TemporaryFile(dir=place, buffering=0) as probe:
            if probe.write(PROBE) < len(PROBE):
                probe.write(PROBE)  # says why it is cut off
            os.fsync(probe.fileno())
    except OSError as error:
        raise UserError(f"{key} {_short(path)}: {which} folder cannot be written ({error.strerror})") from None


def _check_kind(key: str, path: Path, read_only: bool = False) -> None:
    """UserError where something that is no file of its own has the name, or one that nobody may write."""
    try:
        found = os.stat(path)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{key} {_short(path)} is a folder; give the name of a file")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{key} {_short(path)} is a device or a pipe; give the name of a file")
    if not found.st_mode & 0o222 and not read_only:
        raise UserError(f"{key} {_short(path)} cannot be written (the file is read-only)")


def _check_no_input(key: str, path: Path, files: Sequence[tuple[str, Path]]) -> None:
    for name, other in files:
        if _identity(path) == _identity(other):
            raise UserError(_would_replace(key, path, name))


def _check_foreign(
    key: str, path: Path, folders: Sequence[tuple[str, Path]], is_own: Callable[[Path], bool]
) -> None:
    """UserError for an existing file within one of the folders that is not the command's own."""
    for name, folder in folders:
        if is_within(path, folder) and not is_own(path):
            raise UserError(_would_replace(key, path, f"a file of {name}"))


def _identity(path: Path) -> object:
    """Equal for two names of one file or folder: links of either kind, other spellings, other cases where they count
    as one.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _would_replace(key: str, path: Path, name: str) -> str:
    return f"{key} {_short(path)} would replace {name}: give another name"


def _short(path: str | Path) -> str:
    text = str(path)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}...{text[-SHOWN // 2 :]}"
