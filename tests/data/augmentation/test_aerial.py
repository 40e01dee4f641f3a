"""Images without an up: flips and quarter turns of image, boxes, masks and labels together."""

from types import SimpleNamespace

import numpy as np
import pytest

from src.data.augmentation.aerial import QuarterTurns, VerticalFlip
from src.data.augmentation.transform import Chain
from tests.data.augmentation.samples import COUNT, TASKS, made, shape

# 2 x 3 pixels; the object is the right one of the upper row.
PIXELS = np.uint8([[1, 2, 3], [4, 5, 6]])
MASK, BOX = np.uint8([[0, 0, 1], [0, 0, 0]]), np.float32([[2, 0, 3, 1]])
CASES = [
    (VerticalFlip(), [[4, 5, 6], [1, 2, 3]], [[0, 0, 0], [0, 0, 1]], [2, 1, 3, 2]),
    (QuarterTurns(1), [[3, 6], [2, 5], [1, 4]], [[1, 0], [0, 0], [0, 0]], [0, 0, 1, 1]),
    (QuarterTurns(2), [[6, 5, 4], [3, 2, 1]], [[0, 0, 0], [1, 0, 0]], [0, 1, 1, 2]),
    (QuarterTurns(3), [[4, 1], [5, 2], [6, 3]], [[0, 0], [0, 0], [0, 1]], [1, 2, 2, 3]),
]


@pytest.mark.parametrize(("change", "pixels", "mask", "box"), CASES)
def test_image_mask_and_box_worked_by_hand(change, pixels, mask, box):
    image = change.image(np.stack([PIXELS, PIXELS * 10, PIXELS + 100], axis=-1))
    np.testing.assert_array_equal(image, np.stack([pixels, np.multiply(pixels, 10), np.add(pixels, 100)], axis=-1))
    np.testing.assert_array_equal(change.masks(MASK), mask)
    np.testing.assert_array_equal(change.masks(np.asfortranarray(MASK)), mask)
    np.testing.assert_array_equal(change.boxes(BOX, (2, 3)), [box])
    assert change.boxes(BOX[:0], (2, 3)).shape == (0, 4)
    assert image.shape[:2] == change.new_size((2, 3)) == np.shape(pixels)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turns_are_numpys_and_come_round(turns):
    image = np.random.RandomState(0).randint(0, 256, (5, 8, 3)).astype(np.uint8)
    turn, back = QuarterTurns(turns), QuarterTurns(4 - turns)
    np.testing.assert_array_equal(turn.image(image), np.rot90(image, turns))
    np.testing.assert_array_equal(back.image(turn.image(image)), image)
    boxes = np.float32([[1, 2, 5, 4], [0, 0, 8, 5]])
    np.testing.assert_array_equal(back.boxes(turn.boxes(boxes, (5, 8)), turn.new_size((5, 8))), boxes)
    np.testing.assert_array_equal(QuarterTurns(1).boxes(boxes[:1], (8, 10)), [[2, 5, 4, 9]])  # as the class says


def test_a_flip_is_a_mirror_image_and_a_turn_is_none():
    assert VerticalFlip.mirrored and not QuarterTurns(1).mirrored
    assert Chain((QuarterTurns(1), VerticalFlip())).mirrored and not Chain((VerticalFlip(), VerticalFlip())).mirrored


@pytest.mark.parametrize("task", TASKS)
def test_a_flip_turns_what_was_made_before_upside_down(tmp_path, task):
    plain = made(task, tmp_path)
    for before, after in zip(plain, made(task, tmp_path, vertical_flip_ratio=1), strict=True):
        h, w = shape(before)
        np.testing.assert_array_equal(after["image"][:, :h, :w], before["image"][:, :h, :w][:, ::-1])
        if task == "detection":
            left, top, right, bottom = before["gt_boxes"][0]
            np.testing.assert_allclose(after["gt_boxes"][0], [left, h - bottom, right, h - top], rtol=1e-6)
            np.testing.assert_array_equal(after["gt_masks"][0, :h], before["gt_masks"][0, :h][::-1])
            assert after["gt_masks"].any()
        elif task == "segmentation":
            labels = TASKS[task](tmp_path / task, {}).dataset.labels
            expected = before["label"][::-1].astype(np.uint8)
            np.testing.assert_array_equal(after["label"], labels.swapped(expected))
            assert (after["label"] != expected).any()  # a mirror image: left and right parts have changed their names
    some = made(task, tmp_path, vertical_flip_ratio=0.5)
    assert 0 < sum(bool((a["image"] != b["image"]).any()) for a, b in zip(plain, some)) < COUNT


@pytest.mark.parametrize("task", TASKS)
def test_a_turned_image_is_brought_to_the_networks_size_afterwards(tmp_path, task):
    own = {"expand_ratio": 0} if task == "detection" else {}
    plain, turned = made(task, tmp_path, **own), made(task, tmp_path, rotate90_ratio=1, **own)
    assert all(a["image"].shape == b["image"].shape for a, b in zip(plain, turned))
    assert all((a["image"] != b["image"]).any() for a, b in zip(plain, turned))
    if task == "detection":
        assert {tuple(one["image_shape"]) for one in plain} == {(77, 96)}
        assert {tuple(one["image_shape"]) for one in turned} == {(77, 96), (96, 77)}
        for sample in turned:
            bitmap = np.unpackbits(sample["gt_masks"][0], axis=-1)
            rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(sample["gt_boxes"][0], edges, atol=1.5)


def test_turns_come_as_often_as_asked_and_each_as_often():
    cfg = SimpleNamespace(rotate90_ratio=0.6)
    drawn = [QuarterTurns.draw(cfg, (2, 3), np.random.RandomState(k)) for k in range(400)]
    counts = [sum(turn is not None and turn.turns == k for turn in drawn) for k in (1, 2, 3)]
    assert min(counts) > 55 and 210 < sum(counts) < 270
