import functools

import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.assign import MaxIoUAssigner

SETTINGS = {
    "rpn": (0.7, 0.3, 0.3, True),
    "rcnn": (0.5, 0.5, 0.5, True),
    "rcnn_no_low": (0.5, 0.5, 0.5, False),
}


@pytest.fixture(params=[False, True], ids=["compiled", "portable"])
def assigner(request, graph_mode):
    """Constructor of both forms of the assigner."""
    return functools.partial(made, portable=request.param)


@functools.cache
def made(*settings, portable):
    return MaxIoUAssigner(*settings, portable=portable)


def few(assigner, boxes, gt_boxes, box_valid=None, **flags):
    """`run` of a case by hand, filled up to shapes that all of them share; the answers of its own boxes."""
    more, missing = 3 - len(boxes), 2 - len(gt_boxes)
    box_valid = [*([True] * len(boxes) if box_valid is None else box_valid), *[False] * more]
    flags = {"gt_valid": [True] * len(gt_boxes)} | flags
    flags = {name: [*values, *[False] * missing] for name, values in flags.items()}
    boxes, gt_boxes = ([*some, *[[0, 0, 0, 0]] * count] for some, count in ((boxes, more), (gt_boxes, missing)))
    return run(assigner, boxes, gt_boxes, box_valid=box_valid, **flags)[0][: 3 - more]


def run(assigner, boxes, gt_boxes, gt_valid=None, gt_crowd=None, box_valid=None):
    """One image; gives (assigned, best IoU) as numpy."""
    boxes, gt_boxes = np.float32(boxes), np.float32(gt_boxes)
    gt_valid = np.ones(len(gt_boxes), bool) if gt_valid is None else np.array(gt_valid)
    gt_crowd = np.zeros(len(gt_boxes), bool) if gt_crowd is None else np.array(gt_crowd)
    box_valid = np.ones(len(boxes), bool) if box_valid is None else np.array(box_valid)
    outputs = assigner(*(Tensor(x[None]) for x in (boxes, box_valid, gt_boxes, gt_valid, gt_crowd)))
    return [output.asnumpy()[0] for output in outputs]


@pytest.mark.parametrize("name", SETTINGS)
def test_assignment_equals_mmdetection(data_files, assigner, name):
    reference = np.load(data_files / "assigner.npz")
    gt = reference[f"{name}_gt"]
    padded = np.concatenate([gt, np.zeros((3, 4), np.float32)])
    valid = [True] * len(gt) + [False] * 3
    assigned, best = run(assigner(*SETTINGS[name]), reference[f"{name}_priors"], padded, gt_valid=valid)
    np.testing.assert_array_equal(assigned, reference[f"{name}_gt_inds"])
    np.testing.assert_allclose(best, reference[f"{name}_max_overlaps"], atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_without_objects_every_box_is_background(data_files, assigner, name):
    reference = np.load(data_files / "assigner.npz")
    priors = reference[f"{name}_priors"]
    slots = len(reference[f"{name}_gt"]) + 3  # the same graph
    assigned, _ = run(assigner(*SETTINGS[name]), priors, np.zeros((slots, 4)), gt_valid=[False] * slots)
    np.testing.assert_array_equal(assigned, reference[f"{name}_empty_gt_inds"])


def test_boxes_that_are_not_valid_are_left_out_and_do_not_set_an_objects_best_overlap(assigner):
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assigned = few(assigner(0.9, 0.3, 0.3), boxes, [[0, 0, 10, 10]], [False, True])
    np.testing.assert_array_equal(assigned, [-1, 1])


def test_of_two_objects_with_the_same_best_box_the_last_takes_it(assigner):
    assigned = few(assigner(0.9, 0.3, 0.3), [[0, 0, 10, 10]], [[0, 0, 10, 6], [0, 0, 10, 5]])
    np.testing.assert_array_equal(assigned, [2])


def test_every_box_that_ties_for_an_objects_best_overlap_is_taken(assigner):
    boxes = [[0, 0, 10, 10], [0, 10, 10, 20]]
    assigned = few(assigner(0.9, 0.3, 0.3), boxes, [[0, 5, 10, 15]])
    np.testing.assert_array_equal(assigned, [1, 1])


def test_boxes_inside_a_crowd_are_left_out_when_asked(assigner):
    boxes = [[0, 0, 4, 4], [20, 20, 30, 30]]
    crowd = {"gt_valid": [False], "gt_crowd": [True]}
    assigned = few(assigner(0.5, 0.5, 0.5, True, 0.5), boxes, [[0, 0, 10, 10]], **crowd)
    np.testing.assert_array_equal(assigned, [-1, 0])
    assigned = few(assigner(0.5, 0.5, 0.5, True, -1), boxes, [[0, 0, 10, 10]], **crowd)
    np.testing.assert_array_equal(assigned, [0, 0])


def test_compiled_and_portable_forms_agree_on_many_random_boxes(graph_mode):
    rng = np.random.RandomState(0)
    corner = np.round(rng.rand(5000, 2) * 400)
    boxes = np.concatenate([corner, corner + np.round(rng.rand(5000, 2) * 90) + 2], 1)
    gt_boxes, valid = boxes[rng.permutation(5000)[:30]] + rng.randint(-3, 4, (30, 4)), rng.rand(30) < 0.8
    crowd = ~valid & (rng.rand(30) < 0.5)
    flags = {"gt_valid": valid, "gt_crowd": crowd, "box_valid": rng.rand(5000) < 0.9}
    results = [
        run(MaxIoUAssigner(0.7, 0.3, 0.3, True, 0.5, portable), boxes, gt_boxes, **flags) for portable in (False, True)
    ]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert (results[0][0] > 0).sum() >= 20
