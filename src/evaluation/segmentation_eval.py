"""Scores of a segmentation network: confusion matrix over every pixel of the set, IoU, accuracies.

Counts and IoU are the HRNet authors' (`get_confusion_matrix`, `testval`): a class that neither occurs nor is predicted
has IoU 0 and counts in the mean. Such classes are named, and the mean without them is printed too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.formats.segmentation_list import SegmentationDataset
from ..process.log_words import Words
from .segmentation_images import ImageScores, merged_images


@dataclass
class SegmentationResult:
    """confusion (C, C) int64 pixels: rows are the true classes, columns the predicted ones.

    missed (C,) int64: labelled pixels of images that could not be read; they count as wrong.
    unreadable: a line for each image or label that could not be read. images: scores of each, where they are asked for.
    """

    confusion: np.ndarray
    missed: np.ndarray
    unreadable: list[str] = field(default_factory=list)
    images: ImageScores | None = None

    @classmethod
    def empty(cls, num_classes: int, with_images: bool = False) -> "SegmentationResult":
        images = ImageScores() if with_images else None
        return cls(np.zeros((num_classes, num_classes), np.int64), np.zeros(num_classes, np.int64), images=images)

    @property
    def labelled(self) -> np.ndarray:
        """(C,) pixels of each true class."""
        return self.confusion.sum(1) + self.missed

    @property
    def iou(self) -> np.ndarray:
        """(C,) intersection over union; 0 for a class that neither occurs nor is predicted."""
        hits = np.diag(self.confusion)
        return hits / np.maximum(1, self.labelled + self.confusion.sum(0) - hits)

    @property
    def absent(self) -> np.ndarray:
        """(C,) bool: classes that neither occur nor are predicted."""
        return (self.labelled + self.confusion.sum(0)) == 0

    @property
    def class_accuracy(self) -> np.ndarray:
        """(C,) share of each class's pixels that were right; 0 for a class without pixels."""
        return np.diag(self.confusion) / np.maximum(1, self.labelled)

    def add_unreadable(self, why: str, label: np.ndarray | None, ignore_label: int, index: int = -1) -> None:
        """An image that cannot be read is wrong everywhere; without its label there is nothing to count.

        index: its number, for the scores of each image.
        """
        outcome = "left out, since nothing tells what is right" if label is None else "counted as wrong"
        self.unreadable.append(f"{why}; {outcome}")
        if label is not None:
            labelled = np.bincount(label[label != ignore_label], minlength=len(self.missed))
            self.missed += labelled
            if self.images is not None:
                self.images.add_unreadable(index, labelled)

    def metrics(self) -> dict[str, float]:
        """mIoU, pixel accuracy, mean class accuracy."""
        total = max(int(self.labelled.sum()), 1)
        return {
            "mIoU": float(self.iou.mean()),
            "pixel_acc": float(np.trace(self.confusion) / total),
            "mean_acc": float(self.class_accuracy.mean()),
        }


def confusion_matrix(label: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: int) -> np.ndarray:
    """(C, C) int64 pixel counts of two (h, w) maps of classes; pixels of the ignored label are left out."""
    counted = label != ignore_label
    index = label[counted].astype(np.int64) * num_classes + prediction[counted]
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def merged(parts: Sequence[SegmentationResult]) -> SegmentationResult:
    """The result over the images of all parts."""
    return SegmentationResult(
        sum(part.confusion for part in parts),
        sum(part.missed for part in parts),
        [line for part in parts for line in part.unreadable],
        merged_images([part.images for part in parts]) if all(part.images is not None for part in parts) else None,
    )


def score_label_maps(
    dataset: SegmentationDataset,
    ignore_label: int,
    maps: Iterable[tuple[int, np.ndarray | None, np.ndarray | None]],
) -> SegmentationResult:
    """Result of (index, label, predicted classes) triples that another program's outputs gave."""
    num_classes = len(dataset.labels.names)
    result = SegmentationResult.empty(num_classes)
    for index, label, predicted in maps:
        if label is None or predicted is None:
            result.add_unreadable(dataset.why_unreadable(index), label, ignore_label)
        else:
            result.confusion += confusion_matrix(label, predicted, num_classes, ignore_label)
    return result


def print_result(result: SegmentationResult, names: Sequence[str], words: Words, **facts: Any) -> None:
    """The original's block with mIoU and IoU array in these words, then accuracies and a table of the classes.

    facts: what the block's first line may name.
    """
    for line in result.unreadable:
        print(f"unreadable: {line}")
    metrics = result.metrics()
    words.say("head", **facts)
    words.say("miou", miou=metrics["mIoU"])
    words.say("iou", iou=result.iou)
    words.say("foot")
    print(f"pixel accuracy: {metrics['pixel_acc']:.6f}, mean class accuracy: {metrics['mean_acc']:.6f}")
    width = max(len(name) for name in names)
    share = result.labelled / max(int(result.labelled.sum()), 1)
    print(f"{'class':<{width}}     IoU  accuracy  share of pixels")
    for row in zip(names, result.iou, result.class_accuracy, share):
        print("{:<{width}}  {:.4f}    {:.4f}  {:.4f}".format(*row, width=width))
    if result.absent.any():
        absent = [name for name, is_absent in zip(names, result.absent) if is_absent]
        rest = result.iou[~result.absent]
        print(
            f"{len(absent)} classes neither occur nor are predicted and count as 0: {', '.join(absent)}; "
            f"mean IoU of the others: {rest.mean() if len(rest) else 0:.6f}"
        )
    print(f"mIoU: {metrics['mIoU']:.4f}", flush=True)
