"""How well each image fares, and which detections are wrong."""

from dataclasses import dataclass

import numpy as np

from .detection_matches import CORRECT, IGNORED, Matches


@dataclass(frozen=True)
class ImageCounts:
    """(I,) int64 each, of detections that reach the score: what there is, what is right and what is wrong."""

    objects: np.ndarray
    detections: np.ndarray  # without those that are ignored
    correct: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """False positives."""
        return self.detections - self.correct

    @property
    def missed(self) -> np.ndarray:
        """Objects that no detection takes."""
        return self.objects - self.correct

    @property
    def errors(self) -> np.ndarray:
        return self.wrong + self.missed


def image_counts(matches: Matches, score_threshold: float = 0.3) -> ImageCounts:
    def count(images: np.ndarray) -> np.ndarray:
        return np.bincount(images, minlength=len(matches.images))

    seen = matches.score >= score_threshold
    return ImageCounts(
        count(matches.object_image),
        count(matches.image[seen & (matches.outcome != IGNORED)]),
        count(matches.image[seen & (matches.outcome == CORRECT)]),
    )


def worst_images(counts: ImageCounts, names: list[str], most: int = 20) -> list[int]:
    """Indices of the images with most errors, first by name of equal ones; those without an error are not among them.
    """
    wrong = [k for k in range(len(names)) if counts.errors[k]]
    return sorted(wrong, key=lambda k: (-counts.errors[k], names[k], k))[:most]


def false_positives(matches: Matches, score_threshold: float = 0.3) -> np.ndarray:
    """Detections that reach the score and are neither right nor ignored, most confident first."""
    is_wrong = (matches.outcome != CORRECT) & (matches.outcome != IGNORED) & (matches.score >= score_threshold)
    wrong = np.flatnonzero(is_wrong)
    return wrong[np.argsort(-matches.score[wrong], kind="stable")]
