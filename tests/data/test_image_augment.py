"""Resizing and mixing with torchvision's meaning."""

import numpy as np
import pytest
import torch

from src.data import image_augment as A


@pytest.mark.parametrize("size", [(20, 30), (90, 120), (41, 200)])
def test_resizing_is_torchs_antialiased_bilinear(size):
    image = np.random.RandomState(0).randint(0, 256, (61, 83, 3)).astype(np.uint8)
    tensor = torch.tensor(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(tensor, size, mode="bilinear", antialias=True, align_corners=False)
    out = A.resize(image, size)
    assert np.abs(out - expected[0].permute(1, 2, 0).numpy()).max() <= 1.01


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
