"""Why a detector scores as it does: precision and recall of each class at a working threshold, and kinds of errors.

Detections that reach the score threshold count as `detection_matches` says; those that are ignored are left out. An
object is missed where no detection takes it and no localisation or confusion error points at it.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ..data.formats.index import DetectionIndex
from .coco_eval import ground_truth
from .detection_matches import CONFUSION, CORRECT, IGNORED, LOCALISATION, OUTCOMES, Matches, match_detections

ERRORS = ("duplicate", "localisation", "confusion", "background", "missed")


@dataclass
class ClassCounts:
    """Outcomes of one class at the working threshold."""

    objects: int = 0
    detections: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        return self.correct / self.detections if self.detections else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.objects if self.objects else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.correct / (self.objects + self.detections) if self.correct else 0.0


@dataclass
class DetectionAnalysis:
    """Counts of each class (by name, in the data set's order) and of each kind of error."""

    score_threshold: float
    iou_threshold: float
    classes: dict[str, ClassCounts]
    errors: Counter = field(default_factory=Counter)


def analyse_detections(
    dataset: DetectionIndex, results: list[dict], score_threshold: float = 0.3, iou_threshold: float = 0.5
) -> DetectionAnalysis:
    """Analysis of COCO results, all of which have boxes, against every image of `dataset`."""
    return analyse(match_detections(ground_truth(dataset), dataset.classes, results, iou_threshold), score_threshold)


def analyse(matches: Matches, score_threshold: float = 0.3) -> DetectionAnalysis:
    """Analysis of the detections that reach the score threshold."""
    seen = matches.score >= score_threshold
    counts = [
        np.bincount(labels, minlength=len(matches.classes)).tolist()
        for labels in (
            matches.object_label,
            matches.label[seen & (matches.outcome != IGNORED)],
            matches.label[seen & (matches.outcome == CORRECT)],
        )
    ]
    classes = {name: ClassCounts(*own) for name, *own in zip(matches.classes, *counts)}
    kinds = np.bincount(matches.outcome[seen], minlength=len(OUTCOMES)).tolist()
    errors = Counter({name: count for name, count in zip(OUTCOMES, kinds) if count and name in ERRORS})
    if missed := int((~matches.found_above(score_threshold) & ~pointed_at(matches, score_threshold)).sum()):
        errors["missed"] = missed
    return DetectionAnalysis(score_threshold, matches.iou_threshold, classes, errors)


def pointed_at(matches: Matches, score_threshold: float) -> np.ndarray:
    """(N,) bool: the objects that a localisation or confusion error is about."""
    is_error = (matches.outcome == LOCALISATION) | (matches.outcome == CONFUSION)
    found = np.zeros(len(matches.object_label), bool)
    found[matches.target[is_error & (matches.score >= score_threshold)]] = True
    return found


def format_analysis(analysis: DetectionAnalysis) -> str:
    """The classes that occur, one a line, then the errors."""
    occurring = {name: counts for name, counts in analysis.classes.items() if counts.objects or counts.detections}
    total = ClassCounts()
    for counts in occurring.values():
        total.objects += counts.objects
        total.detections += counts.detections
        total.correct += counts.correct
    width = max(len(name) for name in ("all classes", *occurring))
    lines = [
        f"Detections with score >= {analysis.score_threshold} at IoU {analysis.iou_threshold}:",
        f"{'class':<{width}}  objects  detected  correct  precision  recall     F1",
    ]
    for name, counts in (occurring | {"all classes": total}).items():
        lines.append(
            f"{name:<{width}}  {counts.objects:>7}  {counts.detections:>8}  {counts.correct:>7}"
            f"  {counts.precision:>9.3f}  {counts.recall:>6.3f}  {counts.f1:>5.3f}"
        )
    lines.append("Errors: " + ", ".join(f"{name} {analysis.errors[name]}" for name in ERRORS))
    return "\n".join(lines)
