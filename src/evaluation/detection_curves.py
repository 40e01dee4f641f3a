"""Precision, recall and F1 of each class above each score, and the score at which F1 is largest."""

from dataclasses import dataclass

import numpy as np

from .detection_matches import CORRECT, IGNORED, Matches


@dataclass(frozen=True)
class ClassCurve:
    """One class at the matches' threshold of IoU: what its detections of a score at least s are worth.

    objects, detections: how many there are; those that are ignored are not among them. scores: (S,) the different
    scores of its detections, highest first; precision, recall, f1: (S,) from each on.
    """

    objects: int
    detections: int
    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def best(self) -> int | None:
        """Where F1 is largest, at the highest score of equal ones; None for a class of which nothing is found."""
        return int(self.f1.argmax()) if self.f1.max(initial=0) > 0 else None

    @property
    def threshold(self) -> float | None:
        """The score from which on a detection is to be believed."""
        return None if self.best is None else float(self.scores[self.best])


def class_curves(matches: Matches) -> list[ClassCurve]:
    """A curve of each class.

    Two objects; detections of scores 0.9 (right), 0.8 (wrong), 0.7 (right): precision 1, 1/2, 2/3, recall 1/2, 1/2, 1,
    F1 2/3, 1/2, 4/5; the threshold is 0.7.
    """
    return [_curve(matches, label) for label in range(len(matches.classes))]


def _curve(matches: Matches, label: int) -> ClassCurve:
    objects = int((matches.object_label == label).sum())
    own = np.flatnonzero((matches.label == label) & (matches.outcome != IGNORED))
    own = own[np.argsort(-matches.score[own], kind="stable")]
    score = matches.score[own]
    last = np.flatnonzero(np.diff(score, append=-np.inf))  # of equal scores all count
    right = np.cumsum(matches.outcome[own] == CORRECT)[last]
    found = last + 1
    recall = right / objects if objects else np.zeros(len(last))
    return ClassCurve(objects, len(own), score[last], right / found, recall, 2 * right / (objects + found))
