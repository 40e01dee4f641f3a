"""Segmentations to bitmaps as pycocotools has them, and the packing of bits."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data.masks import is_segmentation, pack, to_bitmap
from src.data.synthetic.coco import uncompressed_counts


def test_polygons_of_one_object_are_united():
    squares = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 1, 6, 1, 6, 4, 4, 4]]
    expected = np.zeros((5, 8), np.uint8)
    expected[0:2, 0:2] = 1
    expected[1:4, 4:6] = 1
    np.testing.assert_array_equal(to_bitmap(squares, 5, 8), expected)


def test_polygons_without_three_points_are_passed_over():
    bitmap = to_bitmap([[0, 0, 1, 1], [0, 0, 2, 0, 2, 2, 0, 2]], 3, 3)
    assert bitmap.sum() == 4


@pytest.mark.parametrize("first", [0, 1])
def test_all_forms_of_rle_give_the_bitmap_they_were_made_from(first):
    bitmap = (np.random.RandomState(0).rand(13, 7) > 0.6).astype(np.uint8)
    bitmap[0, 0] = first
    compressed = coco_mask.encode(np.asfortranarray(bitmap))
    for counts in (compressed["counts"], compressed["counts"].decode(), uncompressed_counts(bitmap)):
        np.testing.assert_array_equal(to_bitmap({"size": [13, 7], "counts": counts}, 13, 7), bitmap)


@pytest.mark.parametrize("wrong", [[], [[1, 2]], None, "text", {"size": [3, 3]}, {"size": [3, 4], "counts": [12]}])
def test_what_is_no_segmentation_of_this_image_is_refused(wrong):
    assert not is_segmentation(wrong, 3, 3)
    with pytest.raises(ValueError):
        to_bitmap(wrong, 3, 3)


def test_packing_keeps_every_bit_with_the_leftmost_pixel_highest():
    bitmaps = (np.random.RandomState(1).rand(2, 3, 16) > 0.5).astype(np.uint8)
    np.testing.assert_array_equal(np.unpackbits(pack(bitmaps), axis=-1), bitmaps)
    assert pack(np.uint8([[1, 0, 0, 0, 0, 0, 0, 1]])).tolist() == [[129]]
