"""Geometry: the image, its boxes and its masks move together."""

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


def test_resized_boxes_are_scaled_by_the_true_factors_and_clipped():
    boxes = T.resize_boxes(np.float32([[1, 2, 5, 4], [-3, 0, 99, 99]]), (10, 8), (25, 16))
    np.testing.assert_allclose(boxes, [[2.5, 4, 12.5, 8], [0, 0, 25, 16]])


def test_flipping_twice_gives_the_same_boxes():
    boxes = np.float32([[1, 2, 5, 4], [0, 0, 10, 8]])
    once = T.flip_boxes(boxes, 10)
    np.testing.assert_allclose(once, [[5, 2, 9, 4], [0, 0, 10, 8]])
    np.testing.assert_allclose(T.flip_boxes(once, 10), boxes)


def test_masks_are_resized_to_the_nearest_pixel():
    mask = np.uint8([[1, 0], [0, 1]])
    np.testing.assert_array_equal(T.resize_mask(mask, (4, 4)), np.kron(mask, np.ones((2, 2), np.uint8)))


def test_an_expanded_image_lies_whole_on_a_canvas_of_the_mean_colour():
    rng = np.random.RandomState(3)
    for _ in range(20):
        expansion = T.draw_expansion(6, 9, rng)
        assert 6 <= expansion.height <= 24 and 9 <= expansion.width <= 36
        image = np.full((6, 9, 3), 200, np.uint8)
        canvas = T.expand_image(image, expansion, settings())
        mask = T.expand_mask(np.ones((6, 9), np.uint8), expansion)
        assert mask.sum() == 54
        assert (canvas[mask > 0] == 200).all() and (canvas[mask == 0] == MEAN[::-1]).all()


def test_resizing_is_opencvs_bilinear():
    image = np.random.RandomState(0).randint(0, 256, (31, 40, 3)).astype(np.uint8)
    expected = cv2.resize(image, (62, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(T.resize_image(image, settings()), expected)
