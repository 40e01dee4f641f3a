"""How detections and objects lie on one another at one threshold of IoU: what error analysis and report start from.

Detections are matched to objects by box, best score first, each to the free object of its class with the highest IoU,
if that reaches the threshold. What then counts as what (after TIDE, simplified):

- correct: has taken an object
- ignored: has taken none and lies inside a crowd region of its class to the threshold
- duplicate: overlaps enough with an object of its class, but a better detection has taken that object
- localisation: best IoU with an object of its class is between 0.1 and the threshold
- confusion: overlaps enough with an object of another class
- background: everything else

A worse detection changes nothing for a better one: what counts as what is the same above whatever score one looks at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from .matching import Group, match_best_first

OUTCOMES = ("correct", "ignored", "duplicate", "localisation", "confusion", "background")
CORRECT, IGNORED, DUPLICATE, LOCALISATION, CONFUSION, BACKGROUND = range(len(OUTCOMES))
TOUCHING = 0.1  # below this IoU a detection and an object have nothing to do with each other


@dataclass(frozen=True)
class Matches:
    """D detections by image, best first, and N objects by image; crowds are not among them.

    images: the truth's entries, whose index `image` is; label: 0-based classes; boxes: xywh pixels.
    """

    iou_threshold: float
    classes: tuple[str, ...]
    images: list[dict]
    # detections
    result: np.ndarray  # (D,) int64: index into the results
    image: np.ndarray  # (D,) int32
    label: np.ndarray  # (D,) int32
    score: np.ndarray  # (D,) float64
    box: np.ndarray  # (D, 4) float64
    outcome: np.ndarray  # (D,) int8: of OUTCOMES
    target: np.ndarray  # (D,) int64: the object that was taken, or that the error points at; -1 for none
    target_iou: np.ndarray  # (D,) float64: with it, 0 for none
    touching: np.ndarray  # (D,) float64: the best IoU with any object
    in_crowd: np.ndarray  # (D,) float64: the largest share of it that lies inside a crowd region of any class
    # objects
    annotation: np.ndarray  # (N,) int64: index into the truth's annotations
    object_image: np.ndarray  # (N,) int32
    object_label: np.ndarray  # (N,) int32
    object_box: np.ndarray  # (N, 4) float64
    object_area: np.ndarray  # (N,) float64
    taker: np.ndarray  # (N,) int64: the detection that took it; -1 for none
    support: np.ndarray  # (N,) float64: the best score x IoU of the detections, of whatever class
    # pairs of a detection and an object, of whatever classes, that overlap to the threshold
    pair_detection: np.ndarray  # (P,) int64
    pair_object: np.ndarray  # (P,) int64

    def objects_of(self, label: int) -> int:
        return int((self.object_label == label).sum())

    def found_above(self, score: float) -> np.ndarray:
        """(N,) bool: taken by a detection of this score at least."""
        return (self.taker >= 0) & (np.append(self.score, -1.0)[self.taker] >= score)


def match_detections(
    truth: COCO, classes: Sequence[str], results: Sequence[dict], iou_threshold: float = 0.5
) -> Matches:
    """Matches of COCO results, all of which have boxes, and the objects of `truth` (see `coco_eval.ground_truth`)."""
    images, annotations = truth.dataset["images"], truth.dataset["annotations"]
    labels = {one["id"]: k for k, one in enumerate(truth.dataset["categories"])}
    places = {one["id"]: k for k, one in enumerate(images)}
    found = _boxes(results, places, labels)
    score = np.array([one["score"] for one in results], np.float64)
    order = np.lexsort((-score, found.image))  # stable
    found, score = found.of(order), score[order]
    labelled = _boxes(annotations, places, labels)
    is_crowd = np.array([bool(one["iscrowd"]) for one in annotations], bool)
    kept = np.argsort(labelled.image, kind="stable")
    kept, crowds = kept[~is_crowd[kept]], labelled.of(kept[is_crowd[kept]])
    objects = labelled.of(kept)

    pairs, inside = _pairs(found, objects, len(images)), _pairs(found, crowds, len(images), crowd=True)
    is_own = found.label[pairs.detection] == objects.label[pairs.object]
    own, other = pairs.of(is_own), pairs.of(~is_own)
    in_own_crowd = inside.of(found.label[inside.detection] == crowds.label[inside.object]).largest(len(score))
    taken = _taken(own.of(own.overlap >= iou_threshold), objects, iou_threshold, len(score))
    best_own, best_other = own.best(len(score)), other.best(len(score))
    outcome, target, target_iou = _outcomes(taken, best_own, best_other, in_own_crowd, iou_threshold)
    of_taken = own.of(taken[own.detection] == own.object)
    target_iou[of_taken.detection] = of_taken.overlap
    taker = np.full(len(kept), -1, np.int64)
    taker[taken[taken >= 0]] = np.flatnonzero(taken >= 0)
    support = np.zeros(len(kept))
    np.maximum.at(support, pairs.object, pairs.overlap * score[pairs.detection])
    near = pairs.of(pairs.overlap >= iou_threshold)
    return Matches(
        iou_threshold, tuple(classes), images, order, found.image, found.label, score, found.box, outcome, target,
        target_iou, pairs.largest(len(score)), inside.largest(len(score)), kept, objects.image, objects.label,
        objects.box, np.array([annotations[k]["area"] for k in kept], np.float64), taker, support, near.detection,
        near.object,
    )  # fmt: skip


@dataclass(frozen=True)
class _Boxes:
    """N boxes (N, 4) xywh with their image and class, as indices."""

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray

    def of(self, chosen: np.ndarray) -> "_Boxes":
        return _Boxes(self.image[chosen], self.label[chosen], self.box[chosen])


@dataclass(frozen=True)
class _Pairs:
    """P detections and objects of one image each that overlap, by detection, then object."""

    detection: np.ndarray
    object: np.ndarray
    overlap: np.ndarray

    def of(self, chosen: np.ndarray) -> "_Pairs":
        return _Pairs(self.detection[chosen], self.object[chosen], self.overlap[chosen])

    def largest(self, detections: int) -> np.ndarray:
        """(detections,) the largest overlap of each, 0 for none."""
        found = np.zeros(detections)
        np.maximum.at(found, self.detection, self.overlap)
        return found

    def best(self, detections: int) -> tuple[np.ndarray, np.ndarray]:
        """(detections,) the object that each overlaps most, the first of equal ones, and how much; -1 and 0 for none.
        """
        chosen, overlap = np.full(detections, -1, np.int64), np.zeros(detections)
        order = np.lexsort((-self.object, self.overlap))  # what is set last stays
        chosen[self.detection[order]] = self.object[order]
        overlap[self.detection[order]] = self.overlap[order]
        return chosen, overlap


def _boxes(entries: Sequence[dict], places: dict, labels: dict) -> _Boxes:
    return _Boxes(
        np.array([places[one["image_id"]] for one in entries], np.int32),
        np.array([labels[one["category_id"]] for one in entries], np.int32),
        np.array([one["bbox"] for one in entries], np.float64).reshape(-1, 4),
    )


def _pairs(found: _Boxes, objects: _Boxes, images: int, crowd: bool = False) -> _Pairs:
    """All that overlap, by IoU; of crowds by the share of the detection that lies inside. Both stand by image."""
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    bounds, ends = (np.searchsorted(one.image, np.arange(images + 1)) for one in (found, objects))
    for image in np.flatnonzero((np.diff(bounds) > 0) & (np.diff(ends) > 0)):
        first, first_object = bounds[image], ends[image]
        boxes = found.box[first : bounds[image + 1]], objects.box[first_object : ends[image + 1]]
        overlaps = np.asarray(coco_mask.iou(*boxes, [int(crowd)] * len(boxes[1])))
        rows, columns = np.nonzero(overlaps)
        parts.append((rows + first, columns + first_object, overlaps[rows, columns]))
    return _Pairs(*map(np.concatenate, zip(*parts)))


def _taken(pairs: _Pairs, objects: _Boxes, threshold: float, detections: int) -> np.ndarray:
    """(detections,) the object that each takes, -1 for none; pairs: of one class each, at the threshold."""
    taken = np.full(detections, -1, np.int64)
    image, label = objects.image[pairs.object], objects.label[pairs.object]
    order = np.lexsort((pairs.detection, label, image))
    changes = np.flatnonzero((np.diff(image[order]) != 0) | (np.diff(label[order]) != 0)) + 1
    groups, places = [], []
    for part in np.split(order, changes) if len(order) else ():
        rows, row = np.unique(pairs.detection[part], return_inverse=True)
        columns, column = np.unique(-pairs.object[part], return_inverse=True)  # of equal ones the first is taken
        overlaps = np.zeros((len(rows), len(columns)))
        overlaps[row, column] = pairs.overlap[part]
        none = np.zeros(len(columns), bool)
        groups.append(Group(overlaps, none[None], none))
        places.append((rows, -columns))
    for (rows, columns), found in zip(places, match_best_first(groups, [threshold])):
        place = found[:, 0, 0]
        taken[rows] = np.where(place >= 0, columns[place], -1)
    return taken


def _outcomes(
    taken: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    in_own_crowd: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each detection is, the object that it is about, and how much it overlaps one that it has not taken.

    own, other: the object of its class, and of other classes, that each overlaps most, and how much.
    """
    cases = (
        (taken >= 0, CORRECT, taken, 0.0),
        (in_own_crowd >= threshold, IGNORED, -1, 0.0),
        (own[1] >= threshold, DUPLICATE, *own),
        (own[1] >= TOUCHING, LOCALISATION, *own),
        (other[1] >= threshold, CONFUSION, *other),
    )
    conditions, outcomes, targets, overlaps = zip(*cases)
    return (
        np.select(conditions, outcomes, BACKGROUND).astype(np.int8),
        np.select(conditions, targets, -1).astype(np.int64),
        np.select(conditions, overlaps, 0.0),
    )
