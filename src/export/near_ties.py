"""Detections that two runtimes may decide either way: numbers so near to one another that rounding tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEAR = 1e-4  # of two scores, of a score and its threshold, of an IoU and its threshold

Side = tuple[np.ndarray, ...]  # boxes (N, 4), scores (N,), labels (N,), ...


@dataclass(frozen=True)
class Limits:
    """What chose the detections: scores above `score`, NMS above `iou` within each class, or over all classes together
    (`class_agnostic`), the best `slots` of an image.
    """

    score: float
    iou: float
    slots: int
    class_agnostic: bool = False


def near_ties(left: Side, right: Side, alone: tuple[Sequence[int], Sequence[int]], limits: Limits) -> int:
    """How many of the detections without a partner, `alone` by their numbers on either side, are near ties.

    One is if its score is at the threshold, or at the last one's where all slots are in use; if its IoU with a better
    one of its class is at the threshold; if one of its class with nearly its score stands in its place; or if it lost
    its place to one of these.
    """
    sides = (left, right)
    told: set[tuple[int, int]] = set()
    for side, numbers in enumerate(alone):
        told |= {(side, k) for k in numbers if _is_near(sides[side], k, sides[1 - side], limits)}
    open_ones = {(side, k) for side, numbers in enumerate(alone) for k in numbers} - told
    while True:
        lost = {(side, k) for side, k in open_ones if _lost_to(sides, side, k, told, limits)}
        if not lost:
            return len(told)
        told |= lost
        open_ones -= lost


def _is_near(own: Side, k: int, other: Side, limits: Limits) -> bool:
    score = own[1][k]
    if score - limits.score <= NEAR:
        return True
    if any(len(scores) == limits.slots and score - scores.min() <= NEAR for scores in (own[1], other[1])):
        return True
    for boxes, scores, labels in (own[:3], other[:3]):
        ious = _overlaps(own[0][k], boxes)
        rivals = (labels == own[2][k]) | limits.class_agnostic
        if (rivals & (scores >= score - NEAR) & (np.abs(ious - limits.iou) <= NEAR)).any():
            return True
        if boxes is other[0] and (rivals & (np.abs(scores - score) <= NEAR) & (ious > limits.iou)).any():
            return True
    return False


def _lost_to(sides: tuple[Side, Side], side: int, k: int, told: set[tuple[int, int]], limits: Limits) -> bool:
    own, other = sides[side], sides[1 - side]
    ious = _overlaps(own[0][k], other[0])
    rivals = (other[2] == own[2][k]) | limits.class_agnostic
    return any(
        where != side and rivals[j] and ious[j] > limits.iou and other[1][j] > own[1][k]
        for where, j in told
    )


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with each of (N, 4)."""
    sides = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None)
    shared = sides.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, np.finfo(np.float32).tiny)
