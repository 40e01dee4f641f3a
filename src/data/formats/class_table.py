"""Classified images that a table names: a CSV file with the image's file and its class in each row.

The columns are told by their titles, or are the first two where there are none. Files are named relative to the
table's folder.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, listed, plain, short
from .image_folder import check_classes
from .places import locate, note
from .report import named
from .text_lines import read_lines

SUFFIXES = (".csv", ".tsv")
FILES = ("file", "filename", "file_name", "image", "image_name", "image_path", "path", "filepath", "image_id", "img")
CLASSES = ("class", "classname", "class_name", "label", "labels", "category", "target", "species")
SEPARATORS = ",;\t"
Row = tuple[int, str, str]  # line, file, class


class ClassTable:
    """The same as `image_folder.ImageFolder` of a table: `folder` (the table), `classes`, `images`, `notes`.

    class_names: the classes that must be there, in label order; empty takes the table's, sorted, by number where all
    are numbers. UserError for a table that cannot be read, has no such columns or no images, and for other classes.
    """

    sets, set_names = (), ()  # it is one data set

    def __init__(self, path: str | Path, class_names: Sequence[str] = (), allow_outside: bool = False):
        self.folder, self.notes = Path(path), []
        rows = self._rows()
        found = in_order({kind for _, _, kind in rows})
        self.classes = list(class_names) or found
        check_classes(self.folder, found, self.classes, "class")
        places = locate(
            [name for _, name, _ in rows], self.folder.parent, self.folder, lambda k: f"line {rows[k][0]}",
            allow_outside=allow_outside,
        )  # fmt: skip
        self.notes += note(places)
        numbers = {name: label for label, name in enumerate(self.classes)}
        self.images = [(str(path), numbers[kind]) for path, (_, _, kind) in zip(places.paths, rows)]
        missing = [rows[index][1] for index in sorted(places.missing)]
        if len(missing) == len(rows):
            raise UserError(f"{self.folder}: none of its {len(rows)} images is there; looked for {places.paths[0]}")
        if missing:
            self.notes.append(f"{len(missing)} of the files it names are missing: {named(missing)}")
        used = {label for _, label in self.images}
        if empty := [name for label, name in enumerate(self.classes) if label not in used]:
            self.notes.append(f"{len(empty)} classes have no image: {named(empty)}")

    def __len__(self) -> int:
        return len(self.images)

    def _rows(self) -> list[Row]:
        """File and class of every row that has both, each file once."""
        try:
            lines = read_lines(self.folder)
        except FileNotFoundError:
            raise UserError(f"{self.folder} does not exist") from None
        if not lines:
            raise UserError(f"{self.folder} is empty")
        separator = max(SEPARATORS, key=lines[0][1].count)
        cells = [(number, self._cells(number, line, separator)) for number, line in lines]
        file, kind, first = _columns(self.folder, cells)
        rows, short_rows, classes = [], [], {}
        for number, row in cells[first:]:
            if len(row) <= max(file, kind) or not row[file] or not row[kind]:
                short_rows.append(f"line {number}")
            elif row[file] not in classes:
                classes[row[file]] = row[kind]
                rows.append((number, row[file], row[kind]))
            elif classes[row[file]] != row[kind]:
                where = f"{self.folder}, line {number}: {plain(row[file])} is of class {plain(row[kind])}"
                raise UserError(f"{where}, and of class {plain(classes[row[file]])} above")
        if short_rows:
            self.notes.append(f"{len(short_rows)} rows have no file or no class, and are left out: {named(short_rows)}")
        if not rows:
            raise UserError(f"{self.folder} names no images")
        return rows


    def _cells(self, number: int, line: str, separator: str) -> list[str]:
        try:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True), [])]
        except csv.Error as error:
            raise UserError(f"{self.folder}, line {number}: no row of a table ({error})") from None


def is_table(path: str | Path) -> bool:
    """Whether a data set is named as a table is."""
    return str(path).lower().endswith(SUFFIXES)


def _columns(path: Path, cells: Sequence[tuple[int, list[str]]]) -> tuple[int, int, int]:
    """The columns of file and class, and the number of lines before the first row."""
    titles = [cell.lower().replace(" ", "_") for cell in cells[0][1]]
    file, kind = (next((titles.index(one) for one in known if one in titles), None) for known in (FILES, CLASSES))
    if file is not None and kind is not None:
        return file, kind, 1
    if file is not None or kind is not None or len(titles) != 2:
        what, known = ("file", FILES) if file is None else ("class", CLASSES)
        raise UserError(f"{path}: none of its columns {short(titles)} is the {what}'s; a title may be {listed(known)}")
    return 0, 1, 0


def in_order(classes: set[str]) -> list[str]:
    """Sorted by number where all are numbers, by text otherwise."""
    are_numbers = all(name.isascii() and name.isdecimal() and len(name) < 19 for name in classes)
    return sorted(classes, key=(lambda name: (int(name), name)) if are_numbers else None)
