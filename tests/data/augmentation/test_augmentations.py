"""What augmentations from outside get and may do (adding one: test_adding_an_augmentation.py)."""

from dataclasses import dataclass

import numpy as np
import pytest

from src.config import EXTRA_KEYS
from src.config.schema import key, keys
from src.data.augmentation import AUGMENTATIONS
from src.data.augmentation.geometry import HorizontalFlip
from src.data.augmentation.transform import Chain, Transform, draw_in_turn
from tests.data.augmentation.samples import TASKS, RedCast, RedCastKeys, height, made


@dataclass(frozen=True)
class TopHalf(Transform):
    """The upper half of the image as its file has it, if `top_half`."""

    on_original = True

    @classmethod
    def draw(cls, cfg, size, rng):
        return cls() if cfg.top_half else None

    def new_size(self, size):
        return size[0] // 2, size[1]

    def image(self, image):
        return image[: len(image) // 2]

    def boxes(self, boxes, size):
        return np.minimum(boxes, np.float32([size[1], size[0] // 2] * 2))

    def masks(self, mask, outside=0):
        return mask[: len(mask) // 2]


@keys(matters="training", on_resume="same")
class TopHalfKeys:
    top_half: bool = key(False, "the upper half of an image alone")


@pytest.fixture(autouse=True)
def outside(monkeypatch, added):
    for name, kind, own in (("red_cast", RedCast, RedCastKeys), ("top_half", TopHalf, TopHalfKeys)):
        monkeypatch.setitem(AUGMENTATIONS, name, kind)
        added(EXTRA_KEYS, own)


def red(sample: dict) -> np.ndarray:
    """(H, W) red values of a sample in 0..255; the demos take RGB."""
    return np.round(sample["image"][0] * 58.395 + 123.675)


@pytest.mark.parametrize("task", TASKS)
def test_colours_are_red_green_blue_in_every_task(task, tmp_path):
    least = set()
    for before, after in zip(made(task, tmp_path), made(task, tmp_path, red_cast=200), strict=True):
        h = height(before)
        np.testing.assert_array_equal(after["image"][1:], before["image"][1:])
        least.add(int(red(after)[:h].min()))
        assert least <= set(range(1, 201)) and (red(after)[:h] >= red(before)[:h]).all()
    assert len(least) > 2


@pytest.mark.parametrize("task", TASKS)
def test_one_that_acts_on_the_original_may_change_its_size(task, tmp_path):
    whole, half = made(task, tmp_path), made(task, tmp_path, top_half=True)
    assert all(a["image"].shape == b["image"].shape for a, b in zip(whole, half))
    assert any((a["image"] != b["image"]).any() for a, b in zip(whole, half))
    if task == "detection":
        assert [one["sample_seed"] for one in half] == [one["sample_seed"] for one in whole]


@pytest.mark.parametrize("task", TASKS)
def test_one_that_acts_at_the_networks_size_must_keep_it(task, tmp_path, monkeypatch):
    monkeypatch.setattr(TopHalf, "on_original", False)
    with pytest.raises(ValueError, match="augmentation top_half changes the image's size"):
        made(task, tmp_path, top_half=True)


def test_detections_boxes_and_masks_follow_one_that_acts_on_the_original(tmp_path):
    for sample in made("detection", tmp_path, top_half=True):
        bitmap = np.unpackbits(sample["gt_masks"][0], axis=-1)
        rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
        edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(sample["gt_boxes"][0], edges, atol=1.5)
        assert sample["image_shape"][0] < sample["image_shape"][1] * 0.5


def test_a_chain_hands_each_step_the_size_that_the_one_before_leaves():
    seen = []

    class Halved(TopHalf):
        @classmethod
        def draw(cls, cfg, size, rng):
            seen.append(size)
            return cls()

        def boxes(self, boxes, size):
            seen.append(size)
            return boxes

    chain = draw_in_turn((Halved, Halved, Halved), None, (40, 50), None)
    chain.boxes(np.zeros((1, 4), np.float32), (40, 50))
    assert seen == [(40, 50), (20, 50), (10, 50)] * 2
    assert chain.new_size((40, 50)) == (5, 50) and chain.image(np.zeros((40, 50, 3), np.uint8)).shape == (5, 50, 3)


def test_two_mirror_images_are_none():
    assert Chain((HorizontalFlip(),)).mirrored and not Chain((HorizontalFlip(), HorizontalFlip())).mirrored
