"""Scores of a classifier: loss, top-1 and top-5, confusion matrix, per-class accuracy, and a report of them."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import write_bytes, write_text
from ..inference.diagram_names import drawn_names, font_families

REPORT_FILES = ("confusion_matrix.csv", "confusion_matrix.png", "per_class_accuracy.csv", "per_class_accuracy.png")
MOST_LABELLED = 40  # classes up to which the picture of the confusion matrix names them


@dataclass
class ClassificationResult:
    """confusion (C, C) int64: rows are the true classes; loss: mean cross entropy without smoothing.

    Unreadable images count as wrong in both accuracies; they are in no row of the matrix.
    """

    confusion: np.ndarray
    loss: float
    top1: float
    top5: float
    unreadable: int

    @property
    def per_class(self) -> np.ndarray:
        """(C,) share of each class's readable images that were right; NaN for a class without images."""
        total = self.confusion.sum(1)
        return np.where(total > 0, np.diag(self.confusion) / np.maximum(total, 1), np.nan)


def write_report(folder: Path, result: ClassificationResult, names: list[str], font: str = "") -> None:
    """confusion_matrix.csv, per_class_accuracy.csv and pictures of both, `REPORT_FILES`, in `folder`.

    font: a font file for names in a script that the usual fonts lack; a class without a font is drawn by its number.
    """
    import matplotlib

    matplotlib.use("Agg")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "confusion_matrix.csv", _csv([["true \\ predicted", *names]], names, result.confusion))
        rows = [
            [name, int(total), "" if np.isnan(accuracy) else f"{accuracy:.6f}"]
            for name, total, accuracy in zip(names, result.confusion.sum(1), result.per_class)
        ]
        write_text(folder / "per_class_accuracy.csv", _csv([["class", "images", "accuracy"], *rows]))
        names, families = drawn_names(names, font)
        names = [name.replace("$", r"\$") for name in names]  # which would be a formula
        with font_families(families):
            _plot_confusion(folder / "confusion_matrix.png", result, names)
            _plot_per_class(folder / "per_class_accuracy.png", result, names)
    except OSError as error:
        raise UserError(f"report_dir {folder} cannot be written: {error.strerror or error}") from None
    print(f"Report written to {folder}")


def _csv(rows: list[list], names: list[str] = (), matrix: np.ndarray | None = None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(rows)
    for name, row in zip(names, matrix if matrix is not None else ()):
        writer.writerow([name, *row.tolist()])
    return text.getvalue()


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
