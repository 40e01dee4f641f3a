"""Scores of the single images of a segmentation, collected while they are evaluated; of the worst, their maps too."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

MOST_WORST = 20  # images whose maps are kept
LONGEST_SIDE = 480  # pixels of a map that is kept; every so many-th pixel of a larger one


@dataclass(frozen=True)
class ImageCounts:
    """Pixels of one image, number `index` of its set, of the classes that occur in it or are predicted there.

    classes, right, labelled, predicted: (n,) int64. An image that could not be read has nothing predicted, and so
    nothing right.
    """

    index: int
    classes: np.ndarray
    right: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray
    is_readable: bool = True

    @property
    def mean_iou(self) -> float | None:
        """Over the image's classes; None where all of it is ignored."""
        return float((self.right / (self.labelled + self.predicted - self.right)).mean()) if len(self.classes) else None

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled pixels that are right; None where none is labelled."""
        total = int(self.labelled.sum())
        return int(self.right.sum()) / total if total else None


@dataclass(frozen=True)
class ImageMaps:
    """Label and predicted classes of one image, both (h, w), `LONGEST_SIDE` pixels at most."""

    index: int
    mean_iou: float
    label: np.ndarray
    predicted: np.ndarray


@dataclass
class ImageScores:
    """counts: of every image that has a label, in the order of their coming. worst: those of the lowest mean IoU."""

    counts: list[ImageCounts] = field(default_factory=list)
    worst: list[ImageMaps] = field(default_factory=list)

    def add(self, index: int, confusion: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> None:
        """confusion: (C, C) of the image; label, predicted: (h, w)."""
        one = _counts(index, np.diag(confusion), confusion.sum(1), confusion.sum(0))
        self.counts.append(one)
        mean = one.mean_iou
        if mean is not None and (len(self.worst) < MOST_WORST or (mean, index) < _order(self.worst[-1])):
            self.worst = _lowest([*self.worst, ImageMaps(index, mean, _small(label), _small(predicted))])

    def add_unreadable(self, index: int, labelled: np.ndarray) -> None:
        """labelled: (C,) pixels of each class, all of which count as wrong."""
        nothing = np.zeros_like(labelled)
        self.counts.append(_counts(index, nothing, labelled, nothing, is_readable=False))


def merged_images(parts: Sequence[ImageScores]) -> ImageScores:
    """Of several parts of one set."""
    return ImageScores(
        sorted((one for part in parts for one in part.counts), key=lambda one: one.index),
        _lowest([one for part in parts for one in part.worst]),
    )


def _counts(
    index: int, right: np.ndarray, labelled: np.ndarray, predicted: np.ndarray, is_readable: bool = True
) -> ImageCounts:
    here = np.flatnonzero(labelled + predicted)
    return ImageCounts(index, here, right[here], labelled[here], predicted[here], is_readable)


def _order(one: ImageMaps) -> tuple[float, int]:
    return one.mean_iou, one.index


def _lowest(maps: Sequence[ImageMaps]) -> list[ImageMaps]:
    return sorted(maps, key=_order)[:MOST_WORST]


def _small(classes: np.ndarray) -> np.ndarray:
    height, width = classes.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST) if scale < 1 else classes.copy()
