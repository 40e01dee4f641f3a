"""The page of a segmentation: figures of each class, what is taken for what, the worst images beside their errors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.formats.segmentation_list import SegmentationDataset
from ..evaluation.segmentation_eval import SegmentationResult
from ..evaluation.segmentation_images import LONGEST_SIDE
from ..inference.panels import segmentation_row
from ..pages.page import Page
from .confusions import MATRIX, PAIRS, class_bars, confusion_section
from .image_names import relative_names
from .parts import begin, left_out

FILES = ("metrics.csv", "classes.csv", "images.csv", "image_classes.csv", MATRIX, PAIRS)
MOST_BARS = 100  # classes of which the diagram still can be read


def write_segmentation_report(
    folder: Path, dataset: SegmentationDataset, result: SegmentationResult, protocol: Mapping[str, object], font: str
) -> dict[str, Any]:
    """Write the page into `folder`, with its files; the facts for `report.json`. result: with the scores of images."""
    names, metrics = list(dataset.labels.names), result.metrics()
    page = begin(folder, "Segmentation report", metrics, protocol)
    _classes(page, result, names, font)
    confusion_section(page, result.confusion, names, font, "pixels")
    paths = relative_names([image for image, _ in dataset.samples], dataset.root)
    _images(page, result, paths, names)
    pictures = _worst_images(page, dataset, result, paths)
    left_out(page, result.unreadable)
    page.write()
    return {
        "task": "segmentation",
        "metrics": metrics,
        "protocol": dict(protocol),
        "classes": names,
        "images": len(dataset),
        "classes_neither_there_nor_predicted": [name for name, is_one in zip(names, result.absent) if is_one],
        "unreadable": len(result.unreadable),
        "pictures": pictures,
    }


def _classes(page: Page, result: SegmentationResult, names: Sequence[str], font: str) -> None:
    page.heading("Classes")
    labelled, predicted, total = result.labelled, result.confusion.sum(0), max(int(result.labelled.sum()), 1)
    right = result.confusion.diagonal()
    rows = [
        (name, float(result.iou[k]), float(result.class_accuracy[k]), float(right[k] / max(predicted[k], 1)),
         float(labelled[k] / total), int(labelled[k]), int(predicted[k]), int(right[k]))
        for k, name in enumerate(names)
    ]  # fmt: skip
    header = ("class", "IoU", "accuracy", "precision", "share of pixels", "labelled", "predicted", "right")
    page.table(header, rows, "classes.csv")
    if result.absent.any():
        absent = ", ".join(name for name, is_one in zip(names, result.absent) if is_one)
        rest = result.iou[~result.absent]
        mean = f"{rest.mean():.4f}" if len(rest) else "0"
        page.line(f"Neither there nor predicted, and counted as 0 in the mean: {absent}. mIoU of the others: {mean}.")
    if result.missed.any():
        page.line(f"{int(result.missed.sum())} labelled pixels are of images that cannot be read: they count as wrong.")
    if len(names) <= MOST_BARS:
        class_bars(page, "iou", result.iou, names, font, "IoU")


def _images(page: Page, result: SegmentationResult, paths: Sequence[str], names: Sequence[str]) -> None:
    """images.csv, and by class image_classes.csv: the counts of which every score is made."""
    counts = result.images.counts
    header = ("image", "mIoU", "pixel_accuracy", "labelled", "right", "readable")
    page.csv("images.csv", header, [
        (paths[one.index], one.mean_iou, one.accuracy, int(one.labelled.sum()), int(one.right.sum()),
         int(one.is_readable))
        for one in counts
    ])  # fmt: skip
    header = ("image", "class", "right", "labelled", "predicted")
    page.csv("image_classes.csv", header, [
        (paths[one.index], names[k], *map(int, row))
        for one in counts
        for k, *row in zip(one.classes, one.right, one.labelled, one.predicted)
    ])  # fmt: skip


def _worst_images(
    page: Page, dataset: SegmentationDataset, result: SegmentationResult, paths: Sequence[str]
) -> dict[str, int]:
    """The pictures' files, each with the image's row of images.csv."""
    page.heading("Worst images")
    page.line("By the mean IoU over the classes that are in the image or are predicted there. Errors: wrong pixels are "
              "red, ignored ones black.", is_note=True)  # fmt: skip
    page.link("images.csv", "All images:")
    page.link("image_classes.csv", "The pixels of each class in them:")
    palette, accuracy = dataset.labels.palette[..., ::-1], {one.index: one.accuracy for one in result.images.counts}
    shown, rows = {}, {one.index: row for row, one in enumerate(result.images.counts)}
    for place, one in enumerate(result.images.worst, start=1):
        image = dataset.read_image(one.index)
        if image is not None:
            row = segmentation_row(image, one.label, one.predicted, palette, LONGEST_SIDE)
            share = accuracy[one.index]
            right = "no pixel labelled" if share is None else f"pixel accuracy {share:.3f}"
            file = page.picture(f"worst_{place:02d}", row, f"{paths[one.index]}: mIoU {one.mean_iou:.3f}, {right}")
            shown[file] = rows[one.index]
    return shown
