"""Views of one image merged: by hand, and against MMDetection's DetTTAModel on mmcv's operators, written in PyTorch."""

import itertools

import numpy as np
import pytest
import torch

from src.inference.merge_views import batched_nms, merge_views, mirrored_boxes

SIZE = (80, 100)  # (h, w)
NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)


def view(*rows: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and labels of rows (x1, y1, x2, y2, score, label)."""
    if not rows:
        return NOTHING
    table = np.array(rows, np.float64)
    return table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32)


def merged(views, flipped, size=SIZE, **how):
    return merge_views(*zip(*views), flipped, size, **how) if views else merge_views([], [], [], [], size, **how)


# ------------------------------------------------------------------------------------------------ the definition


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """mmcv's nms on the CPU, offset 0: by falling score, stably; a box goes above the threshold."""
    x1, y1, x2, y2 = boxes.unbind(1)
    areas = (x2 - x1) * (y2 - y1)
    order = torch.sort(scores, dim=0, descending=True, stable=True).indices.tolist()
    stays = [True] * len(order)
    threshold = torch.tensor(iou_threshold, dtype=torch.float32)
    for place, i in enumerate(order):
        if not stays[place]:
            continue
        for later in range(place + 1, len(order)):
            j = order[later]
            width = torch.clamp(torch.minimum(x2[i], x2[j]) - torch.maximum(x1[i], x1[j]), min=0)
            height = torch.clamp(torch.minimum(y2[i], y2[j]) - torch.maximum(y1[i], y1[j]), min=0)
            shared = width * height
            if shared / (areas[i] + areas[j] - shared) > threshold:
                stays[later] = False
    return torch.tensor([i for i, one in zip(order, stays) if one], dtype=torch.long)


def det_tta(views, flipped, size, iou_threshold=0.5, max_per_img=100, class_agnostic=False):
    """`DetTTAModel._merge_single_sample` with tta_cfg nms of type nms, and mmcv's `batched_nms`."""
    recovered = []
    for (boxes, _, _), is_flipped in zip(views, flipped):
        boxes = torch.from_numpy(boxes)
        if is_flipped:  # bbox_flip with ori_shape
            turned = boxes.clone()
            turned[..., 0::4] = size[1] - boxes[..., 2::4]
            turned[..., 2::4] = size[1] - boxes[..., 0::4]
            boxes = turned
        recovered.append(boxes)
    boxes = torch.cat(recovered)
    scores = torch.cat([torch.from_numpy(scores) for _, scores, _ in views])
    labels = torch.cat([torch.from_numpy(labels).long() for _, _, labels in views])
    if boxes.numel() == 0:
        return boxes.numpy(), scores.numpy(), labels.numpy()
    moved = boxes
    if not class_agnostic:
        moved = boxes + (labels.to(boxes) * (boxes.max() + torch.tensor(1.0)))[:, None]
    keep = nms(moved, scores, iou_threshold)[:max_per_img]
    return boxes[keep].numpy(), scores[keep].numpy(), labels[keep].numpy()


def assert_as_defined(views, flipped, size=SIZE, **how):
    found, wanted = merged(views, flipped, size, **how), det_tta(views, flipped, size, **how)
    for ours, theirs in zip(found, wanted):
        np.testing.assert_array_equal(ours, theirs)
    stacked = [np.concatenate(columns) for columns in zip(*views)]
    np.testing.assert_array_equal(stacked[1][found.index], found.scores)
    np.testing.assert_array_equal(stacked[2][found.index], found.labels)
    return found


# ------------------------------------------------------------------------------------------------------- by hand


def test_a_box_of_the_mirror_image_is_turned_back_and_the_better_of_two_stays_with_its_score():
    mirrored = view((10, 5, 30, 25, 0.9, 1))
    plain = view((71, 5, 91, 25, 0.8, 1), (10, 5, 30, 25, 0.7, 1))
    found = assert_as_defined([mirrored, plain], [True, False])
    assert found.boxes.tolist() == [[70, 5, 90, 25], [10, 5, 30, 25]]
    assert found.scores.tolist() == [np.float32(0.9), np.float32(0.7)]
    assert found.labels.tolist() == [1, 1] and found.index.tolist() == [0, 2]


def test_of_equal_scores_the_first_view_wins_which_is_the_mirrored_one():
    mirrored, plain = view((10, 5, 30, 25, 0.5, 0)), view((71, 5, 91, 25, 0.5, 0))
    assert assert_as_defined([mirrored, plain], [True, False]).boxes.tolist() == [[70, 5, 90, 25]]
    assert assert_as_defined([plain, mirrored], [False, True]).boxes.tolist() == [[71, 5, 91, 25]]


def test_another_class_does_not_compete_unless_all_do():
    views = [view((10, 10, 50, 50, 0.9, 2)), view((10, 10, 50, 50, 0.8, 0))]
    assert assert_as_defined(views, [False, False]).labels.tolist() == [2, 0]
    assert assert_as_defined(views, [False, False], class_agnostic=True).labels.tolist() == [2]


def test_an_overlap_of_just_the_threshold_stays():
    views = [view((0, 0, 10, 10, 0.9, 0)), view((0, 0, 10, 5, 0.8, 0))]  # IoU 1 / 2
    assert len(assert_as_defined(views, [False, False], iou_threshold=0.5).scores) == 2
    assert len(assert_as_defined(views, [False, False], iou_threshold=0.49).scores) == 1


def test_so_many_stay_at_most_best_first():
    views = [view((0, 0, 9, 9, 0.2, 0), (20, 0, 29, 9, 0.6, 0)), view((40, 0, 49, 9, 0.4, 1))]
    assert assert_as_defined(views, [False, False], max_per_img=2).scores.tolist() == [np.float32(0.6), np.float32(0.4)]


def test_views_that_found_nothing_and_no_view_at_all():
    one = view((0, 0, 9, 9, 0.2, 3))
    assert assert_as_defined([NOTHING, one], [True, False]).labels.tolist() == [3]
    assert assert_as_defined([one, NOTHING], [True, False]).boxes.tolist() == [[91, 0, 100, 9]]
    for views, flipped in (([NOTHING, NOTHING], [True, False]), ([], [])):
        found = merged(views, flipped)
        assert [part.shape for part in found] == [(0, 4), (0,), (0,), (0,)]
        assert (found.boxes.dtype, found.labels.dtype) == (np.float32, np.int32)


def test_boxes_beside_the_image_and_without_an_area():
    beyond = view((90, 5, 103, 25, 0.9, 1), (99, 5, 108, 25, 0.8, 0))  # rounding of scales: negative once turned back
    flat = view((5, 5, 5, 30, 0.7, 0), (5, 5, 5, 30, 0.6, 0))  # 0 / 0 suppresses nothing
    found = assert_as_defined([beyond, flat], [True, False])
    assert found.boxes[0].tolist() == [-3, 5, 10, 25] and len(found.scores) == 4


def test_classes_are_moved_apart_in_float32_which_rounds():
    """At class 79 the coordinates of an image 12,000 pixels wide are rounded to 1/16: an IoU of 0.485 becomes 0.6."""
    a, b = (11990.3, 10, 11990.65, 20, 0.9, 79), (11990.3, 10, 11990.47, 20, 0.8, 79)
    views = [view(a), view(b, (0, 0, 12000, 9, 0.1, 3))]
    assert len(assert_as_defined(views, [False, False], (100, 12000)).scores) == 2
    assert len(assert_as_defined(views, [False, False], (100, 12000), class_agnostic=True).scores) == 3


def test_a_mirrored_box_of_a_mirrored_box_is_the_box():
    boxes = np.float32([[0, 1, 2, 3], [10.5, 0, 99, 7]])
    assert mirrored_boxes(boxes, 100).tolist() == [[98, 1, 100, 3], [1, 0, 89.5, 7]]
    np.testing.assert_array_equal(mirrored_boxes(mirrored_boxes(boxes, 100), 100), boxes)


# -------------------------------------------------------------------------------------------- against the definition


def test_small_cases_are_as_defined():
    """Two detections in each of two views, of boxes that overlap by 1, 1/2, 1/3 or not, of two classes and scores."""
    boxes = ((0, 0, 8, 8), (0, 0, 8, 4), (4, 0, 12, 8), (20, 0, 28, 8))
    rows = [(*box, score, label) for box in boxes for score in (0.5, 0.75) for label in (0, 1)]
    pairs = list(itertools.combinations(rows, 2))
    chosen = np.random.RandomState(0).permutation(len(pairs) ** 2)[:900]
    for number in chosen:
        one, other = divmod(int(number), len(pairs))
        flipped = [(True, False), (False, False), (True, True)][number % 3]
        threshold = (1 / 3, 0.4, 0.5)[number % 7 % 3]
        assert_as_defined([view(*pairs[one]), view(*pairs[other])], flipped, (16, 32), iou_threshold=threshold)


@pytest.mark.parametrize("seed", range(30))
def test_random_views_are_as_defined(seed):
    rng = np.random.RandomState(seed)
    height, width = (int(side) for side in rng.randint(20, 2000, 2))
    views, flipped = [], []
    for _ in range(rng.randint(1, 7)):
        count = rng.randint(0, 40)
        corner = rng.rand(count, 2) * (width, height) * 0.8 - 3
        sides = rng.rand(count, 2) * (width, height) * rng.choice([0.1, 0.5])
        boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
        if seed % 3 == 0:
            boxes = np.round(boxes)
        scores = np.float32(rng.choice([0.1, 0.3, 0.5, 0.9], count)) if seed % 2 else rng.rand(count).astype(np.float32)
        views.append((boxes, scores, rng.randint(0, rng.choice([1, 3, 80]), count).astype(np.int32)))
        flipped.append(bool(rng.randint(2)))
    how = {"iou_threshold": float(rng.choice([0.3, 0.5, 0.65])), "max_per_img": int(rng.choice([5, 100]))}
    assert_as_defined(views, flipped, (height, width), class_agnostic=bool(seed % 5 == 4), **how)


def test_the_nms_is_that_of_the_compiled_operator(pynative_mode):
    from mindspore import Tensor

    from src.ops.nms import Nms

    rng = np.random.RandomState(1)
    corner = rng.rand(300, 2).astype(np.float32) * 60
    boxes = np.concatenate([corner, corner + rng.rand(300, 2) * 40], axis=1).astype(np.float32)
    scores, groups = np.float32(rng.randint(1, 60, 300) / 64), rng.randint(0, 5, 300).astype(np.int32)
    inputs = (boxes[None], scores[None], groups, np.ones((1, 300), bool))
    index, keep = (part.asnumpy()[0] for part in Nms(0.5, 100)(*map(Tensor, inputs)))
    np.testing.assert_array_equal(batched_nms(boxes, scores, groups, 0.5, 100), index[keep])
    assert 20 < keep.sum() <= 100
