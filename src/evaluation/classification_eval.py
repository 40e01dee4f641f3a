"""Scores of a classifier: loss, top-1 and top-5, confusion matrix, per-class accuracy."""

from dataclasses import dataclass

import numpy as np

from .classification_images import ImageOutcome


@dataclass
class ClassificationResult:
    """confusion (C, C) int64: rows are the true classes; loss: mean cross entropy without smoothing.

    Unreadable images count as wrong in both accuracies; they are in no row of the matrix. images: the outcome of each,
    in their order, where that is asked for.
    """

    confusion: np.ndarray
    loss: float
    top1: float
    top5: float
    unreadable: int
    images: list[ImageOutcome] | None = None

    def metrics(self) -> dict[str, float]:
        return {"Loss": self.loss, "Top_1_Acc": self.top1, "Top_5_Acc": self.top5}

    @property
    def per_class(self) -> np.ndarray:
        """(C,) share of each class's readable images that were right; NaN for a class without images."""
        total = self.confusion.sum(1)
        return np.where(total > 0, np.diag(self.confusion) / np.maximum(total, 1), np.nan)
