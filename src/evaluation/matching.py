"""Which detection takes which object: best score first, each the free object that it overlaps most.

The rule of COCO's evaluation and of the error analysis, worked out for all groups (an image's detections and objects of
one class), thresholds and choices of objects to ignore together: in round r every group matches its r-th detection.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MOST_VALUES = 2**22  # of an array that is worked on at once


@dataclass(frozen=True)
class Group:
    """D detections, best first, and G objects that they may take.

    overlaps: (D, G) IoU. ignored: (A, G) bool, in A ways of looking at them: an object that is ignored is taken only
    where no other can be. shared: (G,) bool: crowds, which any number of detections may take.
    """

    overlaps: np.ndarray
    ignored: np.ndarray
    shared: np.ndarray


def match_best_first(groups: Sequence[Group], thresholds: Sequence[float]) -> list[np.ndarray]:
    """The object that each detection of each group takes: (D, A, T) int32 of its index in the group, -1 for none.

    An object can be taken from an IoU of the threshold on. Of objects that are overlapped equally the last is taken.

    >>> squares = Group(np.array([[0.9, 0.6], [0.8, 0.0], [0.7, 0.6]]), np.zeros((1, 2), bool), np.zeros(2, bool))
    >>> match_best_first([squares], [0.5])[0].ravel()
    array([ 0, -1,  1], dtype=int32)
    """
    if not groups:
        return []
    rows, taken = match_reaching(groups, thresholds)
    ends = np.cumsum([len(one.overlaps) for one in groups])
    found = np.full((ends[-1], *taken.shape[1:]), -1, np.int32)
    found[rows] = taken
    return np.split(found, ends[:-1])


def match_reaching(groups: Sequence[Group], thresholds: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The same of the detections that reach an object, all others take none: (R,) their places among all groups'
    detections, one group after the other, and what they take, (R, A, T). There is a group.
    """
    thresholds = np.asarray(thresholds, np.float64)
    bounds = np.cumsum([0, *(len(one.overlaps) for one in groups)])
    best = np.concatenate([one.overlaps.max(axis=1, initial=-1.0) for one in groups])
    reaching = np.flatnonzero(best >= thresholds.min())
    inside = np.searchsorted(reaching, bounds)
    rows = [reaching[first:end] - start for first, end, start in zip(inside, inside[1:], bounds)]
    found = np.full((len(reaching), len(groups[0].ignored), len(thresholds)), -1, np.int32)
    for chosen in _parts(groups, rows, len(thresholds)):
        for k, own in zip(chosen, _match([groups[k] for k in chosen], [rows[k] for k in chosen], thresholds)):
            found[inside[k] : inside[k + 1]] = own
    return reaching, found


def _parts(groups: Sequence[Group], rows: Sequence[np.ndarray], thresholds: int) -> Iterator[list[int]]:
    """Indices of groups that are worked on together: alike in size, most detections first."""
    sizes = {k: (one.overlaps.shape[1].bit_length(), len(rows[k])) for k, one in enumerate(groups) if len(rows[k])}
    part: list[int] = []
    for k in sorted(sizes, key=lambda k: sizes[k], reverse=True):
        first = part[0] if part else k
        each = max(sizes[first][1], len(groups[first].ignored) * thresholds) << sizes[first][0]
        if part and (sizes[k][0] != sizes[first][0] or (len(part) + 1) * each > MOST_VALUES):
            yield part
            part = []
        part.append(k)
    if part:
        yield part


def _match(groups: Sequence[Group], rows: Sequence[np.ndarray], thresholds: np.ndarray) -> list[np.ndarray]:
    """(rows, A, T) of each group; groups with more rows come first."""
    most, views = len(rows[0]), len(groups[0].ignored)
    objects = max(one.overlaps.shape[1] for one in groups)
    overlaps = np.full((most, len(groups), objects), -1.0)
    ignored = np.zeros((len(groups), views, 1, objects), bool)
    shared = np.zeros((len(groups), 1, 1, objects), bool)
    for k, (one, own) in enumerate(zip(groups, rows)):
        width = one.overlaps.shape[1]
        overlaps[: len(own), k, :width] = one.overlaps[own]
        ignored[k, :, 0, :width], shared[k, 0, 0, :width] = one.ignored, one.shared
    free = np.ones((len(groups), views, len(thresholds), objects), bool)
    found = np.full((len(groups), most, views, len(thresholds)), -1, np.int32)
    counts = np.array(list(map(len, rows)))
    for r in range(most):
        n = int((counts > r).sum())
        own = overlaps[r, :n, None, None, :]
        reached = np.where((own >= thresholds[:, None]) & free[:n], own, -1.0)
        usual = _last_best(np.where(ignored[:n], -1.0, reached))
        best = np.where(usual >= 0, usual, _last_best(reached))
        found[:n, r] = best
        group, view, threshold = np.nonzero(best >= 0)
        place = best[group, view, threshold]
        free[group, view, threshold, place] = shared[group, 0, 0, place]
    return [found[k, : len(own)] for k, own in enumerate(rows)]


def _last_best(values: np.ndarray) -> np.ndarray:
    """Along the last axis the index of the largest value, the last of equal ones; -1 where none is at least 0."""
    index = values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1)
    best = np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
    return np.where(best >= 0, index, -1)
