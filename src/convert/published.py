"""The public checkpoints that configurations of `configs/` convert: `published_weights.csv`, a row a file.

Its columns are the fields of `Published`. What could not be looked up is empty; every row says where it was read.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("published_weights.csv")


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


def known_sha256(file: str) -> str:
    """The beginning of the SHA-256 of the published file of this name; empty where none, or several, are known."""
    found = {row.sha256 for row in published_weights() if row.file == file}
    return found.pop() if len(found) == 1 else ""


def _published(row: Mapping[str, str]) -> Published:
    scores = dict(score.split("=") for score in row["scores"].split())
    lists = {name: tuple(row[name].split()) for name in ("configs", "backbone_of")}
    return Published(**{**row, **lists, "scores": {name: float(value) for name, value in scores.items()}})
