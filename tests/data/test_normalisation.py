"""Mean, deviation and channel order, in both ways of arithmetic."""

import numpy as np
import pytest

from src.data.normalisation import PixelNormalisation

RGB = np.full((2, 3, 3), (100, 110, 120), np.uint8)


@pytest.mark.parametrize(("to_rgb", "expected"), [(True, [0, 10, 10]), (False, [20, 10, 5])])
def test_every_channel_has_its_own_mean_and_deviation_in_the_networks_order(to_rgb, expected):
    normalisation = PixelNormalisation((100, 90, 80), (1, 2, 4), to_rgb)
    out = normalisation.divided(RGB)
    assert out.shape == (3, 2, 3) and out.dtype == np.float32 and out[:, 0, 0].tolist() == expected
    canvas = np.zeros((3, 5, 4), np.float32)
    normalisation.multiplied(RGB[..., ::-1], canvas)
    np.testing.assert_array_equal(canvas[:, :2, :3], out)
    assert not canvas[:, 2:].any() and not canvas[:, :, 3:].any()


def test_both_ways_agree_but_for_the_last_bit():
    normalisation = PixelNormalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    image = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    divided, multiplied = normalisation.divided(image), np.zeros((3, 64, 64), np.float32)
    normalisation.multiplied(image[..., ::-1], multiplied)
    np.testing.assert_allclose(divided, multiplied, rtol=3e-7)
    assert (divided != multiplied).any()


@pytest.mark.parametrize("to_rgb", [True, False])
def test_the_mean_colour_becomes_zero(to_rgb):
    normalisation = PixelNormalisation((100, 90, 80), (1, 2, 4), to_rgb)
    out = np.ones((3, 1, 1), np.float32)
    normalisation.multiplied(normalisation.mean_colour().astype(np.uint8)[None, None], out)
    assert not out.any()


def test_its_facts_in_a_file_are_plain_lists():
    assert PixelNormalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), False).to_dict() == {
        "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "to_rgb": False,
    }  # fmt: skip


@pytest.mark.parametrize("to_rgb", [True, False])
def test_what_the_network_takes_is_restored_to_the_same_pixels(to_rgb):
    image = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    normalisation = PixelNormalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), to_rgb)
    np.testing.assert_array_equal(normalisation.restored(normalisation.divided(image[..., ::-1])), image)
    canvas = np.zeros((3, 6, 7), np.float32)
    normalisation.multiplied(image, canvas)
    np.testing.assert_array_equal(normalisation.restored(canvas)[:5], image)
    assert normalisation.restored(canvas)[5, 0].tolist() == normalisation.mean_colour().tolist()
