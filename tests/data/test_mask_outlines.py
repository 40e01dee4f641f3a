"""Masks as polygons, against pycocotools and OpenCV."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data.mask_outlines import LEAST_IOU, mask_outlines


def rle(bits: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(bits, np.uint8))
    return {"size": code["size"], "counts": code["counts"].decode()}


def drawn(polygons: list, shape: tuple[int, int]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape)))


def random_masks() -> list[np.ndarray]:
    """Noise, blobs with holes, blocks; of all sizes down to a pixel."""
    rng, masks = np.random.RandomState(0), []
    for number in range(300):
        height, width = rng.randint(1, 40, 2)
        noise = rng.rand(height, width)
        blocks = cv2.resize((rng.rand(5, 5) > 0.4).astype(np.uint8), (int(width), int(height)), interpolation=0)
        masks.append((noise < rng.rand(), cv2.GaussianBlur(noise, (0, 0), 2) > 0.5, blocks)[number % 3])
    return [mask.astype(np.uint8) for mask in masks if mask.any()]


def test_exact_outlines_give_the_same_pixels_whatever_the_mask():
    for mask in random_masks():
        np.testing.assert_array_equal(drawn(mask_outlines(rle(mask), 1.0, ()), mask.shape), mask)


def test_simplified_outlines_keep_to_the_mask():
    for mask in random_masks():
        code, found = rle(mask), mask_outlines(rle(mask))
        again = coco_mask.merge(coco_mask.frPyObjects(found, *mask.shape))
        assert coco_mask.iou([again], [code], [0])[0, 0] >= LEAST_IOU


def test_a_pixel_is_a_square_and_nothing_is_nothing():
    mask = np.zeros((3, 5), np.uint8)
    assert mask_outlines(rle(mask)) == []
    mask[1, 3] = 1
    (square,) = mask_outlines(rle(mask))
    assert sorted(zip(square[::2], square[1::2])) == [(3, 1), (3, 2), (4, 1), (4, 2)]


def test_a_ring_is_cut_open_from_its_hole_to_the_left():
    mask = np.ones((5, 6), np.uint8)
    mask[2:4, 2:5] = 0
    (ring,) = mask_outlines(rle(mask))
    points = list(zip(ring[::2], ring[1::2]))
    assert points.count((0, 2)) + points.count((0, 4)) == 2  # where the slit leaves the outer outline
    assert set(points) - {(0, 2), (0, 4)} == {(0, 0), (6, 0), (6, 5), (0, 5), (2, 2), (5, 2), (5, 4), (2, 4)}
    np.testing.assert_array_equal(drawn([ring], mask.shape), mask)


def test_specks_and_pinholes_go_and_the_largest_part_comes_first():
    mask = np.zeros((60, 60), np.uint8)
    mask[5:15, 5:15], mask[20:50, 20:50], mask[40, 10], mask[30, 30] = 1, 1, 1, 0
    first, second = mask_outlines(rle(mask))
    assert len(first) == len(second) == 8 and (min(first), max(first)) == (20, 50)
    assert len(mask_outlines(rle(mask), 1.0, ())) == 3


def test_a_speck_without_which_the_box_would_be_another_stays():
    mask = np.zeros((60, 60), np.uint8)
    mask[20:50, 20:50], mask[55, 55] = 1, 1
    _, speck = mask_outlines(rle(mask))
    assert (min(speck), max(speck)) == (55, 56)


@pytest.mark.parametrize("radius,most", [(60, 44), (12, 40)])
def test_a_disc_takes_few_points(radius, most):
    mask = cv2.circle(np.zeros((150, 150), np.uint8), (70, 75), radius, 1, -1)
    (outline,) = mask_outlines(rle(mask))
    assert len(outline) / 2 <= most < len(mask_outlines(rle(mask), 1.0, ())[0]) / 2
