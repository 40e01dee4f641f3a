import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.ops.soft_nms import Decay, SoftNms

LINEAR, GAUSSIAN = Decay("linear", 0.5, 0.05), Decay("gaussian", 0.4, 0.02)


def run(boxes, scores, groups, valid=None, threshold=0.3, slots=50, decay=LINEAR, portable=False, rule="moved"):
    """Indices of the kept boxes, best first, and their scores; of one image, or lists of them for a batch."""
    boxes, scores = np.float32(boxes), np.float32(scores)
    alone = boxes.ndim == 2
    if alone:
        boxes, scores = boxes[None], scores[None]
    valid = np.broadcast_to(True if valid is None else valid, scores.shape)
    cell = SoftNms(threshold, slots, decay, portable, rule)
    found = cell(*(Tensor(np.ascontiguousarray(x)) for x in (boxes, scores, np.int32(groups), valid)))
    kept = []
    for index, keep, lowered in zip(*(x.asnumpy() for x in found)):
        assert index.shape == keep.shape == lowered.shape == (slots,)
        assert not index[~keep].any() and not lowered[~keep].any() and not keep[keep.sum() :].any()
        kept.append((index[keep], lowered[keep]))
    return kept[0] if alone else kept


def definition(boxes, scores, groups, valid, threshold, slots, decay):
    """mmcv's soft_nms in its batched_nms, in float32: picks (index, score), of equal scores the lower index first."""
    boxes, scores = np.float32(boxes), np.float32(scores).copy()
    left = np.flatnonzero(valid)
    boxes = boxes + np.float32(groups)[:, None] * (boxes[left].max(initial=0) + np.float32(1))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    picks = []
    while len(left):
        best = left[scores[left].argmax()]
        picks.append((best, scores[best]))
        left = left[left != best]
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        iou = shared / (areas[best] + areas[left] - shared)
        weight = np.where(iou >= np.float32(threshold), 1 - iou, np.float32(1))
        scores[left] *= np.exp(-(iou * iou) / np.float32(decay.sigma)) if decay.method == "gaussian" else weight
        left = left[scores[left] >= np.float32(decay.min_score)]
    index, lowered = zip(*picks[:slots])
    return np.array(index), np.array(lowered)


def many(seed, batch=(), count=150, side=60):
    """Overlapping boxes of whole pixels with different scores, groups of three, nine in ten valid."""
    rng = np.random.RandomState(seed)
    corner = rng.randint(0, side, (*batch, count, 2))
    boxes = np.concatenate([corner, corner + rng.randint(5, 25, (*batch, count, 2))], -1)
    return boxes, rng.rand(*batch, count) * 0.9 + 0.05, rng.randint(0, 3, count), rng.rand(*batch, count) < 0.9


@pytest.mark.parametrize("decay", [LINEAR, GAUSSIAN], ids=["linear", "gaussian"])
def test_picks_and_lowered_scores_equal_opencvs(graph_mode, decay):
    boxes, scores, _, _ = many(0)
    method = {"linear": cv2.dnn.SOFT_NMSMETHOD_SOFTNMS_LINEAR, "gaussian": cv2.dnn.SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN}
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    expected, order = cv2.dnn.softNMSBoxes(
        sides.tolist(), scores.tolist(), decay.min_score, 0.3141, sigma=decay.sigma, method=method[decay.method]
    )
    index, lowered = run(boxes, scores, np.zeros(150), threshold=0.3141, slots=150, decay=decay)
    assert 30 < len(order) < 150
    np.testing.assert_array_equal(index, order)
    np.testing.assert_allclose(lowered, expected, rtol=1e-5)


@pytest.mark.parametrize(("decay", "slots"), [(LINEAR, 200), (GAUSSIAN, 20)])
def test_both_ways_equal_the_definition_within_classes_for_each_image_of_a_batch(graph_mode, decay, slots):
    boxes, scores, groups, valid = many(1, (2,))
    ways = [run(boxes, scores, groups, valid, slots=slots, decay=decay, portable=p) for p in (False, True)]
    for image, (own, portable) in enumerate(zip(*ways)):
        index, lowered = definition(boxes[image], scores[image], groups, valid[image], 0.3, slots, decay)
        assert len(index) == min(slots, len(index)) and len(index) >= 20
        for found in (own, portable):
            np.testing.assert_array_equal(found[0], index)
            np.testing.assert_allclose(found[1], lowered, rtol=1e-5)
            assert (np.diff(found[1]) <= 0).all()


def test_the_portable_way_picks_the_compiled_operators_boxes_with_ties_before_and_after_a_decay(graph_mode):
    rng = np.random.RandomState(3)
    corner = rng.randint(0, 12, (2, 200, 2)) * 4
    boxes = np.concatenate([corner, corner + rng.choice([4, 8], (2, 200, 2))], 2)  # few different overlaps
    scores, valid, groups = 2.0 ** -rng.randint(0, 4, (2, 200)), rng.rand(2, 200) > 0.1, rng.randint(0, 3, 200)
    for rule in ("moved", "exact"):
        own, portable = (run(boxes, scores, groups, valid, 0.1, 120, portable=p, rule=rule) for p in (False, True))
        for one, other in zip(own, portable):
            assert len(one[0]) == 120 and len(set(one[1])) < 60
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("portable", [False, True])
def test_cases_worked_by_hand(graph_mode, portable):
    whole, point, none = [0, 0, 10, 10], [3, 3, 3, 3], [0, 0, 0, 0]
    boxes = [
        # The first halves the second; the third, its like, goes; the fourth is of another class; the last is too low.
        [whole, [0, 0, 10, 5], whole, whole, [50, 50, 60, 60]],
        [point, point, whole, none, none],  # boxes without area overlap nothing
        [whole] * 5,  # the best stays though it is below the least score, as in mmcv
        [whole] * 5,
    ]
    scores = [[0.9, 0.8, 0.7, 0.4, 0.04], [0.4, 0.6, 0.5, 0.9, 0.9], [np.nan, 0.01, 0.009, 0.9, 0.009], [0.9] * 5]
    valid = [[True] * 5, [True] * 3 + [False] * 2, [True] * 3 + [False, True], [False] * 5]
    found = run(boxes, scores, [0, 0, 0, 1, 0], valid, portable=portable)
    expected = [[0, 1, 3], [0.9, 0.4, 0.4]], [[1, 2, 0], [0.6, 0.5, 0.4]], [[1], [0.01]], [[], []]
    for (index, lowered), (numbers, remaining) in zip(found, expected):
        np.testing.assert_array_equal(index, numbers)
        np.testing.assert_allclose(lowered, remaining, rtol=1e-6)
