"""Random erasing: timm's rectangles, MMDetection's objects."""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest

from src.data.augmentation.erasing import RandomErasing, erased_window
from tests.data.augmentation.samples import TASKS, made, shape

# 4 x 6 pixels, of which columns 1 to 3 of rows 1 and 2 are erased.
ERASING = RandomErasing((1, 1, 3, 2), (7, 8, 9))


def test_image_mask_and_labels_worked_by_hand():
    image = np.full((4, 6, 3), 200, np.uint8)
    erased = ERASING.image(image)
    assert (image == 200).all() and (erased[1:3, 1:4] == (7, 8, 9)).all() and (erased == 200).all(axis=-1).sum() == 18
    mask = np.uint8([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
    expected = [[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(ERASING.masks(mask), expected)
    labels = ERASING.masks(mask, outside=255)
    assert (labels[1:3, 1:4] == 255).all() and (labels == 255).sum() == 6


def test_boxes_stay_until_nine_tenths_are_gone():
    boxes = np.float32([[0, 0, 6, 4], [1, 1, 4, 3], [2, 1, 4, 3.2], [2, 1, 4, 3.3], [5, 0, 6, 1]])
    kept = ERASING.boxes(boxes, (4, 6))  # 4 of 4.4 are 0.909, of 4.6 0.87
    np.testing.assert_array_equal(kept, boxes * np.float32([[1], [0], [0], [1], [1]]))
    assert kept.dtype == np.float32 and ERASING.boxes(boxes[:0], (4, 6)).shape == (0, 4)


def test_rectangles_are_timms(monkeypatch):
    """Its own code, given the same random numbers in its order, erases the same pixels."""
    torch, timm = pytest.importorskip("torch"), importlib.util.find_spec("timm")
    if timm is None:
        pytest.skip("timm is not installed")
    path = Path(timm.origin).with_name("data") / "random_erasing.py"  # alone: the package asks for torchvision
    spec = importlib.util.spec_from_file_location("timm_random_erasing", path)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)

    class Random:
        """`random` as timm calls it, of a numpy stream."""

        def __init__(self, rng):
            self.random, self.uniform = rng.rand, rng.uniform
            self.randint = lambda low, high: rng.randint(low, high + 1)

    own = {"device": "cpu"} if "device" in inspect.signature(theirs.RandomErasing.__init__).parameters else {}
    for seed in range(40):
        height, width = (40, 56) if seed % 2 else (9, 70)
        rng = np.random.RandomState(seed)
        monkeypatch.setattr(theirs, "random", Random(rng))
        image = torch.ones(3, height, width)
        theirs.RandomErasing(probability=1.0, **own)(image)
        same = np.random.RandomState(seed)
        same.rand()
        window = erased_window((height, width), same)
        ours = np.ones((height, width, 3), np.uint8)
        if window is not None:
            ours = RandomErasing(window, (0, 0, 0)).image(ours)
        np.testing.assert_array_equal(ours.transpose(2, 0, 1), image.numpy())


@pytest.mark.parametrize("task", TASKS)
def test_erased_pixels_have_the_mean_colour_and_show_no_object_and_no_label(tmp_path, task):
    own = {"expand_ratio": 0} if task == "detection" else {}
    plain, erased = made(task, tmp_path, **own), made(task, tmp_path, random_erasing=1, **own)
    for before, after in zip(plain, erased, strict=True):
        h, w = shape(before)
        changed = (after["image"] != before["image"]).any(axis=0)
        share = changed.sum() / (h * w)
        assert 0.015 < share < 0.36 and np.abs(after["image"][:, changed]).max() < 0.02  # half a grey level at most
        if task == "segmentation":
            assert (after["label"][changed] == 255).all() and (after["label"] != before["label"])[~changed].sum() == 0
        if task == "detection" and after["gt_valid"][0]:
            found, were = (np.unpackbits(one["gt_masks"][0], axis=-1).astype(bool) for one in (after, before))
            np.testing.assert_array_equal(found, were & ~changed)
            np.testing.assert_array_equal(after["gt_boxes"][0], before["gt_boxes"][0])
    if task == "detection":
        assert sum(one["gt_valid"].sum() for one in erased) <= sum(one["gt_valid"].sum() for one in plain)
    some = made(task, tmp_path, random_erasing=0.5, **own)
    assert 0 < sum(bool((a["image"] != b["image"]).any()) for a, b in zip(plain, some)) < len(plain)


def test_an_object_that_is_erased_is_gone(tmp_path, monkeypatch):
    whole = classmethod(lambda cls, cfg, size, rng: cls((0, 0, *size[::-1]), (0, 0, 0)))
    monkeypatch.setattr(RandomErasing, "draw", whole)
    for sample in made("detection", tmp_path, random_erasing=1):
        assert not sample["gt_valid"].any() and not sample["gt_masks"].any() and not sample["gt_boxes"].any()
