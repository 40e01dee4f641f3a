"""How an image becomes a detector's input."""

import cv2
import numpy as np
import pytest

from src.data import network_input as T
from src.data.normalisation import PixelNormalisation

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 5.0)


def settings(width: int = 64, height: int = 48, to_rgb: bool = True, **changes) -> T.ImageSettings:
    return T.ImageSettings(width, height, PixelNormalisation(MEAN, STD, to_rgb), **changes)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((128, 96), (64, 48)), ((64, 96), (32, 48)), ((200, 50), (64, 16)), ((30, 7), (64, 15)), ((1000, 1), (64, 1))],
)
def test_the_fitted_size_keeps_the_ratio_and_never_leaves_the_input(size, expected):
    assert T.fitted_size(*size, settings()) == expected


def test_without_keep_ratio_the_image_fills_the_input():
    image, shape, scale = T.prepare_image(np.ones((10, 20, 3), np.uint8), settings(keep_ratio=False))
    assert image.shape == (3, 48, 64) and shape.tolist() == [48, 64]
    assert scale.tolist() == pytest.approx([3.2, 4.8])


def test_the_prepared_image_is_normalised_rgb_and_zero_where_padded():
    pixels = np.empty((24, 16, 3), np.uint8)
    pixels[:] = (40, 28, 14)  # blue, green, red
    image, shape, scale = T.prepare_image(pixels, settings())
    assert shape.tolist() == [48, 32] and scale.tolist() == [2, 2]
    np.testing.assert_allclose(image[:, :48, :32].reshape(3, -1).T, np.tile([2, 2, 2], (48 * 32, 1)), rtol=1e-6)
    assert not image[:, :, 32:].any()


def test_without_to_rgb_the_channels_stay_in_the_files_order():
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:] = (12, 24, 35)
    image, _, _ = T.prepare_image(pixels, settings(to_rgb=False))
    np.testing.assert_allclose(image[:, 0, 0], [1, 1, 1], rtol=1e-6)


def test_resizing_is_opencvs_bilinear():
    image = np.random.RandomState(0).randint(0, 256, (31, 40, 3)).astype(np.uint8)
    expected = cv2.resize(image, (62, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(T.resize_image(image, settings()), expected)


@pytest.mark.parametrize(
    ("size", "steps", "scale"),
    [
        ((640, 427), [(64, 43)], 0.1),  # landscape: once, as ever
        ((427, 640), [(43, 64), (32, 48)], 0.1 * 48 / 64),  # portrait: inside 48 x 64, then inside 48 x 48
        ((600, 600), [(48, 48)], 0.08),
    ],
)
def test_portrait_images_are_resized_twice_with_one_nominal_scale(size, steps, scale):
    width, height = size
    pixels = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
    image, shape, scales = T.prepare_image(pixels, settings(twice=True))
    assert shape.tolist() == list(steps[-1][::-1])
    np.testing.assert_allclose(scales, [scale, scale], rtol=1e-6)
    for step in steps:
        pixels = cv2.resize(pixels, step, interpolation=cv2.INTER_LINEAR)
    expected = T.normalise_and_pad(pixels, settings())
    np.testing.assert_array_equal(image, expected)


def test_black_padding_is_what_a_black_pixel_becomes():
    image, shape, _ = T.prepare_image(np.full((24, 16, 3), 30, np.uint8), settings(black=True))
    assert shape.tolist() == [48, 32]
    np.testing.assert_allclose(image[:, 0, -1], -np.divide(MEAN, STD), rtol=1e-6)
    plain, _, _ = T.prepare_image(np.full((24, 16, 3), 30, np.uint8), settings())
    np.testing.assert_array_equal(image[:, :, :32], plain[:, :, :32])
