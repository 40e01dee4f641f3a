import functools

import numpy as np
import onnx
import onnxruntime
import pytest
from mindspore import Tensor

from src.ops import nms
from src.ops.nms import Nms

ROWS, SLOTS = 6, 4  # of the cases by hand, which share a graph


def few(boxes, scores, groups, valid=None, threshold=0.5, portable=False):
    """`run` of a case by hand, with boxes that are not valid behind its own."""
    valid = [True] * len(scores) if valid is None else valid
    more = ROWS - len(scores)
    boxes, scores = [*boxes, *[[0, 0, 50, 50]] * more], [*scores, *[0.99] * more]
    return run(boxes, scores, [*groups, *[0] * more], [*valid, *[False] * more], threshold, SLOTS, portable)


@functools.cache
def operator(threshold, slots, portable, group_sizes):
    return Nms(threshold, slots, portable, group_sizes)


def run(boxes, scores, groups, valid=None, threshold=0.5, slots=100, portable=False, group_sizes=()):
    """Indices of the kept boxes, best first."""
    valid = np.ones(len(scores), bool) if valid is None else np.array(valid)
    inputs = np.float32(boxes)[None], np.float32(scores)[None], np.int32(groups), valid[None]
    index, keep = operator(threshold, slots, portable, tuple(group_sizes))(*(Tensor(x) for x in inputs))
    index, keep = index.asnumpy()[0], keep.asnumpy()[0]
    assert index.shape == keep.shape == (slots,)
    assert not index[~keep].any() and not keep[keep.sum() :].any()
    return index[keep]


@pytest.mark.parametrize("portable", [False, True])
def test_class_wise_nms_equals_mmdetection(data_files, graph_mode, portable):
    reference = dict(np.load(data_files / "multiclass_nms.npz"))
    scores = reference["scores"][:, :-1]
    classes = scores.shape[1]
    boxes = np.repeat(reference["boxes"], classes, axis=0)
    labels = np.tile(np.arange(classes), len(scores))
    kept = run(boxes, scores.reshape(-1), labels, scores.reshape(-1) > 0.05, 0.5, 100, portable)
    np.testing.assert_array_equal(kept, reference["inds"])
    np.testing.assert_array_equal(labels[kept], reference["labels"])
    np.testing.assert_allclose(boxes[kept], reference["dets"][:, :4])


@pytest.mark.parametrize("portable", [False, True])
def test_kept_boxes_equal_onnxruntime(graph_mode, portable):
    rng = np.random.RandomState(0)
    corner = rng.rand(300, 2) * 100
    boxes = np.concatenate([corner, corner + 5 + rng.rand(300, 2) * 40], 1).astype(np.float32)
    scores = rng.permutation(300).astype(np.float32) / 300
    groups = rng.randint(0, 3, 300)
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "count", "iou"], ["kept"])
    graph = onnx.helper.make_graph(
        [node],
        "nms",
        [value("boxes", 1, None), value("scores", 1, None), value("count", 7, None), value("iou", 1, None)],
        [value("kept", 7, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    per_class = np.where(groups == np.arange(3)[:, None], scores, -1.0).astype(np.float32)[None]
    kept = session.run(
        None, {"boxes": boxes[None], "scores": per_class, "count": np.int64([300]), "iou": np.float32([0.5])}
    )[0]
    kept = {int(box) for _, group, box in kept if groups[box] == group}
    ours = run(boxes, scores, groups, slots=300, portable=portable)
    assert set(ours) == kept
    assert (np.diff(scores[ours]) < 0).all()


@pytest.mark.parametrize("portable", [False, True])
def test_boxes_that_are_not_valid_neither_stay_nor_suppress(graph_mode, portable):
    boxes = [[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]]
    kept = few(boxes, [0.9, 0.8, 0.7], [0, 0, 0], [False, True, True], portable=portable)
    np.testing.assert_array_equal(kept, [1, 2])
    assert len(few(boxes, [0.9, 0.8, 0.7], [0, 0, 0], [False] * 3, portable=portable)) == 0


@pytest.mark.parametrize("portable", [False, True])
def test_groups_do_not_suppress_each_other_ties_go_to_the_lower_index_and_slots_bound_the_output(graph_mode, portable):
    boxes, scores, groups = [[0, 0, 10, 10]] * 4, [-0.5, -0.5, -0.5, -0.4], [0, 1, 0, 2]  # scores may be logits
    np.testing.assert_array_equal(few(boxes, scores, groups, portable=portable), [3, 0, 1])
    np.testing.assert_array_equal(run(boxes, scores, groups, slots=2, portable=portable), [3, 0])


@pytest.mark.parametrize("portable", [False, True])
def test_overlap_equal_to_the_threshold_stays(graph_mode, portable):
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assert len(few(boxes, [0.9, 0.8], [0, 0], threshold=0.5, portable=portable)) == 2
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert len(few(boxes, [0.9, 0.8], [0, 0], threshold=below, portable=portable)) == 1


@pytest.mark.parametrize("portable", [False, True])
def test_a_score_that_is_not_a_number_is_never_kept(graph_mode, portable):
    boxes = [[0, 0, 5, 5], [9, 9, 20, 20], [9, 9, 20, 20]]
    np.testing.assert_array_equal(few(boxes, [np.nan, -1.5, np.nan], [0, 0, 0], portable=portable), [1])
    assert len(few(boxes, [np.nan] * 3, [0, 1, 2], portable=portable)) == 0


@pytest.mark.parametrize("portable", [False, True])
def test_boxes_without_area_stay_unless_they_lie_in_a_better_one_of_which_they_are_no_share(graph_mode, portable):
    boxes = [[3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 10, 10], [-1, -1, -1, -1]]
    assert len(few(boxes, [0.4, 0.6, 0.5, 0.3], [0] * 4, [True, True, True, False], portable=portable)) == 3


CASES = {  # boxes, different scores, groups, slots, boxes that MindSpore's operator takes at a time
    "ties": (500, 5, 3, 100, 2864),
    "one score": (300, 1, 1, 300, 2864),
    "more boxes than the operator takes": (450, 40, 1, 450, 200),
    "more boxes than the operator takes, few slots": (700, 700, 2, 10, 300),
}


@pytest.mark.parametrize(
    "case",
    [
        "ties", "more boxes than the operator takes", pytest.param("one score", marks=pytest.mark.slow),
        pytest.param("more boxes than the operator takes, few slots", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_portable_way_keeps_the_boxes_of_the_compiled_operator(graph_mode, monkeypatch, case):
    count, levels, groups, slots, block = CASES[case]
    assert nms.BLOCK == 2864  # as MindSpore's documentation has it
    monkeypatch.setattr(nms, "BLOCK", block)
    rng = np.random.RandomState(3)
    corner = rng.randint(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.randint(0, 12, (count, 2))], 1) / 4
    scores, valid = rng.randint(0, levels, count) / levels - 0.5, rng.rand(count) > 0.1
    group = np.sort(rng.randint(0, groups, count))
    scores[rng.rand(count) < 0.01] = np.nan
    sizes = np.bincount(group).tolist()
    expected = run(boxes, scores, group, valid, 0.5, slots)
    assert len(expected) == slots or len(expected) > 50
    np.testing.assert_array_equal(run(boxes, scores, group, valid, 0.5, slots, portable=True), expected)
    np.testing.assert_array_equal(run(boxes, scores, group, valid, 0.5, slots, True, sizes), expected)


def test_each_image_of_a_batch_is_for_itself(graph_mode):
    rng = np.random.RandomState(1)
    corner = rng.rand(3, 60, 2) * 50
    boxes = np.concatenate([corner, corner + 5 + rng.rand(3, 60, 2) * 40], 2).astype(np.float32)
    scores, groups, valid = np.float32(rng.rand(3, 60)), np.int32(rng.randint(0, 2, 60)), rng.rand(3, 60) > 0.2
    inputs = [Tensor(x) for x in (boxes, scores, groups, valid)]
    both = [[x.asnumpy() for x in Nms(0.5, 20, portable=portable)(*inputs)] for portable in (False, True)]
    for own, other in zip(*both):
        np.testing.assert_array_equal(own, other)
    for image, (index, keep) in enumerate(zip(*both[0])):
        alone = run(boxes[image], scores[image], groups, valid[image], slots=20)
        np.testing.assert_array_equal(index[keep], alone)
