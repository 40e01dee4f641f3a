"""Least scores by class, as a report writes them and as `infer_score_thr` takes them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path

import yaml

from ..errors import UserError, is_text, listed, plain, short
from .read import read_documents_of


def thresholds_text(origin: str, thresholds: Iterable[tuple[str, float, str]]) -> str:
    """YAML of (class, least score, remark). origin: where they are from, in lines of comment above."""
    lines = [f"# {line}" for line in origin.splitlines()]
    for name, threshold, remark in thresholds:
        entry = yaml.safe_dump({name: float(threshold)}, allow_unicode=is_text(name), width=math.inf).rstrip("\n")
        lines.append(f"{entry}  # {remark}")
    return "\n".join(lines) + "\n"


def read_thresholds(path: str | Path) -> dict[str, float]:
    """Class -> least score. UserError, in one line, for a file that is none of these."""
    documents = read_documents_of(Path(path), f"thresholds file {plain(str(path), 200)}")
    values = documents[0] if len(documents) == 1 else None
    if not isinstance(values, dict):
        raise UserError(f"{path}: thresholds map each class to its least score ({{class: 0.5}})")
    for name, value in values.items():
        if not isinstance(name, str):
            raise UserError(f"{path}: class {short(name)} is no text as it stands: write it in quotes")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 <= value <= 1):
            raise UserError(f"{path}: the threshold of class {plain(name)} is {short(value)}; it must be from 0 to 1")
    return {name: float(value) for name, value in values.items()}


def class_thresholds(threshold: float | str, classes: Sequence[str], key: str) -> float | list[float]:
    """A number as it is; of a file's name the least score of each class, in order.

    UserError where the file has other classes than these. key: what has the value, for the message.
    """
    if not isinstance(threshold, str):
        return threshold
    return _in_order(read_thresholds(threshold), classes, f"{key}: {threshold}")


def chosen_thresholds(threshold: object, classes: Sequence[str], key: str) -> float | list[float]:
    """The same of what a program gives: a number from 0 to 1, a file's name, or the least score by class."""
    if isinstance(threshold, str | Path):
        return class_thresholds(str(threshold), classes, key)
    if isinstance(threshold, Mapping):
        values = {name: _score(value, f"{key}[{short(name)}]") for name, value in threshold.items()}
        return _in_order(values, classes, key)
    return _score(threshold, key)


def _score(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise UserError(f"{key} is {short(value)}; it must be from 0 to 1")
    return float(value)


def _in_order(known: Mapping[str, float], classes: Sequence[str], source: str) -> list[float]:
    for names, what in (
        ([name for name in classes if name not in known], "has no threshold for"),
        ([name for name in known if name not in set(classes)], "has a threshold for a class that the model lacks:"),
    ):
        if names:
            raise UserError(f"{source} {what} {listed(names)}")
    return [known[name] for name in classes]


def named_thresholds(threshold: float | list[float], classes: Sequence[str]) -> float | Mapping[str, float]:
    """What `class_thresholds` gave, for a file that says how predictions were made."""
    return dict(zip(classes, threshold)) if isinstance(threshold, list) else threshold
