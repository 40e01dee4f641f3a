"""The page docs/adding_an_augmentation.md, followed word by word: its change reaches every task."""

import numpy as np
import pytest

from src.config import EXTRA_KEYS
from src.data.augmentation import AUGMENTATIONS
from src.errors import UserError
from tests.data.augmentation.samples import COUNT, TASKS, RedCast, RedCastKeys, made, shape
from tests.page_blocks import add_module, blocks


@pytest.fixture(autouse=True)
def page(tmp_path, monkeypatch, added):
    """The page's code in its places, and another augmentation from outside behind it."""
    change, line, keys = blocks("adding_an_augmentation.md")
    module = add_module("src.data.augmentation.half_turn", change, tmp_path, monkeypatch)
    for name, kind in (eval("{" + line.strip() + "}", vars(module)) | {"red_cast": RedCast}).items():
        monkeypatch.setitem(AUGMENTATIONS, name, kind)
    added(EXTRA_KEYS, add_module("src.config.half_turn_keys", keys, tmp_path, monkeypatch).HalfTurnKeys)
    added(EXTRA_KEYS, RedCastKeys)


@pytest.mark.parametrize("task", TASKS)
def test_it_acts_on_image_boxes_masks_and_labels_and_all_else_stays(task, tmp_path):
    for before, after in zip(made(task, tmp_path), made(task, tmp_path, half_turn_ratio=1), strict=True):
        h, w = shape(before)
        np.testing.assert_array_equal(after["image"][:, :h, :w], before["image"][:, :h, :w][:, ::-1, ::-1])
        if task == "detection":
            assert after["sample_seed"] == before["sample_seed"] and after["gt_labels"].tolist() == [1, 0]
            left, top, right, bottom = before["gt_boxes"][0]
            np.testing.assert_allclose(after["gt_boxes"][0], [w - right, h - bottom, w - left, h - top], rtol=1e-6)
            found, expected = (np.unpackbits(one["gt_masks"][0], axis=-1)[:h, :w] for one in (after, before))
            np.testing.assert_array_equal(found, expected[::-1, ::-1])
            assert found.any()
        elif task == "classification":
            assert after["label"] == before["label"]
        else:
            np.testing.assert_array_equal(after["label"], before["label"][::-1, ::-1])


@pytest.mark.parametrize("task", TASKS)
def test_switching_it_on_changes_nothing_else_that_is_random(task, tmp_path):
    plain, some = made(task, tmp_path), made(task, tmp_path, half_turn_ratio=0.5)
    turned = [bool((a["image"] != b["image"]).any()) for a, b in zip(plain, some)]
    assert 0 < sum(turned) < COUNT
    for flipped, before, after in zip(turned, plain, some):
        h, w = shape(before)
        pixels = after["image"][:, :h, :w]
        np.testing.assert_array_equal(pixels[:, ::-1, ::-1] if flipped else pixels, before["image"][:, :h, :w])
    both, cast = made(task, tmp_path, half_turn_ratio=0.5, red_cast=200), made(task, tmp_path, red_cast=200)
    for flipped, before, after in zip(turned, cast, both):  # nor do two of them change each other's
        h, w = shape(before)
        pixels = after["image"][:, :h, :w]
        np.testing.assert_array_equal(pixels[:, ::-1, ::-1] if flipped else pixels, before["image"][:, :h, :w])


def test_its_key_is_checked(tmp_path):
    with pytest.raises(UserError, match="half_turn_ratio is 2.0; it must be at least 0 and at most 1"):
        made("classification", tmp_path, half_turn_ratio=2)


def test_on_the_original_it_gives_what_cv2_can_resize(tmp_path, monkeypatch):
    monkeypatch.setattr(AUGMENTATIONS["half_turn"], "on_original", True)
    plain, turned = (made("detection", tmp_path, half_turn_ratio=ratio) for ratio in (0, 1))
    for before, after in zip(plain, turned):
        assert after["gt_masks"].sum() > 0 and after["image_shape"].tolist() == before["image_shape"].tolist()
