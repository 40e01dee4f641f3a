"""Which detections without a partner are near ties."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from src.errors import UserError
from src.export.near_ties import Limits, near_ties
from src.export.parity import compare_detections

LIMITS = Limits(score=0.05, iou=0.5, slots=3)
FAR = ([50, 50, 60, 60], 0.7, 0)


def side(*detections: tuple) -> tuple[np.ndarray, ...]:
    boxes, scores, labels = zip(*detections) if detections else ((), (), ())
    return np.float32(boxes).reshape(-1, 4), np.float32(scores), np.int32(labels)


BOX, OVER, HALF = [0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5.0001]  # IoU with BOX 0.9, and as good as 0.5
ROW = [[x, 0, x + 10, 10] for x in (0, 3, 6)]  # each suppresses the next one, not the one after
KEPT = (BOX, 0.8, 0)
CASES = {  # left, right, those without a partner, how many of them are near ties
    "at the score's threshold": (side((BOX, 0.05005, 0)), side(), ([0], []), 1),
    "above it": (side((BOX, 0.06, 0)), side(), ([0], []), 0),
    "two with one score swap places": (side((BOX, 0.9, 0)), side((OVER, 0.90005, 0)), ([0], [0]), 2),
    "of two classes": (side((BOX, 0.9, 0)), side((OVER, 0.90005, 1)), ([0], [0]), 0),
    "with two scores": (side((BOX, 0.9, 0)), side((OVER, 0.91, 0)), ([0], [0]), 0),
    "an overlap at the threshold": (side(KEPT, (HALF, 0.6, 0)), side(KEPT), ([1], []), 1),
    "with a worse box": (side(KEPT, (HALF, 0.9, 0)), side(KEPT), ([1], []), 0),
    "the last slot": (side(FAR, FAR, (BOX, 0.3, 0)), side(FAR, FAR, (OVER, 0.30005, 1)), ([2], [2]), 2),
    "with a slot free": (side(FAR, (BOX, 0.3, 0)), side(FAR, (OVER, 0.30005, 1)), ([1], [1]), 0),
    "lost to one that swapped places": (
        side((ROW[0], 0.9, 0), (ROW[2], 0.6, 0)), side((ROW[1], 0.90005, 0)), ([0, 1], [0]), 3,
    ),
    "lost to another": (side((ROW[0], 0.9, 0), (ROW[2], 0.6, 0)), side((ROW[1], 0.95, 0)), ([0, 1], [0]), 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_near_ties_are_told_from_other_differences(case):
    left, right, alone, expected = CASES[case]
    assert near_ties(left, right, alone, LIMITS) == expected
    assert near_ties(right, left, alone[::-1], LIMITS) == expected


def test_where_all_classes_compete_a_near_tie_may_be_of_another_class():
    left, right, alone = side((BOX, 0.9, 0)), side((OVER, 0.90005, 1)), ([0], [0])
    assert near_ties(left, right, alone, LIMITS) == 0
    assert near_ties(left, right, alone, replace(LIMITS, class_agnostic=True)) == 2


def outputs(*detections: tuple) -> tuple[np.ndarray, ...]:
    boxes, scores, labels = side(*detections)
    return boxes[None], scores[None], labels[None], np.ones((1, len(boxes)), bool), np.ones((1, len(boxes), 2, 2))


def test_a_file_is_not_refused_over_near_ties_which_are_counted():
    nms = SimpleNamespace(iou_threshold=0.5, max_output=9)
    model = SimpleNamespace(selector=SimpleNamespace(score_threshold=0.05, nms=nms, nms_class_agnostic=False))
    one, other = outputs((BOX, 0.9, 0), FAR), outputs((OVER, 0.90005, 0), FAR)
    line = compare_detections("case", one, other, model)
    assert line.startswith("2 detections, 2 without a partner (2 of them near ties)")
    with pytest.raises(UserError, match="number of detections without a partner by 2"):
        compare_detections("case", one, outputs((OVER, 0.95, 0), FAR), model)
