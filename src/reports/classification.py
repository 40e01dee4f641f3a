"""The page of a classification: figures of each class, what is taken for what, the errors that it is surest of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.decoding import ImageRules
from ..data.formats.image_folder import ImageFolder
from ..data.images import read_bgr, why_unreadable
from ..evaluation.classification_eval import ClassificationResult
from ..evaluation.classification_images import ClassScores, ImageOutcome, confident_errors
from ..pages.page import Page
from .confusions import MATRIX, PAIRS, class_bars, confusion_section
from .image_names import relative_names
from .parts import begin, left_out

FILES = ("metrics.csv", "classes.csv", "images.csv", MATRIX, PAIRS)
MOST_BARS = 100  # classes of which the diagram still can be read
MOST_ERRORS = 40  # pictures
LONGEST_SIDE = 224  # pixels of a picture


def write_classification_report(
    folder: Path,
    dataset: ImageFolder,
    result: ClassificationResult,
    protocol: Mapping[str, object],
    font: str,
    max_pixels: int,
    rules: ImageRules,
) -> dict[str, Any]:
    """Write the page into `folder`, with its files; the facts for `report.json`.

    result: with the outcome of each image. font: for class names in diagrams. max_pixels, rules: how images are read.
    """
    names, scores = list(dataset.classes), ClassScores.of(result.confusion)
    metrics = {name: value if np.isfinite(value) else None for name, value in result.metrics().items()}
    metrics |= scores.macro()
    paths = relative_names([path for path, _ in dataset.images], Path(dataset.folder))
    page = begin(folder, "Classification report", metrics, protocol)
    page.line(
        "Unreadable images count as wrong in Top_1_Acc and Top_5_Acc, and in nothing else. The macro means are over "
        "the classes that occur or are predicted.",
        is_note=True,
    )
    _classes(page, scores, result.images, names, font)
    confusion_section(page, result.confusion, names, font, "images")
    _images(page, result.images, paths, names)
    pictures = _errors(page, dataset, result.images, paths, max_pixels, rules)
    unreadable = [dataset.images[one.index][0] for one in result.images if one.predicted is None]
    left_out(page, [f"{why_unreadable(path, max_pixels)}; counted as wrong" for path in unreadable])
    page.write()
    return {
        "task": "classification",
        "metrics": metrics,
        "protocol": dict(protocol),
        "classes": names,
        "images": len(dataset),
        "unreadable": result.unreadable,
        "pictures": pictures,
    }


def _classes(
    page: Page, scores: ClassScores, images: Sequence[ImageOutcome], names: Sequence[str], font: str
) -> None:
    page.heading("Classes")
    unreadable = Counter(one.label for one in images if one.predicted is None)
    in_top5 = Counter(one.label for one in images if one.in_top5)
    rows = [
        (name, int(scores.support[k]), unreadable[k], int(scores.predicted[k]), int(scores.right[k]),
         float(scores.precision[k]), float(scores.recall[k]), float(scores.f1[k]),
         in_top5[k] / max(int(scores.support[k]), 1))
        for k, name in enumerate(names)
    ]  # fmt: skip
    header = ("class", "images", "unreadable", "predicted", "right", "precision", "recall", "F1", "top-5 recall")
    page.table(header, rows, "classes.csv")
    if unseen := [name for name, row in zip(names, rows) if not row[1] and not row[3]]:
        page.line(f"Neither there nor predicted: {', '.join(unseen)}.")
    if len(names) <= MOST_BARS:
        class_bars(page, "f1", scores.f1, names, font, "F1")


def _images(page: Page, images: Sequence[ImageOutcome], paths: Sequence[str], names: Sequence[str]) -> None:
    header = ("image", "truth", "predicted", "right", "confidence", "probability_of_truth", "in_top5", "readable")
    page.csv("images.csv", header, [
        (paths[one.index], names[one.label], None if one.predicted is None else names[one.predicted],
         int(one.is_right), one.confidence, one.of_truth, int(one.in_top5), int(one.predicted is not None))
        for one in images
    ])  # fmt: skip


def _errors(
    page: Page, dataset: ImageFolder, images: Sequence[ImageOutcome], paths: Sequence[str], max_pixels: int,
    rules: ImageRules,
) -> dict[str, int]:  # fmt: skip
    """The pictures' files, each with the image's row of images.csv."""
    page.heading("Most confident errors")
    page.line("A network that is sure and wrong has been misled, or the label is wrong.", is_note=True)
    page.link("images.csv", "All images:")
    errors = confident_errors(images, MOST_ERRORS)
    if not errors:
        page.line("None.")
    shown, rows = {}, {one.index: row for row, one in enumerate(images)}
    for place, one in enumerate(errors, start=1):
        image = read_bgr(dataset.images[one.index][0], rules.upright, max_pixels, rules)
        if image is None:
            continue
        scale = LONGEST_SIDE / max(image.shape[:2])
        size = [max(round(side * scale), 1) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        truth, predicted = dataset.classes[one.label], dataset.classes[one.predicted]
        sure = f"{one.confidence:.3f}, the truth {one.of_truth:.3f}"
        caption = f"{truth}, taken for {predicted} ({sure}): {paths[one.index]}"
        shown[page.picture(f"error_{place:02d}", image, caption)] = rows[one.index]
    return shown
