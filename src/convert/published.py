"""The public checkpoints that configurations of `configs/` convert: `published_weights.csv`, a row a file.

Its columns are the fields of `Published`. What could not be looked up is empty; every row says where it was read.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ..errors import UserError, plain, short
from ..reading import read_text, why

TABLE = Path(__file__).with_name("published_weights.csv")
MOST_BYTES = 2**22  # of a table of one's own
NEEDED = ("file", "address")  # columns of it


@dataclass(frozen=True)
class Published:
    """A file that anyone can download.

    file: its name; empty where its page does not say it. project: whose it is; source: a name of `detect.SOURCES`.
    address: of the file, or of the page that leads to it. configs: configurations (names in `configs/` without .yaml)
    whose whole network it fills; backbone_of: those that it fills the backbone of.
    scores: published ones by this project's names of metrics, in per cent; data: on which images.
    sha256: the digest's beginning, as the file's name or its page says. read_from: where the row was read.
    """

    file: str
    project: str
    source: str
    address: str
    configs: tuple[str, ...]
    backbone_of: tuple[str, ...]
    scores: Mapping[str, float]
    data: str
    licence: str
    sha256: str
    read_from: str
    note: str


@cache
def published_weights() -> tuple[Published, ...]:
    """Every row of the table, in its order."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return tuple(_published(row) for row in csv.DictReader(file))


def read_table(path: Path) -> tuple[Published, ...]:
    """The rows of a table of one's own: as the project's, but that only `NEEDED` columns need to be there.

    UserError, naming file and line, for what is no such table.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, MOST_BYTES)), strict=True)
        names = [one.name for one in fields(Published)]
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or ())]:
            raise UserError(f"{path}: a table of weights has the columns {', '.join(NEEDED)}; {missing[0]} is missing")
        if unknown := [name for name in reader.fieldnames if name not in names]:
            raise UserError(f"{path}: unknown column {plain(unknown[0])}; they are {', '.join(names)}")
        found = []
        for row in reader:
            if None in row:
                raise UserError(f"{path}, line {reader.line_num}: it has more cells than there are columns")
            try:
                found.append(_published(dict.fromkeys(names, "") | {name: text or "" for name, text in row.items()}))
            except ValueError:
                wanted = "names and numbers: bbox_mAP=40.1 seg_mAP=36.0"
                raise UserError(f"{path}, line {reader.line_num}: scores are {wanted}") from None
        return tuple(found)
    except OSError as error:
        raise UserError(f"table of weights {short(str(path), 300)} cannot be read: {why(error)}") from None
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: no CSV ({error})") from None


def known_sha256(file: str) -> str:
    """The beginning of the SHA-256 of the published file of this name; empty where none, or several, are known."""
    found = {row.sha256 for row in published_weights() if row.file == file}
    return found.pop() if len(found) == 1 else ""


def _published(row: Mapping[str, str]) -> Published:
    """ValueError for scores that are none."""
    scores = dict(score.split("=") for score in row["scores"].split())
    lists = {name: tuple(row[name].split()) for name in ("configs", "backbone_of")}
    return Published(**{**row, **lists, "scores": {name: float(value) for name, value in scores.items()}})
