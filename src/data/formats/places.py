"""Where the files are that a text names: a label file, a list, a manifest.

A text is of unknown origin, so it reaches no file outside of its data set's folder: absolute names and `..` that leave
it are refused unless `allow_outside` is set. Links in the folder are followed: whoever made them had the disk.

Tools write names from where they ran: `images\\a.jpg`, `data/a.jpg`, `../x/a.jpg`, `/home/me/x/a.jpg`. A file that is
not where its name says is looked for by the end of the name, and then by its bare name, which only one file below the
folder may have. What is there under its name, but outside, is not read, and that another file is taken is said.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError
from ..images import is_there

ALLOW = "allow_outside: 1"
DRIVE = re.compile(r"[A-Za-z]:")
MOST_FOLDERS = 16  # of a name, that are looked for
SHOWN = 60


@dataclass(frozen=True)
class Places:
    """paths: of each name, where its file is, or where it would be; missing: indices of those whose file is not there.

    found: what lies elsewhere than its name says, as `name is path`; passed: the same, by index, of what is outside
    where its name says.
    """

    paths: list[Path]
    missing: set[int]
    found: list[str]
    passed: dict[int, str] = field(default_factory=dict)


def locate(
    names: Sequence[str],
    folder: Path,
    source: Path,
    entry: Callable[[int], str] = lambda index: f"entry {index + 1}",
    root: Path | None = None,
    allow_outside: bool = False,
    how: str = ALLOW,
) -> Places:
    """The files that `source` names, relative to `folder`.

    entry: what names number i belongs to, for messages. root: the data set's folder, `folder` if it is that. how: what
    allows files outside of it. UserError for a name that leads there, and to no file below `folder`.
    """
    root = root or folder
    bounds = _Bounds(folder, root)
    direct = [bounds.path_of(name) for name in names]
    if allow_outside:
        direct = [folder / name if path is None else path for name, path in zip(names, direct)]
    odd = [index for index, path in enumerate(direct) if path is None or not is_there(path)]
    if not odd:
        return Places(direct, set(), [])
    search = _Search(folder)
    elsewhere = {index: path for index in odd if (path := search.find(names[index])) is not None}
    # Two names that lead to one file by their ends are two files, of which one is missing: nobody knows which.
    takers: dict[Path, set[str]] = {}
    for index, path in elsewhere.items():
        takers.setdefault(path, set()).add(names[index])
    named = set(direct)
    elsewhere = {index: path for index, path in elsewhere.items() if len(takers[path]) == 1 and path not in named}
    for index in odd:
        if direct[index] is None and index not in elsewhere:
            where = f"{shown(names[index])}, outside of the data set's folder {root}"
            raise UserError(f"{source}: {entry(index)} names {where}; {how} reads it")
    paths = [elsewhere.get(index, path) for index, path in enumerate(direct)]
    moved = {index: f"{shown(names[index])} is {path.relative_to(folder)}" for index, path in elsewhere.items()}
    outside = [index for index in moved if direct[index] is None and _is_another(folder / names[index], paths[index])]
    passed = {index: moved.pop(index) for index in outside}
    return Places(paths, set(odd) - elsewhere.keys(), list(moved.values()), passed)


def inside(name: str, folder: Path, *roots: Path) -> Path | None:
    """The file of a name that is relative to `folder`; None if it lies in none of the roots."""
    return _Bounds(folder, *roots).path_of(name)


def note(places: Places) -> list[str]:
    """Lines about what lies elsewhere, if something does."""
    lines = []
    for names, what in (
        (places.found, "files are not where their names say, found by their ends"),
        (list(places.passed.values()), f"files are outside and not read ({ALLOW} does): those of their ends are taken"),
    ):
        if names:
            lines.append(f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})")
    return lines


def shown(name: object, longest: int = SHOWN) -> str:
    """A name out of a text, for a message: in quotes, in one line, shortened."""
    text = repr(name)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _is_another(named: Path, taken: Path) -> bool:
    """Whether a file is there under the name itself, and it is not the one that is taken."""
    return is_there(named) and not os.path.samefile(named, taken)


class _Bounds:
    """What may be read: files below the roots, `folder` itself always."""

    def __init__(self, folder: Path, *roots: Path):
        self.folder = folder
        self._below = os.path.abspath(folder)
        self._roots = {spelled(root) for root in (folder, *roots) for spelled in (os.path.abspath, os.path.realpath)}

    def path_of(self, name: str) -> Path | None:
        """The file of a name, None if that is outside."""
        if ".." not in name and not name.startswith("/"):  # nearly always, and quickly
            return self.folder / name
        # `..` is taken out of the name before the disk is asked: after a link it would lead elsewhere.
        whole = os.path.normpath(os.path.join(self._below, name))
        if not any(whole.startswith(root.rstrip("/") + "/") for root in self._roots):
            return None
        return self.folder / os.path.relpath(whole, self._below) if whole.startswith(self._below + "/") else Path(whole)


class _Search:
    """Files below `folder` by what their names end in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._by_name: dict[str, Path | None] | None = None  # None: several files have the name

    def find(self, name: str) -> Path | None:
        parts = [part for part in DRIVE.sub("", name.replace("\\", "/"), count=1).split("/") if part not in ("", ".")]
        if ".." in parts:
            parts = parts[len(parts) - parts[::-1].index("..") :]
        for start in range(max(len(parts) - MOST_FOLDERS, 0), len(parts)):
            path = self.folder.joinpath(*parts[start:])
            if is_there(path):
                return path
        if not parts:
            return None
        if self._by_name is None:
            self._by_name = _files_by_name(self.folder)
        return self._by_name.get(parts[-1])


def _files_by_name(folder: Path) -> dict[str, Path | None]:
    """Every file below the folder by its bare name, None where several have it. Links to folders may lead anywhere,
    around too: what lies behind them is found by its whole name only.
    """
    found: dict[str, Path | None] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in files:
            found[name] = None if name in found else Path(place, name)
    return {name: path for name, path in found.items() if path is None or is_there(path)}
