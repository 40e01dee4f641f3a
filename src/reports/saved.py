"""Reports that were written, read again. Their files may come from anybody: nothing in them is run, all is checked."""

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, plain, short
from ..pages.page import readable
from ..reading import is_file, is_folder, read_text, why
from .folder import FACTS, KINDS, OWN_NAME, read_facts

MOST_TABLE = 2**28  # bytes of a CSV file
MOST_ARRAYS = 2**31  # bytes of a .npz file's arrays
# What a file that is no archive, or one that is cut off or made up, can raise.
BROKEN = (
    ValueError, TypeError, OverflowError, EOFError, SyntaxError, RuntimeError, NotImplementedError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Saved:
    """A report of `eval.py`. classes: their names, as its tables have them."""

    folder: Path
    task: str
    classes: list[str]
    facts: dict[str, Any]

    def table(self, file: str, names: Sequence[str]) -> dict[str, list[str]]:
        """The columns of a CSV file. UserError where it cannot be read, lacks one or is cut off."""
        path = self.folder / file
        try:
            rows = list(csv.reader(io.StringIO(read_text(path, MOST_TABLE), newline=""), strict=True))
        except OSError as error:
            raise UserError(f"{path} cannot be read ({why(error)})") from None
        except csv.Error as error:
            raise UserError(f"{path} is damaged ({error})") from None
        head = rows[0] if rows else []
        if missing := [name for name in names if head.count(name) != 1]:
            raise UserError(f"{path} is damaged: it has no column {missing[0]}, or several")
        for number, row in enumerate(rows[1:], start=2):
            if len(row) != len(head):
                raise UserError(f"{path} is damaged: row {number} has {len(row)} cells, the first row {len(head)}")
        return {name: [row[head.index(name)] for row in rows[1:]] for name in names}

    def numbers(self, file: str, name: str, cells: Sequence[str], low: float = 0, high: float = 2**62) -> np.ndarray:
        """(N,) float64 of a column; NaN where a cell is empty."""
        found = np.full(len(cells), np.nan)
        for k, cell in enumerate(cells):
            try:
                value = float(cell) if cell else low
            except ValueError:
                value = math.nan
            if not low <= value <= high:
                raise UserError(f"{self.folder / file} is damaged: {name} of row {k + 2} is {short(cell)}")
            if cell:
                found[k] = value
        return found

    def labels(self, file: str, name: str, cells: Sequence[str]) -> np.ndarray:
        """(N,) the classes that a column names."""
        places = {one: k for k, one in enumerate(self.classes)}
        if unknown := [cell for cell in cells if cell not in places]:
            raise UserError(f"{self.folder / file} is damaged: {name} is {short(unknown[0])}, which is no class of it")
        return np.array([places[cell] for cell in cells], np.int64)

    def arrays(self, file: str, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays of whole or real numbers of a .npz file. UserError where one is missing or is anything else."""
        path = self.folder / file
        try:
            if not is_file(path):
                raise ValueError("it is not there, or no regular file")
            with zipfile.ZipFile(path) as archive:
                members = {one.filename: one for one in archive.infolist()}
                found = [members.get(f"{name}.npy") for name in names]
                if None in found:
                    raise ValueError(f"it has no array {names[found.index(None)]}")
                if sum(one.file_size for one in found) > MOST_ARRAYS:
                    raise ValueError(f"at most {MOST_ARRAYS:,} bytes of arrays are read")
                return {name: _array(archive, one) for name, one in zip(names, found)}
        except OSError as error:
            raise UserError(f"{path} cannot be read ({why(error)})") from None
        except BROKEN as error:
            raise UserError(f"{path} is damaged ({plain(str(error), 100)})") from None

    def pictures(self, row: int) -> list[Path]:
        """The report's pictures of an image, by its row of images.csv."""
        named = self.facts.get("pictures")
        named = named if isinstance(named, dict) else {}
        return [self.folder / file for file, own in named.items() if own == row and OWN_NAME.fullmatch(file)]


def read_report(folder: Path) -> Saved:
    """UserError, in one line, where `folder` holds no report of an evaluation, or one of a newer version."""
    if not is_folder(folder):
        raise UserError(f"{folder} is no folder; give one that eval.py --report_dir has written")
    if not is_file(folder / FACTS):
        raise UserError(f"{folder} is no report of eval.py --report_dir: it has no {FACTS}")
    facts = read_facts(folder)
    task, classes = facts.get("task"), facts.get("classes")
    if not isinstance(task, str):
        what = KINDS.get(str(facts["kind"]), "something else") if "kind" in facts else "not whole"
        raise UserError(f"{folder} is no report of eval.py --report_dir: it is {what}")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{folder / FACTS} is damaged: classes is no list of names")
    try:
        names = [readable(name) for name in classes]
    except UnicodeEncodeError:
        raise UserError(f"{folder / FACTS} is damaged: a class's name holds half of a character") from None
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{folder / FACTS}: two classes have the name {plain(double)}")
    return Saved(folder, task, names, facts)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array; it takes no more memory than its file has bytes."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{member.filename} has version {version}")
        shape, in_columns, kind = np.lib.format.read_array_header_1_0(file)
        content = file.read()
    if kind.kind not in "biuf":
        raise ValueError(f"{member.filename} holds no numbers")
    if math.prod(shape) * kind.itemsize != len(content):
        raise ValueError(f"{member.filename} is cut off")
    return np.frombuffer(content, kind).reshape(shape, order="F" if in_columns else "C")
