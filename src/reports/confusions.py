"""Of several classes one for each image or pixel: what is taken for what, and a figure a class as a diagram."""

from collections.abc import Sequence

import numpy as np

from ..inference.diagram_names import drawn_names, font_families
from ..pages import plots
from ..pages.page import Page

MOST_DRAWN, PART = 100, 40  # classes of a matrix that is drawn whole, and of what is drawn of a larger one
MOST_PAIRS = 30  # on the page; the file has all
MATRIX, PAIRS = "confusion.csv", "confusions.csv"


def confusion_section(page: Page, confusion: np.ndarray, names: Sequence[str], font: str, unit: str) -> None:
    """The section of the confusion matrix (C, C), rows the true classes; `confusion.csv` and `confusions.csv`.

    unit: what is counted ("images"). font: for names in a script that the usual fonts lack.
    """
    page.heading("Confusion matrix")
    shown = _most_wrong(confusion) if len(names) > MOST_DRAWN else np.arange(len(names))
    drawn, families = drawn_names([names[k] for k in shown], font)
    with font_families(families):
        picture = plots.confusion(confusion[np.ix_(shown, shown)], drawn, drawn)
    part = f" Of {len(names)} classes these are the {len(shown)} with the most errors; the file has all." * (
        len(shown) < len(names)
    )
    page.picture("confusion", picture, f"{unit.capitalize()}: truth down, prediction across, coloured by row.{part}")
    page.csv(MATRIX, ["true \\ predicted", *names], ([name, *row.tolist()] for name, row in zip(names, confusion)))
    page.link(MATRIX, "The whole matrix:")
    page.subheading("Most confused pairs")
    header = ("truth", "taken for", unit, "share of the class")
    rows = confused_pairs(confusion, names)
    page.csv(PAIRS, header, rows)
    page.table(header, rows[:MOST_PAIRS])
    page.link(PAIRS, f"{len(rows)} pairs:")


def confused_pairs(confusion: np.ndarray, names: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """(true class, predicted class, count, its share of the true class) of every pair that occurs, most first."""
    total = confusion.sum(1)
    wrong = confusion - np.diag(np.diag(confusion))
    rows, columns = np.nonzero(wrong)
    order = np.argsort(-wrong[rows, columns], kind="stable")
    return [
        (names[row], names[column], int(wrong[row, column]), float(wrong[row, column] / total[row]))
        for row, column in zip(rows[order], columns[order])
    ]


def class_bars(page: Page, picture: str, values: Sequence[float], names: Sequence[str], font: str, axis: str) -> None:
    """A diagram of a figure of each class, the best first. picture: its name."""
    best_first = np.argsort(-np.asarray(values, np.float64), kind="stable")
    drawn, families = drawn_names(names, font)
    bars: dict[str, float] = {}
    for k in best_first:
        name = drawn[k] if drawn[k] not in bars else f"{drawn[k]} ({k})"  # two names may be drawn alike
        bars[name] = float(values[k])
    with font_families(families):
        page.picture(picture, plots.bars(bars, axis))


def _most_wrong(confusion: np.ndarray) -> np.ndarray:
    """The classes with the most errors, those of others too, in the order of the classes."""
    wrong = confusion - np.diag(np.diag(confusion))
    return np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:PART])
