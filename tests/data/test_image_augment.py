"""Crops, resizing, colours and mixing with torchvision's meaning."""

import numpy as np
import pytest
import torch

from src.data import image_augment as A


def coordinates(height: int, width: int) -> np.ndarray:
    """A picture whose channels tell a pixel's row and column."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(20, 30), (90, 120), (41, 200)])
def test_resizing_is_torchs_antialiased_bilinear(size):
    image = np.random.RandomState(0).randint(0, 256, (61, 83, 3)).astype(np.uint8)
    tensor = torch.tensor(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(tensor, size, mode="bilinear", antialias=True, align_corners=False)
    out = A.resize(image, size)
    assert np.abs(out - expected[0].permute(1, 2, 0).numpy()).max() <= 1.01


def test_random_crops_have_the_asked_area_and_shape_and_fill_the_size():
    rng = np.random.RandomState(0)
    image = coordinates(200, 240)
    areas, ratios = [], []
    for _ in range(300):
        left, top, width, height = A._crop_window(240, 200, rng, (0.2, 0.8), (0.5, 2.0))
        assert 0 <= left <= 240 - width and 0 <= top <= 200 - height
        areas.append(width * height / (240 * 200))
        ratios.append(width / height)
    assert 0.19 < min(areas) < 0.25 and 0.7 < max(areas) < 0.81
    assert 0.48 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.05 and abs(np.log(ratios).mean()) < 0.1
    out = A.random_resized_crop(image, (32, 48), rng)
    assert out.shape == (32, 48, 3) and (np.diff(out[:, 0, 0].astype(int)) >= 0).all()


def test_an_image_too_long_for_any_crop_gives_its_centre():
    window = A._crop_window(400, 10, np.random.RandomState(0), (0.9, 1.0), (0.75, 4 / 3))
    assert window == ((400 - 13) // 2, 0, 13, 10)


@pytest.mark.parametrize("shape,scaled", [((100, 150), (64, 96)), ((150, 100), (96, 64)), ((90, 90), (64, 64))])
def test_evaluation_takes_the_centre_of_the_resized_image(shape, scaled):
    image = np.random.RandomState(0).randint(0, 256, (*shape, 3)).astype(np.uint8)
    out = A.resize_and_centre_crop(image, 64, (56, 60))
    whole = A.resize(image, scaled)
    top, left = round((scaled[0] - 56) / 2), round((scaled[1] - 60) / 2)
    np.testing.assert_array_equal(out, whole[top : top + 56, left : left + 60])


def test_a_crop_larger_than_the_image_is_padded_with_zeros():
    out = A.resize_and_centre_crop(np.full((20, 20, 3), 9, np.uint8), 20, (30, 26))
    assert out.shape == (30, 26, 3) and (out[5:25, 3:23] == 9).all() and out.sum() == 20 * 20 * 3 * 9


def test_jitter_of_strength_zero_changes_nothing_and_brightness_scales():
    image = np.full((4, 4, 3), 100, np.uint8)
    np.testing.assert_array_equal(A.colour_jitter(image, np.random.RandomState(0), 0, 0, 0), image)
    values = {int(A.colour_jitter(image, np.random.RandomState(k), 0.5, 0, 0)[0, 0, 0]) for k in range(60)}
    assert 49 <= min(values) < 60 and 140 < max(values) <= 150


def batch():
    images = np.arange(6, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 16, 20), np.float32)
    return images, np.arange(6, dtype=np.int32)


def test_mixup_blends_each_image_with_the_partner_it_names():
    images, labels = batch()
    mixed, other, share = A.mixup(images, labels, 0.7, np.random.RandomState(3))
    assert sorted(other) == labels.tolist() and share.dtype == np.float32 and 0 < share[0] < 1
    np.testing.assert_allclose(mixed[:, 0, 0, 0], share * labels + (1 - share) * other, rtol=1e-6)


def test_the_share_of_cutmix_is_the_area_that_was_kept():
    images, labels = batch()
    for seed in range(20):
        mixed, other, share = A.cutmix(images, labels, 1.0, np.random.RandomState(seed))
        for k in range(6):
            if other[k] != labels[k]:
                assert (mixed[k, 0] == labels[k]).mean() == pytest.approx(share[k], abs=1e-6)
                assert set(np.unique(mixed[k])) <= {labels[k], other[k]}
    assert (images[:, 0, 0, 0] == labels).all()
