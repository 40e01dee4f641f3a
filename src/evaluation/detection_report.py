"""All numbers of a detector's report, from its scores and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from .coco_eval import AREAS, DetectionScores
from .detection_analysis import DetectionAnalysis, analyse
from .detection_confusion import confusion_matrix
from .detection_curves import ClassCurve, class_curves
from .detection_images import ImageCounts, false_positives, image_counts
from .detection_matches import Matches, match_detections
from .label_errors import LabelError, likely_label_errors

IOU, SCORE = 0.5, 0.3  # from which on a detection is on an object, and from which it counts at all


@dataclass(frozen=True)
class DetectionReport:
    """scores: of COCO's evaluation; the rest at IoU 0.5, and where it asks for a score, from 0.3 on.

    confusion: (C + 1, C + 1), see `confusion_matrix`. wrong: false positives, most confident first, as indices into
    `matches`. labels: likely errors in them.
    """

    scores: DetectionScores
    matches: Matches
    analysis: DetectionAnalysis
    curves: list[ClassCurve]
    confusion: np.ndarray
    counts: ImageCounts
    wrong: np.ndarray
    labels: list[LabelError]

    def thresholds(self) -> dict[str, float | None]:
        """The score of each class from which on a detection is to be believed; None where there is no telling."""
        return {name: curve.threshold for name, curve in zip(self.matches.classes, self.curves)}

    def objects_by_size(self, kind: str) -> np.ndarray:
        """(C, 4) objects in each of AREAS that count in the evaluation of a kind."""
        table = self.scores.kinds[kind].table
        found = np.zeros((len(self.matches.classes), len(AREAS)), np.int64)
        np.add.at(found, table.object_label, ~table.object_ignored)
        return found


def report_of(scores: DetectionScores, classes: Sequence[str], results: Sequence[dict]) -> DetectionReport:
    """results: those that were scored; where one has a mask alone, the box around it is its box."""
    matches = match_detections(scores.truth, classes, [_boxed(one) for one in results], IOU)
    return DetectionReport(
        scores,
        matches,
        analyse(matches, SCORE),
        class_curves(matches),
        confusion_matrix(matches, SCORE),
        image_counts(matches, SCORE),
        false_positives(matches, SCORE),
        likely_label_errors(matches),
    )


def _boxed(result: dict) -> dict:
    return result if "bbox" in result else result | {"bbox": coco_mask.toBbox(result["segmentation"]).tolist()}
