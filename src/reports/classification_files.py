"""Confusion matrix and per-class accuracy of a classifier in four files, without a page."""

import io
from pathlib import Path

import numpy as np

from ..evaluation.classification_eval import ClassificationResult
from ..files import write_bytes
from ..inference.diagram_names import drawn_names, font_families
from ..pages.page import write_csv

FOUR_FILES = ("confusion_matrix.csv", "confusion_matrix.png", "per_class_accuracy.csv", "per_class_accuracy.png")
MOST_LABELLED = 40  # classes up to which the picture of the confusion matrix names them


def write_four_files(folder: Path, result: ClassificationResult, names: list[str], font: str = "") -> None:
    """`FOUR_FILES` in `folder`, which is made where it is not there. UserError where one cannot be written.

    font: a font file for names in a script that the usual fonts lack; a class without a font is drawn by its number.
    """
    import matplotlib

    matplotlib.use("Agg")
    matrix = ([name, *row.tolist()] for name, row in zip(names, result.confusion))
    write_csv(folder / "confusion_matrix.csv", ["true \\ predicted", *names], matrix)
    rows = [
        [name, int(total), "" if np.isnan(accuracy) else f"{accuracy:.6f}"]
        for name, total, accuracy in zip(names, result.confusion.sum(1), result.per_class)
    ]
    write_csv(folder / "per_class_accuracy.csv", ["class", "images", "accuracy"], rows)
    names, families = drawn_names(names, font)
    names = [name.replace("$", r"\$") for name in names]  # which would be a formula
    with font_families(families):
        _plot_confusion(folder / "confusion_matrix.png", result, names)
        _plot_per_class(folder / "per_class_accuracy.png", result, names)


def _plot_confusion(path: Path, result: ClassificationResult, names: list[str]) -> None:
    from matplotlib import pyplot

    shares = result.confusion / np.maximum(result.confusion.sum(1, keepdims=True), 1)
    side = min(4 + 0.4 * len(names), 16)
    figure, axis = pyplot.subplots(figsize=(side, side), dpi=110)
    picture = axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(picture, label="share of the true class", fraction=0.046)
    if len(names) <= MOST_LABELLED:
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
        for row, column in zip(*np.nonzero(result.confusion)):
            ink = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, result.confusion[row, column], ha="center", va="center", color=ink, fontsize=8)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    figure.tight_layout()
    _save(figure, path)


def _plot_per_class(path: Path, result: ClassificationResult, names: list[str]) -> None:
    from matplotlib import pyplot

    accuracy = np.nan_to_num(result.per_class)
    order = np.argsort(accuracy, kind="stable")
    figure, axis = pyplot.subplots(figsize=(min(4 + 0.3 * len(names), 20), 4), dpi=110)
    axis.bar(range(len(names)), accuracy[order])
    if len(names) <= MOST_LABELLED:
        axis.set_xticks(range(len(names)), [names[k] for k in order], rotation=90)
    axis.set_ylim(0, 1)
    axis.set_ylabel("accuracy")
    axis.set_title(f"top-1 {result.top1:.4f} over all images")
    figure.tight_layout()
    _save(figure, path)


def _save(figure, path: Path) -> None:
    from matplotlib import pyplot

    content = io.BytesIO()
    figure.savefig(content, format="png")
    pyplot.close(figure)
    write_bytes(path, content.getvalue())
