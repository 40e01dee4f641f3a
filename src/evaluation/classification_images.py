"""What a classifier says of each image, and of each class: precision, recall, F1 as scikit-learn defines them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..inference.probabilities import probabilities


@dataclass(frozen=True)
class ImageOutcome:
    """Of image number `index` of its set. label, predicted: classes; predicted is None of an unreadable image.

    confidence: probability of the predicted class; of_truth: of the true one. in_top5: the true one is among the five
    likeliest.
    """

    index: int
    label: int
    predicted: int | None = None
    confidence: float | None = None
    of_truth: float | None = None
    in_top5: bool = False

    @classmethod
    def of(cls, index: int, label: int, logits: np.ndarray, in_top5: bool) -> "ImageOutcome":
        """logits: (C,) float64."""
        shares = probabilities(logits)
        predicted = int(logits.argmax())
        return cls(index, label, predicted, float(shares[predicted]), float(shares[label]), bool(in_top5))

    @property
    def is_right(self) -> bool:
        return self.predicted == self.label


@dataclass(frozen=True)
class ClassScores:
    """(C,) of each class of a confusion matrix, rows the true classes.

    support: its readable images; predicted: how often it was; right: both. precision, recall, f1: 0 where nothing
    defines them.
    """

    support: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, confusion: np.ndarray) -> "ClassScores":
        return cls(confusion.sum(1), confusion.sum(0), np.diag(confusion))

    @property
    def precision(self) -> np.ndarray:
        return self.right / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> np.ndarray:
        return self.right / np.maximum(self.support, 1)

    @property
    def f1(self) -> np.ndarray:
        return 2 * self.right / np.maximum(self.support + self.predicted, 1)

    def macro(self) -> dict[str, float]:
        """Means over the classes that occur or are predicted."""
        seen = (self.support + self.predicted) > 0
        values = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {f"macro_{name}": float(value[seen].mean()) if seen.any() else 0.0 for name, value in values.items()}


def confident_errors(images: Sequence[ImageOutcome], most: int) -> list[ImageOutcome]:
    """The wrong predictions with the highest confidence, that first."""
    wrong = [one for one in images if one.predicted is not None and not one.is_right]
    return sorted(wrong, key=lambda one: (-one.confidence, one.index))[:most]
