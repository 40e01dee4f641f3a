"""pycocotools' evaluation with all matches in one table: the same numbers to the last digit, in a tenth of the time.

What its loops over images, classes, area ranges and thresholds work out one after the other is worked out together;
areas, IoU, the parameters and the summary are pycocotools' own.
"""

import contextlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from .matching import Group, match_reaching

LIMIT = 100  # detections of an image and class
ALMOST_ONE = 1 - 1e-10  # the highest threshold of IoU, as pycocotools has it


@dataclass(frozen=True)
class MatchTable:
    """What became of D detections and N objects, in A area ranges and at T thresholds of IoU.

    Detections stand by image, then class, best first; of an image and class there are those that count (100). Images
    and classes are indices into the evaluation's own sorted lists. Objects stand by image.
    """

    image: np.ndarray  # (D,) int32
    label: np.ndarray  # (D,) int32
    score: np.ndarray  # (D,) float64
    rank: np.ndarray  # (D,) int32: place among those of its image and class
    matched: np.ndarray  # (D, A, T) bool: takes an object
    ignored: np.ndarray  # (D, A, T) bool: counts neither as right nor as wrong
    object_image: np.ndarray  # (N,) int32
    object_label: np.ndarray  # (N,) int32
    object_ignored: np.ndarray  # (N, A) bool

    def renumbered(self, images: np.ndarray, labels: np.ndarray) -> "MatchTable":
        """With `images[i]` for image i and `labels[k]` for class k."""
        return replace(
            self,
            image=images[self.image],
            label=labels[self.label],
            object_image=images[self.object_image],
            object_label=labels[self.object_label],
        )


@dataclass(frozen=True)
class Entries:
    """N objects, or N detections, in the order of their file.

    image, label: (N,) int32. area: (N,) float64. shapes: boxes (N, 4) xywh, or N compressed RLEs. score: (N,) float64
    of detections. is_crowd: (N,) bool of objects. is_bare: (N,) bool: objects whose mask is unknown, see `MaskEval`.
    """

    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    shapes: np.ndarray | Sequence[dict]
    score: np.ndarray | None = None
    is_crowd: np.ndarray | None = None
    is_bare: np.ndarray | None = None


class TableEval(COCOeval):
    """COCOeval whose `table` takes the place of `evalImgs`; kind: bbox or segm; so many images and classes."""

    table: MatchTable

    def __init__(self, objects: Entries, found: Entries, kind: str, images: int, classes: int):
        super().__init__(iouType=kind)
        self.objects, self.found = objects, found
        self.params.imgIds, self.params.catIds = list(range(images)), list(range(classes))

    def evaluate(self) -> None:
        started = time.time()
        print("Running per image evaluation...")
        parameters = self.params
        print(f"Evaluate annotation type *{parameters.iouType}*")
        parameters.maxDets = sorted(parameters.maxDets)
        self.table = self._match()
        print(f"DONE (t={time.time() - started:0.2f}s).")

    def accumulate(self, p=None) -> None:
        print("Accumulating evaluation results...")
        started = time.time()
        parameters = self.params
        counts = (
            len(parameters.iouThrs), len(parameters.recThrs), len(parameters.catIds), len(parameters.areaRng),
            len(parameters.maxDets),
        )  # fmt: skip
        self.eval = accumulated(self.table, counts, parameters.recThrs, parameters.maxDets)
        self.eval |= {"params": parameters, "counts": list(counts)}
        print(f"DONE (t={time.time() - started:0.2f}s).")

    def summarize(self) -> None:
        """pycocotools' own has a limit of 100 detections an image and class written into its first line."""
        limits, text = self.params.maxDets, io.StringIO()
        self.params.maxDets = [*limits[:-1], LIMIT]
        with contextlib.redirect_stdout(text):
            super().summarize()
        self.params.maxDets = limits
        print(text.getvalue().replace(f"maxDets={LIMIT:>3d}", f"maxDets={limits[-1]:>3d}"), end="")

    def _match(self) -> MatchTable:
        parameters, objects, found = self.params, self.objects, self.found
        ranges = np.asarray(parameters.areaRng, np.float64)
        order = np.lexsort((-found.score, found.label, found.image))  # stable, as the order that `computeIoU` has
        image, label, score = found.image[order], found.label[order], found.score[order]
        starts = _starts(image, label)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
        counts = rank < parameters.maxDets[-1]
        order, image, label, score, rank = (one[counts] for one in (order, image, label, score, rank))

        own = np.lexsort((objects.label, objects.image))
        object_image, object_label, is_crowd = objects.image[own], objects.label[own], objects.is_crowd[own]
        ignored = is_crowd[:, None] | _outside(objects.area[own], ranges)
        matched = np.zeros((len(order), len(ranges), len(parameters.iouThrs)), bool)
        on_ignored = np.zeros_like(matched)
        places, places_of_objects = self._shared((image, label), (object_image, object_label))
        groups = [
            Group(self.overlaps(order[a:b], own[c:d]), ignored[c:d].T, is_crowd[c:d])
            for (a, b), (c, d) in zip(places.tolist(), places_of_objects.tolist())
        ]
        if groups:
            reaching, taken = match_reaching(groups, np.minimum(parameters.iouThrs, ALMOST_ONE))
            sizes = places[:, 1] - places[:, 0]
            before = places[:, 0] - (np.cumsum(sizes) - sizes)  # of each group the rows that are in none
            rows = reaching + np.repeat(before, sizes)[reaching]
            firsts = np.repeat(places_of_objects[:, 0], sizes)[reaching]
            matched[rows] = taken >= 0
            for a in range(len(ranges)):
                on_ignored[rows, a] = (taken[:, a] >= 0) & ignored[taken[:, a] + firsts[:, None], a]
        ignores = on_ignored | (~matched & _outside(found.area[order], ranges)[:, :, None])
        starts = _starts(object_image, object_label)
        first = np.repeat(own[starts], np.diff([*starts, len(own)]))
        as_labelled = np.lexsort((first, object_image))  # an image's classes in the order of their first objects
        of_objects = (one[as_labelled] for one in (object_image, object_label, ignored))
        return MatchTable(image, label, score, rank, matched, ignores, *of_objects)

    def overlaps(self, detections: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """(detections, objects) IoU of those with these indices; of a crowd the share of the detection inside."""
        crowds = self.objects.is_crowd[objects].astype(np.uint8)
        return np.asarray(coco_mask.iou(_of(self.found.shapes, detections), _of(self.objects.shapes, objects), crowds))

    def _shared(
        self, found: tuple[np.ndarray, np.ndarray], objects: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) each: where detections and objects of one image and class begin and end, of those that have both."""
        classes = len(self.params.catIds)
        keys = [image.astype(np.int64) * classes + label for image, label in (found, objects)]
        shared = np.intersect1d(*keys)
        return tuple(np.stack([np.searchsorted(one, shared, side) for side in ("left", "right")], 1) for one in keys)


def accumulated(table: MatchTable, counts: tuple[int, ...], recalls: np.ndarray, limits: list[int]) -> dict:
    """COCO's `precision` (T, R, K, A, M), `scores` of the same shape and `recall` (T, K, A, M).

    T thresholds of IoU, R recalls, K classes, A area ranges, M limits of detections an image and class; -1 where there
    is no object.
    """
    thresholds, _, classes, ranges, _ = counts
    precision, scores = -np.ones(counts), -np.ones(counts)
    recall = -np.ones((thresholds, classes, ranges, len(limits)))
    of_class = np.argsort(table.label, kind="stable")
    bounds = np.searchsorted(table.label[of_class], np.arange(classes + 1))
    for k in range(classes):
        rows = of_class[bounds[k] : bounds[k + 1]]
        rows = rows[np.argsort(-table.score[rows], kind="stable")]
        positives = (~table.object_ignored[table.object_label == k]).sum(axis=0)
        for m, limit in enumerate(limits):
            own = rows[table.rank[rows] < limit]
            for a in np.flatnonzero(positives):
                kept, matched = ~table.ignored[own, a], table.matched[own, a]
                right = np.cumsum(matched & kept, axis=0).astype(float)
                wrong = np.cumsum(~matched & kept, axis=0).astype(float)
                share = right / positives[a]
                recall[:, k, a, m] = share[-1] if len(own) else 0
                best = np.maximum.accumulate((right / (wrong + right + np.spacing(1)))[::-1], axis=0)[::-1]
                for t in range(thresholds):
                    places = np.searchsorted(share[:, t], recalls, side="left")
                    reached = places < len(own)
                    precision[t, :, k, a, m], scores[t, :, k, a, m] = 0, 0
                    precision[t, reached, k, a, m] = best[places[reached], t]
                    scores[t, reached, k, a, m] = table.score[own[places[reached]]]
    return {"precision": precision, "recall": recall, "scores": scores}


def _of(shapes: np.ndarray | Sequence[dict], chosen: np.ndarray) -> np.ndarray | list[dict]:
    return shapes[chosen] if isinstance(shapes, np.ndarray) else [shapes[k] for k in chosen.tolist()]


def _starts(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Where a new image or class begins."""
    changes = np.flatnonzero((np.diff(image) != 0) | (np.diff(label) != 0)) + 1
    return np.concatenate(([0], changes)) if len(image) else changes


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """(N, A): whether an area lies outside of each range."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])
