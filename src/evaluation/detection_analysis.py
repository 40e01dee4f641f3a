"""Why a detector scores as it does: precision and recall of each class at a working threshold, and kinds of errors.

Detections that reach the score threshold are matched to objects by box, best score first, each to the free object of
its class with the highest IoU, if that reaches the IoU threshold. What then counts as what (after TIDE, simplified):

- duplicate: overlaps enough with an object of its class, but a better detection has taken that object
- localisation: best IoU with an object of its class is between 0.1 and the threshold
- confusion: overlaps enough with an object of another class
- background: everything else that matches nothing
- missed: an object without a match at which no localisation or confusion error points

Crowd regions excuse: a detection that matches nothing and lies inside one of its class to the IoU threshold is ignored.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco_mask

from ..data.formats.index import DetectionIndex
from .coco_eval import ground_truth

ERRORS = ("duplicate", "localisation", "confusion", "background", "missed")
TOUCHING = 0.1  # below this IoU a detection and an object have nothing to do with each other


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
    names = dict(zip(dataset.category_ids, dataset.classes))
    analysis = DetectionAnalysis(score_threshold, iou_threshold, {name: ClassCounts() for name in dataset.classes})
    objects, detections = ground_truth(dataset).imgToAnns, defaultdict(list)
    for result in results:
        if result["score"] >= score_threshold:
            detections[result["image_id"]].append(result)
    for image_id in dataset.image_ids:
        _analyse_image(analysis, names, objects.get(image_id, []), detections[image_id])
    return analysis


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


def _analyse_image(analysis: DetectionAnalysis, names: dict[int, str], objects: list[dict], detections: list[dict]):
    crowds = [one for one in objects if one["iscrowd"]]
    objects = [one for one in objects if not one["iscrowd"]]
    detections = sorted(detections, key=lambda one: -one["score"])
    iou = _overlaps(detections, objects, crowd=False)
    inside_crowd = _overlaps(detections, crowds, crowd=True)
    crowd_class = _category_equal(detections, crowds)
    same_class = _category_equal(detections, objects)

    taken = np.zeros(len(objects), bool)
    pointed_at = np.zeros(len(objects), bool)
    for one in objects:
        analysis.classes[names[one["category_id"]]].objects += 1
    for d, detection in enumerate(detections):
        counts = analysis.classes[names[detection["category_id"]]]
        own, free = iou[d] * same_class[d], iou[d] * same_class[d] * ~taken
        if free.max(initial=0) >= analysis.iou_threshold:
            taken[free.argmax()] = True
            counts.correct += 1
            counts.detections += 1
        elif (inside_crowd[d] * crowd_class[d]).max(initial=0) < analysis.iou_threshold:
            counts.detections += 1
            error, target = _error(own, iou[d] * ~same_class[d], analysis.iou_threshold)
            analysis.errors[error] += 1
            if error in ("localisation", "confusion"):
                pointed_at[target] = True
    analysis.errors["missed"] += int((~taken & ~pointed_at).sum())


def _error(own: np.ndarray, other: np.ndarray, iou_threshold: float) -> tuple[str, int]:
    """Kind of error of an unmatched detection and the object meant, from IoUs with objects of its class and others."""
    best_own, best_other = own.max(initial=0), other.max(initial=0)
    if best_own >= iou_threshold:
        return "duplicate", int(own.argmax())
    if best_own >= TOUCHING:
        return "localisation", int(own.argmax())
    if best_other >= iou_threshold:
        return "confusion", int(other.argmax())
    return "background", -1


def _overlaps(detections: list[dict], objects: list[dict], crowd: bool) -> np.ndarray:
    """(detections, objects) IoU of boxes; of crowds, the share of the detection inside."""
    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    boxes = [np.asarray([one["bbox"] for one in group], np.float64) for group in (detections, objects)]
    return np.asarray(coco_mask.iou(*boxes, [int(crowd)] * len(objects)))


def _category_equal(detections: list[dict], objects: list[dict]) -> np.ndarray:
    equal = [[ours["category_id"] == own["category_id"] for own in objects] for ours in detections]
    return np.array(equal, bool).reshape(len(detections), len(objects))
