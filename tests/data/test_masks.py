"""Segmentations to bitmaps as pycocotools has them, and the packing of bits."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data.formats.shapes import read_shape
from src.data.masks import is_segmentation, layered, pack, pack_layers, to_bitmap
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


JUMPS = [float(side) for side in np.random.RandomState(0).randint(0, 2000, 200_000)]  # an outline of 67 million pixels
GOOD = [2, 2, 8, 2, 8, 8, 2, 8]
ATTACKS = {
    "runs that end before the image": {"size": [12, 20], "counts": [100, 139]},
    "runs that go on after the image": {"size": [12, 20], "counts": [100, 141]},
    "a negative run": {"size": [12, 20], "counts": [-10, 250]},
    "runs that add up modulo 2**32": {"size": [12, 20], "counts": [2**32, 240]},
    "a run that no integer holds": {"size": [12, 20], "counts": [10**30, 1]},
    "runs that are no integers": {"size": [12, 20], "counts": [100.0, 140.0]},
    "runs that are texts": {"size": [12, 20], "counts": ["100", "140"]},
    "no runs": {"size": [12, 20], "counts": []},
    "a text that ends before the image": {"size": [12, 20], "counts": "T3<"},
    "a text that ends within a number": {"size": [12, 20], "counts": "o"},
    "a text of odd characters": {"size": [12, 20], "counts": "\x00\u00e9 "},
    "bytes that end before the image": {"size": [12, 20], "counts": b"T3<"},
    "no counts": {"size": [12, 20], "counts": None},
    "another size": {"size": [20, 12], "counts": [100, 140]},
    "an endless size": {"size": [12, 10**30], "counts": [100, 140]},
    "no size": {"size": 240, "counts": [100, 140]},
    "a point far out": [[*GOOD[:-1], 1e8]],
    "a point at infinity": [[*GOOD[:-1], float("inf")]],
    "a point that is no number": [[float("nan"), *GOOD[1:]]],
    "a point that no float holds": [[*GOOD[:-1], 10**400]],
    "a point that is a text": [[*GOOD[:-1], "8"]],
    "half a point": [[*GOOD, 3]],
    "an endless outline": [JUMPS],
    "numbers in the place of polygons": [0, 1000000],
    "a good polygon and a bad one": [GOOD, [*GOOD[:-1], 1e8]],
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_what_would_lead_pycocotools_astray_does_not_reach_it(kind):
    """Runs that do not add up decode to whatever lies in memory, far points take all memory there is."""
    size = (2000, 2000) if "endless outline" in kind else (12, 20)
    with pytest.raises(ValueError):
        to_bitmap(ATTACKS[kind], *size)
    shape, is_odd = read_shape(ATTACKS[kind], *size)
    assert is_odd and (shape is None or shape.segmentation == [GOOD])


@pytest.mark.parametrize("far", [0.4, 3, 25, 150])
def test_a_polygon_that_leaves_the_image_somewhat_has_the_mask_that_pycocotools_gives_it(far):
    polygon = [-far, 3, 10, -far / 2, 20 + far, 6, 10, 12 + far / 2]
    expected = coco_mask.decode(coco_mask.frPyObjects([polygon], 12, 20))[..., 0]
    assert expected.sum() > 100
    np.testing.assert_array_equal(to_bitmap([polygon], 12, 20), expected)
    shape, is_odd = read_shape([polygon], 12, 20)
    assert shape.segmentation == [polygon] and not is_odd


def test_masks_that_a_reader_made_of_numpys_numbers_are_taken():
    polygon = np.float32(GOOD)
    for made in ([polygon], [list(polygon)], [polygon.tolist()], [tuple(polygon)]):
        np.testing.assert_array_equal(to_bitmap(made, 12, 20), to_bitmap([GOOD], 12, 20))
    for counts in (np.array([100, 140]), list(np.uint32([100, 140]))):
        assert to_bitmap({"size": (12, 20), "counts": counts}, 12, 20).sum() == 140


def test_packing_keeps_every_bit_with_the_leftmost_pixel_highest():
    bitmaps = (np.random.RandomState(1).rand(2, 3, 16) > 0.5).astype(np.uint8)
    np.testing.assert_array_equal(np.unpackbits(pack(bitmaps), axis=-1), bitmaps)
    assert pack(np.uint8([[1, 0, 0, 0, 0, 0, 0, 1]])).tolist() == [[129]]


def one_by_one(objects, size, change, shape) -> np.ndarray:
    """Every mask by itself: decoded, changed, put into the full width, packed."""
    packed = np.zeros(shape, np.uint8)
    for row, segmentation in objects:
        bitmap = change(to_bitmap(segmentation, *size))
        full = np.zeros((bitmap.shape[0], 8 * shape[2]), np.uint8)
        full[:, : bitmap.shape[1]] = bitmap
        packed[row, : bitmap.shape[0]] = np.packbits(full, axis=-1)
    return packed


def pack_objects(objects, size, change, shape) -> np.ndarray:
    """Eight together: decoded, changed, packed."""
    rows, segmentations = [row for row, _ in objects], [segmentation for _, segmentation in objects]
    return pack_layers(rows, lambda numbers: change(layered([segmentations[k] for k in numbers], *size)), shape)


CHANGES = {  # to at most 64 x 96
    "none": lambda mask: mask,
    "resized": lambda mask: cv2.resize(mask, (96, 57), interpolation=cv2.INTER_NEAREST),
    "mirrored": lambda mask: cv2.resize(mask, (83, 64), interpolation=cv2.INTER_NEAREST)[:, ::-1],
    "turned": lambda mask: np.rot90(mask),
    "upside_down": lambda mask: mask[::-1],
    "narrow": lambda mask: cv2.resize(mask, (3, 64), interpolation=cv2.INTER_NEAREST),
    "cropped": lambda mask: mask[10:30, 25:],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("count", [0, 1, 8, 21])
def test_objects_that_go_together_through_a_change_are_packed_as_one_by_one(change, count):
    rng, height, width = np.random.RandomState(count), 41, 53
    objects = []
    for row in sorted(rng.choice(30, count, replace=False).tolist()):
        kind = rng.randint(4)
        bitmap = (rng.rand(height, width) < (0, 0.001, 0.3, 1)[rng.randint(4)]).astype(np.uint8)
        left, top = rng.uniform(-20, 50, 2)
        polygon = [left, top, left + rng.uniform(1, 40), top, left + 3, top + rng.uniform(1, 60)]
        shape = {"size": [height, width], "counts": uncompressed_counts(bitmap)}
        compressed = coco_mask.encode(np.asfortranarray(bitmap))
        objects.append((row, ([polygon], [polygon, polygon[::-1]], shape, compressed)[kind]))
    arguments = objects, (height, width), CHANGES[change], (30, 64, 12)
    expected = one_by_one(*arguments)
    np.testing.assert_array_equal(pack_objects(*arguments), expected, strict=True)
    assert count < 8 or expected.any()


def test_the_bits_of_two_objects_that_overlap_stay_apart():
    left, right = [[0, 0, 10, 0, 10, 2, 0, 2]], [[6, 1, 16, 1, 16, 3, 6, 3]]
    packed = pack_objects([(0, left), (2, right)], (4, 16), lambda mask: mask, (3, 4, 2))
    assert packed[0].tolist() == [[255, 192], [255, 192], [0, 0], [0, 0]]
    assert not packed[1].any() and packed[2].tolist() == [[0, 0], [3, 255], [3, 255], [0, 0]]
