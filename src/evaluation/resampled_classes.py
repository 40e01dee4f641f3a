"""Scores of a segmentation and of a classification for any choice of images, many choices at once.

Each function gives `bootstrap.Statistics`: from (I, B), how often each image is taken, to (S, B).
"""

from collections.abc import Sequence

import numpy as np

SEGMENTATION = ("mIoU", "pixel_acc", "mean_acc")
CLASSIFICATION = ("Top_1_Acc", "Top_5_Acc")


def iou_statistics(image: np.ndarray, label: np.ndarray, counts: np.ndarray, classes: int):
    """SEGMENTATION as `SegmentationResult` has them, then the IoU of each class.

    counts: (N, 3) pixels that are right, labelled and predicted, of N pairs of an image and a class, (N,) each.
    """
    own = _members(label, classes)

    def of(weights: np.ndarray) -> np.ndarray:
        draws = weights.shape[1]
        right, labelled, predicted = (np.zeros((classes, draws)) for _ in range(3))
        for k, rows in enumerate(own):
            right[k], labelled[k], predicted[k] = counts[rows].T.astype(np.float64) @ weights[image[rows]]
        iou = right / np.maximum(1, labelled + predicted - right)
        accuracy = right / np.maximum(1, labelled)
        pixels = right.sum(axis=0) / np.maximum(1, labelled.sum(axis=0))
        return np.concatenate([[iou.mean(axis=0), pixels, accuracy.mean(axis=0)], iou])

    return of


def accuracy_statistics(label: np.ndarray, is_right: np.ndarray, in_top5: np.ndarray, classes: int):
    """CLASSIFICATION, then the share of each class's images that are right. (I,) each; label -1: takes no part."""
    own = _members(label, classes)

    def of(weights: np.ndarray) -> np.ndarray:
        draws = weights.shape[1]
        total, right, top5 = (np.zeros((classes, draws)) for _ in range(3))
        for k, rows in enumerate(own):
            taken = weights[rows]
            total[k] = taken.sum(axis=0)
            right[k] = is_right[rows].astype(np.float64) @ taken
            top5[k] = in_top5[rows].astype(np.float64) @ taken
        sums = total.sum(axis=0)
        whole = [_share(one.sum(axis=0), sums) for one in (right, top5)]
        return np.concatenate([whole, _share(right, total)])

    return of


def _members(label: np.ndarray, classes: int) -> Sequence[np.ndarray]:
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(classes + 1))
    return [order[start:end] for start, end in zip(bounds, bounds[1:])]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
