"""pycocotools' evaluation with all matches in one table: the same numbers to the last digit, in a tenth of the time.

What its loops over images, classes, area ranges and thresholds work out one after the other is worked out together;
areas, IoU, the parameters and the summary are pycocotools' own.
"""

import contextlib
import io
import time
from dataclasses import dataclass, replace

import numpy as np
from pycocotools.cocoeval import COCOeval

from .matching import Group, match_best_first

LIMIT = 100  # detections of an image and class
ALMOST_ONE = 1 - 1e-10  # the highest threshold of IoU, as pycocotools has it


@dataclass(frozen=True)
class MatchTable:
    """What became of D detections and N objects, in A area ranges and at T thresholds of IoU.

    Detections stand by image, then class, best first; of an image and class there are those that count (100). Images
    and classes are indices into the evaluation's own sorted lists.
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


class TableEval(COCOeval):
    """COCOeval whose `table` takes the place of `evalImgs`."""

    table: MatchTable

    def evaluate(self) -> None:
        started = time.time()
        print("Running per image evaluation...")
        parameters = self.params
        print(f"Evaluate annotation type *{parameters.iouType}*")
        parameters.imgIds = list(np.unique(parameters.imgIds))
        parameters.catIds = list(np.unique(parameters.catIds))
        parameters.maxDets = sorted(parameters.maxDets)
        self._prepare()
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
        parameters = self.params
        ranges = np.asarray(parameters.areaRng, np.float64)
        found = [one for group in self._dts.values() for one in group]
        objects = [one for group in self._gts.values() for one in group]
        image, label = self._places(found)
        object_image, object_label = self._places(objects)
        score = np.array([one["score"] for one in found], np.float64)
        order = np.lexsort((-score, label, image))  # stable, as the order that `computeIoU` has
        image, label, score = image[order], label[order], score[order]
        starts = _starts(image, label)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
        counts = rank < parameters.maxDets[-1]
        order, image, label, score, rank = (one[counts] for one in (order, image, label, score, rank))

        is_crowd = np.array([bool(one["iscrowd"]) for one in objects], bool)
        area = np.array([one["area"] for one in objects], np.float64)
        ignored = is_crowd[:, None] | _outside(area, ranges)
        area = np.array([found[k]["area"] for k in order], np.float64)
        matched = np.zeros((len(order), len(ranges), len(parameters.iouThrs)), bool)
        on_ignored = np.zeros_like(matched)
        groups, places = self._groups(image, label, ignored, is_crowd)
        thresholds = np.minimum(parameters.iouThrs, ALMOST_ONE)
        for group, rows, taken in zip(groups, places, match_best_first(groups, thresholds)):
            matched[rows] = taken >= 0
            of_view = np.broadcast_to(group.ignored, (len(taken), *group.ignored.shape))
            on_ignored[rows] = np.take_along_axis(of_view, np.maximum(taken, 0), axis=2) & (taken >= 0)
        ignores = on_ignored | (~matched & _outside(area, ranges)[:, :, None])
        return MatchTable(image, label, score, rank, matched, ignores, object_image, object_label, ignored)

    def _places(self, entries: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """Indices of each entry's image and class among the sorted ids."""
        return tuple(
            np.searchsorted(ids, [one[key] for one in entries]).astype(np.int32)
            for ids, key in ((self.params.imgIds, "image_id"), (self.params.catIds, "category_id"))
        )

    def _groups(
        self, image: np.ndarray, label: np.ndarray, ignored: np.ndarray, is_crowd: np.ndarray
    ) -> tuple[list[Group], list[slice]]:
        """The groups that have both detections and objects, and where their detections stand."""
        starts = _starts(image, label)
        rows = {
            (self.params.imgIds[image[start]], self.params.catIds[label[start]]): slice(start, end)
            for start, end in zip(starts, [*starts[1:], len(image)])
        }
        groups, places, first = [], [], 0
        for key, objects in self._gts.items():
            own = slice(first, first + len(objects))
            first = own.stop
            if key in rows and objects:
                overlaps = np.asarray(self.computeIoU(*key))
                groups.append(Group(overlaps, ignored[own].T, is_crowd[own]))
                places.append(rows[key])
        return groups, places


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


def _starts(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Where a new image or class begins."""
    changes = np.flatnonzero((np.diff(image) != 0) | (np.diff(label) != 0)) + 1
    return np.concatenate(([0], changes)) if len(image) else changes


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """(N, A): whether an area lies outside of each range."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])
