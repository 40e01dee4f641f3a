"""Photometric distortion as MMDetection defines it, colour jitter as PIL makes it; both in detection."""

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data.augmentation.colour import KINDS, ColourJitter
from src.data.augmentation.photometric import PhotometricDistortion
from src.data.augmentation.transform import OnRgb
from tests.data.augmentation.samples import made

PLAIN = PhotometricDistortion()


def one(*rgb) -> np.ndarray:
    return np.uint8([[rgb]])


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (PLAIN, (200, 100, 50), (200, 100, 50)),
        (PhotometricDistortion(brightness=20.25), (200, 100, 250), (220, 120, 255)),
        (PhotometricDistortion(contrast=1.5), (200, 100, 51), (255, 150, 76)),  # 76.5 to the even number
        (PhotometricDistortion(brightness=10, contrast=0.5, contrast_first=True), (200, 100, 40), (105, 55, 25)),
        (PhotometricDistortion(saturation=0.5), (200, 100, 50), (200, 150, 125)),
        (PhotometricDistortion(saturation=1.5), (200, 100, 50), (200, 50, 0)),  # blue would be -25
        (PhotometricDistortion(hue=-18), (200, 100, 100), (200, 100, 130)),  # red becomes 342 degrees
        (PhotometricDistortion(hue=18), (200, 100, 102), (200, 128, 100)),  # 358.8 becomes 16.8
        (PhotometricDistortion(channels=(2, 0, 1)), (200, 100, 50), (50, 200, 100)),
    ],
)  # fmt: skip
def test_each_change_worked_by_hand(change, before, after):
    expected = (105, 55, 25) if change.contrast_first else after
    np.testing.assert_array_equal(change.image(one(*before))[0, 0], expected)


@pytest.mark.parametrize("seed", range(12))
def test_the_arithmetic_is_opencvs_in_blue_green_red_rounded_at_the_end(seed):
    """Its order, float32 and no limits in between: brightness below zero makes of dark pixels what it does there."""
    change = PhotometricDistortion.anyhow(np.random.RandomState(seed))
    bgr = np.random.RandomState(seed).randint(0, 256 if seed % 2 else 40, (150, 31, 3)).astype(np.uint8)
    pixels = bgr.astype(np.float32) + np.float32(change.brightness)
    first, last = (np.float32(change.contrast if when == change.contrast_first else 1) for when in (True, False))
    hsv = cv2.cvtColor(pixels * first, cv2.COLOR_BGR2HSV)
    hsv[..., 1] *= np.float32(change.saturation)
    hue = hsv[..., 0] + np.float32(change.hue)
    hsv[..., 0] = hue - 360 * (hue > 360) + 360 * (hue < 0)
    expected = np.clip(np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR) * last), 0, 255).astype(np.uint8)
    found = OnRgb(change).image(bgr)
    np.testing.assert_array_equal(found[..., ::-1], expected[..., ::-1][..., list(change.channels)])


def test_each_change_is_made_every_second_time_within_its_range():
    drawn = [PhotometricDistortion.anyhow(np.random.RandomState(k)) for k in range(400)]
    for name in ("brightness", "contrast", "saturation", "hue"):
        values = np.array([getattr(change, name) for change in drawn])
        low, high = {"brightness": (-32, 32), "hue": (-18, 18)}.get(name, (0.5, 1.5))
        acts = values != getattr(PLAIN, name)
        assert 160 < acts.sum() < 240
        assert low <= values.min() < low + 0.05 * (high - low) and high - 0.05 * (high - low) < values.max() <= high
    assert 160 < sum(change.contrast_first for change in drawn) < 240
    assert len({change.channels for change in drawn}) == 6
    assert 160 < sum(change.channels != (0, 1, 2) for change in drawn) < 210  # of the permutations one changes nothing


@pytest.mark.parametrize("seed", range(6))
def test_colour_jitter_is_pils_bit_for_bit(seed):
    rng = np.random.RandomState(seed)
    image = rng.randint(0, 256 >> seed % 3, (19, 23, 3)).astype(np.uint8)
    jitter = ColourJitter.of_strengths((0.9, 0.9, 0.9), rng)
    picture = Image.fromarray(image)
    for kind, factor in jitter.changes:
        picture = KINDS[kind](picture).enhance(factor)
    np.testing.assert_array_equal(jitter.image(image), np.asarray(picture))
    assert [kind.__name__ for kind in KINDS] == ["Brightness", "Contrast", "Color"]


@pytest.mark.parametrize("keys", [{"photometric_distortion": 1}, {"color_jitter": 0.5}])
def test_in_detection_they_change_pixels_and_nothing_else(tmp_path, keys):
    plain, changed = made("detection", tmp_path), made("detection", tmp_path, **keys)
    for before, after in zip(plain, changed):
        for name in before.keys() - {"image"}:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert sum((a["image"] != b["image"]).any() for a, b in zip(plain, changed)) >= 4
    again = made("detection", tmp_path, **keys)
    assert all((a["image"] == b["image"]).all() for a, b in zip(changed, again))


@pytest.mark.parametrize("keys", [{"photometric_distortion": 1}, {"color_jitter": 0.5}])
def test_the_canvas_of_an_expanded_image_keeps_its_colour(tmp_path, keys):
    """As in SSD, where the colours are distorted before."""
    plain = made("detection", tmp_path, expand_ratio=1)
    for before, after in zip(plain, made("detection", tmp_path, expand_ratio=1, **keys)):
        canvas = np.abs(before["image"]).max(axis=0) < 0.01
        same = np.abs(after["image"][:, canvas]) < 0.01  # but for its border, where an image begins
        assert canvas.mean() > 0.1 and same.mean() > 0.999


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_other_tasks_get_the_distortion_on_top_of_their_own_changes(tmp_path, task):
    plain, changed = made(task, tmp_path), made(task, tmp_path, photometric_distortion=1)
    for before, after in zip(plain, changed):
        np.testing.assert_array_equal(after["label"], before["label"])
    assert sum((a["image"] != b["image"]).any() for a, b in zip(plain, changed)) >= 4
