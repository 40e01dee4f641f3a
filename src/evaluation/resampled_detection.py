"""COCO's AP of any choice of images, many choices at once: what `table_eval.accumulated` gives for each of them."""

from collections.abc import Mapping

import numpy as np

from .coco_eval import AREAS
from .table_eval import MatchTable

RECALLS = np.linspace(0.0, 1.0, 101)  # pycocotools' own
SCORES = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
AT = {"AP50": 0, "AP75": 5}  # which of the thresholds of IoU
ALMOST = 1e-9


def ap_statistics(tables: Mapping[str, MatchTable], classes: int):
    """`bootstrap.Statistics` of each kind's table: SCORES, then of each class AP in each of AREAS."""

    def of(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([_of_kind(table, classes, weights) for table in tables.values()])

    return of


def _of_kind(table: MatchTable, classes: int, weights: np.ndarray) -> np.ndarray:
    values, at = average_precision(table, classes, weights)
    rows = [_mean(values[:, 0]), *(_mean(at[:, k]) for k in range(len(AT)))]
    rows += [_mean(values[:, a]) for a in range(1, len(AREAS))]
    return np.concatenate([rows, values.reshape(-1, weights.shape[1])])


def average_precision(table: MatchTable, classes: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, A, B) AP of each class and area range, (C, 2, B) AP50 and AP75 of all sizes; NaN without an object.

    weights: (I, B), how often each image is taken. An image that is taken n times counts as n images would, one after
    the other, but that its copies of a detection stand together, also beside equal scores of the same image: within
    them precision only grows or recall stays, so that they are stepped through whole.
    """
    areas = table.object_ignored.shape[1]
    values = np.full((classes, areas, weights.shape[1]), np.nan)
    at = np.full((classes, len(AT), weights.shape[1]), np.nan)
    order = np.argsort(table.label, kind="stable")
    bounds = np.searchsorted(table.label[order], np.arange(classes + 1))
    objects = np.argsort(table.object_label, kind="stable")
    object_bounds = np.searchsorted(table.object_label[objects], np.arange(classes + 1))
    for k in range(classes):
        rows = order[bounds[k] : bounds[k + 1]]
        rows = rows[np.argsort(-table.score[rows], kind="stable")]
        own = objects[object_bounds[k] : object_bounds[k + 1]]
        for a in range(areas):
            counted = table.object_image[own[~table.object_ignored[own, a]]]
            if not len(counted):
                continue
            positives = _sum(weights, counted)
            found = _of_class(
                weights, table.image[rows], table.matched[rows, a], table.ignored[rows, a], np.maximum(positives, 1)
            )
            found[:, positives == 0] = np.nan
            values[k, a] = found.mean(axis=0)
            if a == 0:
                at[k] = found[list(AT.values())]
    return values, at


def _of_class(
    weights: np.ndarray, image: np.ndarray, matched: np.ndarray, ignored: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """(T, B) AP of a class's detections, best first: (D,) images, (D, T) matched and ignored; positives (B,)."""
    thresholds, draws = matched.shape[1], weights.shape[1]
    special = matched.any(axis=1) | (ignored.any(axis=1) != ignored.all(axis=1))
    places = np.flatnonzero(special)
    wrong = np.flatnonzero(~special & ~ignored[:, 0])  # at every threshold alike
    ends = np.searchsorted(wrong, places)
    before, taken = np.zeros((len(places), draws)), np.zeros(draws)
    for j, (start, end) in enumerate(zip([0, *ends[:-1]], ends)):
        if end > start:
            taken += _sum(weights, image[wrong[start:end]])
        before[j] = taken
    image, kept, right = image[places], ~ignored[places], (matched & ~ignored)[places]
    precision, counts = np.empty((len(places), draws)), np.empty((len(places), draws))
    return np.array([
        _at_threshold(weights, image, kept[:, t], right[:, t], before, positives, (precision, counts))
        for t in range(thresholds)
    ])  # fmt: skip


def _at_threshold(
    weights: np.ndarray, image: np.ndarray, kept: np.ndarray, right: np.ndarray, before: np.ndarray,
    positives: np.ndarray, space: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:  # fmt: skip
    """(B,) AP. before: (M, B) wrong detections before each of M that count at this threshold (`kept`) or not.

    space: of (M, B) each, to work in.
    """
    precision, counts = space
    draws = weights.shape[1]
    seen, hits, share, buffer, limit = (np.zeros(draws) for _ in range(5))
    index, reached, last = np.zeros(draws, np.intp), np.zeros(draws, bool), np.zeros(draws)
    n = 0
    for j in np.flatnonzero(kept):
        seen += weights[image[j]]
        if not right[j]:
            continue
        hits += weights[image[j]]
        np.add(before[j], seen, out=buffer)
        buffer += np.spacing(1)
        np.divide(hits, buffer, out=precision[n])
        # how many of the recalls are reached: 100 x share of them and one, but where rounding says otherwise
        np.divide(hits, positives, out=share)
        np.multiply(share, 100, out=buffer)
        buffer += ALMOST
        np.copyto(index, buffer, casting="unsafe")
        np.take(RECALLS, index, out=limit, mode="clip")
        np.less_equal(limit, share, out=reached)
        np.add(index, reached, out=counts[n])
        n += 1
    value, best = np.zeros(draws), np.zeros(draws)
    for j in range(n - 1, -1, -1):
        np.maximum(best, precision[j], out=best)
        np.subtract(counts[j], counts[j - 1] if j else last, out=buffer)
        buffer *= best
        value += buffer
    return value / len(RECALLS)


def _sum(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(B,) sum of some rows, each as often as it is named."""
    return weights[rows].sum(axis=0) if len(rows) < 4096 else np.bincount(rows, minlength=len(weights)) @ weights


def _mean(values: np.ndarray) -> np.ndarray:
    """(C, B) -> (B,) over the classes that are defined, NaN where none is."""
    is_defined = np.isfinite(values)
    count = is_defined.sum(axis=0)
    return np.where(count > 0, np.where(is_defined, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
