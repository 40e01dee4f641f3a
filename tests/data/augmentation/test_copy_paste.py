"""Copy-paste: cases worked by hand, and MMDetection's algorithm written out on whole bitmaps beside it."""

import cv2
import numpy as np
import pytest

from src.data.augmentation.copy_paste import CopyPaste
from src.data.augmentation.patch import Patch, PatchMasks, patches_of
from src.data.augmentation.scene import CROWD_LABEL
from tests.data.augmentation.scenes import Bitmaps, bitmap_of, random_scene, rectangle, scene_of

SIZE = (16, 24)


class InOrder:
    """All objects are drawn, as they stand, or the first so many."""

    def __init__(self, count=None):
        self.count = count

    def randint(self, end):
        return end - 1 if self.count is None else min(self.count, end - 1)

    def permutation(self, numbers):
        return numbers


def pasted(below, above, rng=None, size=SIZE, **values):
    return CopyPaste(size, (7, 8, 9), **values).combine(below, [above], rng or InOrder())


def expected(below, above, rng, size, colour, most, box_shift, least_pixels):
    """image, boxes, labels, masks as MMDetection makes them of two images padded to the same size."""

    def padded(scene):
        image = np.zeros((*size, 3), np.int64) + colour
        image[: scene.size[0], : scene.size[1]] = scene.image
        masks = np.zeros((len(scene.boxes), *size), bool)
        for k in range(len(masks)):
            masks[k, : scene.size[0], : scene.size[1]] = bitmap_of(scene.masks, k)
        return image, masks

    (image, masks), (other_image, other_masks) = padded(below), padded(above)
    count = rng.randint(0, min(len(above.boxes) + 1, most))
    chosen = rng.choice(len(above.boxes), size=count, replace=False)
    if count == 0:
        return below.image, below.boxes, below.labels, masks
    composed = other_masks[chosen].any(axis=0)
    masks &= ~composed
    boxes = np.zeros((len(masks), 4), np.float32)
    for k, mask in enumerate(masks):
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            boxes[k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    stay = (np.abs(boxes - below.boxes) <= box_shift).all(axis=1) | (masks.sum(axis=(1, 2)) > least_pixels)
    stay &= masks.any(axis=(1, 2))  # one with a box of zeros and no pixel is no object here
    return (
        np.where(composed[..., None], other_image, image),
        np.concatenate([boxes[stay], above.boxes[chosen]]),
        np.concatenate([below.labels[stay], above.labels[chosen]]),
        np.concatenate([masks[stay], other_masks[chosen]]),
    )


def test_pixels_masks_and_boxes_of_what_lies_below_follow_what_is_pasted():
    below = scene_of(SIZE, [[2, 2, 10, 8], [14, 10, 20, 14]])
    above = scene_of(SIZE, [[8, 0, 16, 12]], value=200, labels=[5])
    scene = pasted(below, above)
    covered = rectangle(SIZE, 8, 0, 16, 12)
    np.testing.assert_array_equal(scene.image[..., 0], np.where(covered, 200, 10))
    assert scene.boxes.tolist() == [[2, 2, 8, 8], [14, 10, 20, 14], [8, 0, 16, 12]]  # the second has pixels below it
    assert scene.labels.tolist() == [1, 2, 5]
    np.testing.assert_array_equal(bitmap_of(scene.masks, 0), rectangle(SIZE, 2, 2, 8, 8))
    np.testing.assert_array_equal(bitmap_of(scene.masks, 1), rectangle(SIZE, 14, 10, 20, 14) & ~covered)
    np.testing.assert_array_equal(bitmap_of(scene.masks, 2), covered)


@pytest.mark.parametrize(
    ("box_shift", "least_pixels", "stays"), [(2, 36, True), (1.9, 36, False), (1.9, 35, True), (0, 0, True)]
)
def test_one_stays_by_its_box_or_by_its_pixels(box_shift, least_pixels, stays):
    """Two columns of eight are covered: the right side moves by 2, 6 x 6 pixels are left."""
    below, above = scene_of(SIZE, [[2, 2, 10, 8]]), scene_of(SIZE, [[8, 0, 16, 12]], labels=[5])
    scene = pasted(below, above, box_shift=box_shift, least_pixels=least_pixels)
    assert scene.labels.tolist() == ([1, 5] if stays else [5])


def test_what_is_wholly_covered_is_gone_even_where_zeros_are_near_its_box():
    below = scene_of(SIZE, [[0, 0, 6, 6], [12, 4, 20, 12]])
    scene = pasted(below, scene_of(SIZE, [[0, 0, 24, 16]], labels=[5]))
    assert scene.labels.tolist()[-1] == 5
    kept = (scene.boxes[:, 2:] > scene.boxes[:, :2]).all(axis=1)
    assert scene.labels[kept].tolist() == [5]  # a box of zeros takes no row of a sample


def test_boxes_of_what_nothing_covers_are_made_of_their_masks_too():
    below = scene_of(SIZE, [[1.5, 2.25, 9.5, 8.75]], masks=[rectangle(SIZE, 2, 2, 9, 9)])
    scene = pasted(below, scene_of(SIZE, [[20, 0, 22, 2]], labels=[5]))
    assert scene.boxes[0].tolist() == [2, 2, 9, 9]


def test_an_object_of_which_nothing_but_a_box_is_known():
    masks = [None, None, None]
    below = scene_of(SIZE, [[0.5, 1.5, 7.5, 8.5], [2.5, 2.5, 15.5, 6.5], [9, 7, 11, 9]], masks=masks)
    above = scene_of(SIZE, [[8, 0, 16, 12]], labels=[5])
    scene = pasted(below, above, box_shift=7.5)
    assert scene.labels.tolist() == [1, 2, 5]
    assert scene.boxes.tolist()[:2] == [[0.5, 1.5, 7.5, 8.5], [2.5, 2.5, 8, 6.5]]  # cut, but for that as it was
    assert list(scene.masks.drawn) == [False, False, True]
    assert pasted(below, above, box_shift=7.4, least_pixels=30).labels.tolist() == [1, 5]  # 6 x 5 pixels are left
    assert pasted(below, above, box_shift=7.4, least_pixels=29).labels.tolist() == [1, 2, 5]


def test_crowds_lie_below_and_are_not_pasted():
    below = scene_of(SIZE, [[0, 0, 24, 8]], labels=[CROWD_LABEL])
    above = scene_of(SIZE, [[0, 0, 12, 16], [16, 0, 20, 16]], labels=[CROWD_LABEL, 5])
    scene = pasted(below, above)
    assert scene.labels.tolist() == [CROWD_LABEL, 5] and scene.boxes.tolist() == [[0, 0, 24, 8], [16, 0, 20, 16]]
    assert not bitmap_of(scene.masks, 0)[:, 16:20].any() and scene.image[0, 0, 0] == 10


def test_objects_without_a_mask_or_a_pixel_of_it_are_not_pasted():
    masks = [None, np.zeros(SIZE, bool), rectangle(SIZE, 4, 4, 8, 8)]
    above = scene_of(SIZE, [[0, 0, 4, 4], [9, 9, 10, 10], [4, 4, 8, 8]], masks=masks)
    assert pasted(scene_of(SIZE, []), above).labels.tolist() == [3]
    alone = scene_of(SIZE, [[0, 0, 4, 4]], masks=[None])
    below = scene_of(SIZE, [[1.5, 1, 9, 9]])
    assert pasted(below, alone) is below and pasted(below, above, InOrder(0)) is below


def test_both_stand_at_the_top_left_of_the_networks_size():
    below, above = scene_of((8, 24), [[0, 0, 6, 6]]), scene_of((16, 12), [[2, 4, 10, 16]], value=200, labels=[5])
    scene = pasted(below, above)
    assert scene.size == SIZE
    assert scene.image[15, 3].tolist() == [200] * 3 and scene.image[15, 0].tolist() == [7, 8, 9]
    assert scene.image[0, 23].tolist() == [10] * 3
    assert [scene.masks.layers([k]).shape for k in range(2)] == [SIZE] * 2 and bitmap_of(scene.masks, 1)[15, 9]


def test_at_most_one_less_than_the_most_are_drawn_and_no_more_than_have_a_place():
    above = scene_of(SIZE, [[k, 0, k + 1, 4] for k in range(12)], labels=range(1, 13))
    below = scene_of(SIZE, [[0, 8, 24, 16]])
    counts = {len(pasted(below, above, np.random.RandomState(k), most=4).labels) - 1 for k in range(60)}
    assert counts == {0, 1, 2, 3}
    orders = {tuple(pasted(below, above, np.random.RandomState(k)).labels) for k in range(9)}
    assert any(list(order) != sorted(order) for order in orders)
    assert len(pasted(below, above, selected=False, most=4).labels) == 13
    assert len(pasted(below, above, selected=False, slots=8).labels) == 8
    full = scene_of(SIZE, [[k, 8, k + 1, 16] for k in range(8)])
    assert pasted(full, above, slots=8) is full


def test_images_that_are_views_are_pasted_as_they_look():
    rng = np.random.RandomState(0)
    below, above = random_scene(rng, SIZE, 0), scene_of(SIZE, [[2, 4, 10, 16]])
    picture = rng.randint(0, 256, (*SIZE, 3)).astype(np.uint8)
    for view in (picture[:, ::-1], picture[::-1], picture[..., ::-1]):
        object.__setattr__(above, "image", view)
        object.__setattr__(below, "image", 255 - view)
        scene = pasted(below, above)
        covered = rectangle(SIZE, 2, 4, 10, 16)[..., None]
        np.testing.assert_array_equal(scene.image, np.where(covered, view, 255 - view))


@pytest.mark.parametrize("seed", range(25))
def test_it_is_mmdetections(seed):
    rng = np.random.RandomState(seed)
    size = (40, 56)
    below = random_scene(rng, (40, rng.randint(20, 57)), rng.randint(0, 20))
    above = random_scene(rng, (rng.randint(20, 41), 56), rng.randint(0, 12))
    values = {"most": int(rng.randint(2, 12)), "box_shift": 10, "least_pixels": 60}
    scene = pasted(below, above, np.random.RandomState([seed, 1]), size, **values)
    image, boxes, labels, masks = expected(below, above, np.random.RandomState([seed, 1]), size, (7, 8, 9), **values)
    kept = np.flatnonzero((scene.boxes[:, 2:] > scene.boxes[:, :2]).all(axis=1))
    np.testing.assert_array_equal(scene.image, image)
    np.testing.assert_array_equal(scene.boxes[kept], boxes)
    np.testing.assert_array_equal(scene.labels[kept], labels)
    masks = masks[:, : scene.size[0], : scene.size[1]]
    for k, mask in zip(kept, masks, strict=True):
        np.testing.assert_array_equal(bitmap_of(scene.masks, k), mask)
    if len(kept) > 9:  # eight together, and more
        layers = scene.masks.layers(kept[1:9])
        for bit, mask in enumerate(masks[1:9]):
            np.testing.assert_array_equal(layers >> bit & 1, mask)


def test_a_patch_reaches_to_the_last_set_pixel():
    bitmap = np.zeros((11, 13), bool)
    cv2.line(bitmap.view(np.uint8), (3, 2), (12, 10), 1)
    (patch, nothing) = patches_of(Bitmaps([bitmap, np.zeros_like(bitmap)]), [0, 1])
    assert patch.box.tolist() == [3, 2, 13, 11] and nothing.box.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(PatchMasks([patch, nothing], (11, 13)).layers([1, 0]) == 2, bitmap)
    assert Patch.of(np.zeros((0, 4), bool), 3, 3).bits.size == 0
