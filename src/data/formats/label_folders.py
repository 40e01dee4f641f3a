"""Folders of label files: which files there are, whose split they are, and reading many of them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ...config import Config
from ...errors import UserError
from ...reading import is_folder, need_folder, read_start, why

SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation")}  # of folders within a data set's
READERS, TOGETHER = 8, 16  # threads, and files that each reads in one go: what is read ahead takes memory
FEW, START = 5, 2**16  # files that are looked at to tell a format, and their bytes

Read = TypeVar("Read")


def data_folder(cfg: Config, split: str) -> Path:
    """The folder that `train_dataset` or `val_dataset` names. UserError where there is none."""
    named = getattr(cfg, f"{split}_dataset")
    if not named:
        raise UserError(f"{split}_dataset is empty: give the folder of the images")
    return need_folder(named)


def split_folder(folder: Path, split: str) -> Path:
    """The folder's own one of the split where it has folders of both splits (`train` and `val`), otherwise itself."""
    own = {name: next((folder / one for one in names if is_folder(folder / one)), None)
           for name, names in SPLIT_NAMES.items()}  # fmt: skip
    return own[split] if all(own.values()) else folder


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files whose names end so (lower or upper case), folder by folder, in the order of their names.

    Hidden ones, and those behind links to folders, which may lead anywhere, are not among them. UserError for a folder
    that cannot be read.
    """
    endings = tuple(one.lower() for one in suffixes)
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(endings):
                yield Path(place, name)


def some_below(folder: Path, suffixes: Sequence[str], is_one: Callable[[bytes], bool]) -> bool:
    """Whether one of the first few such files begins as `is_one` asks. Nothing raises."""
    try:
        for number, path in enumerate(files_below(folder, suffixes)):
            if number == FEW:
                return False
            if is_one(start_of(path)):
                return True
    except UserError:
        pass
    return False


def start_of(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        return read_start(path, START)
    except OSError:
        return b""


def read_all(paths: Sequence[Path], read: Callable[[Path], Read]) -> Iterator[Read]:
    """`read` of each file, in order, several at a time: network drives answer slowly."""
    parts = [paths[first : first + TOGETHER] for first in range(0, len(paths), TOGETHER)]
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(parts), READERS):
            for contents in pool.map(lambda part: [read(path) for path in part], parts[first : first + READERS]):
                yield from contents


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read: {why(error)}")
