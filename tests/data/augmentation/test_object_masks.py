"""Masks of many objects as bits of one picture, whatever they were put together from."""

import numpy as np
import pytest

from src.data.augmentation.geometry import HorizontalFlip
from src.data.augmentation.object_masks import ChangedMasks, ChosenMasks, DrawnMasks, JoinedMasks
from src.data.masks import pack_layers
from tests.data.augmentation.scenes import Bitmaps, bitmap_of

SIZE = (9, 16)


@pytest.fixture(scope="module")
def bitmaps():
    return list(np.random.RandomState(0).rand(20, *SIZE) < 0.3)


def assert_are(masks, numbers, expected):
    layers = masks.layers(numbers)
    assert layers.dtype == np.uint8
    for bit, bitmap in enumerate(expected):
        np.testing.assert_array_equal(layers >> bit & 1, bitmap)
    assert not (layers.astype(int) >> len(expected)).any()


def test_segmentations_are_drawn_when_they_are_asked_for():
    outlines = [[[2, 1, 6, 1, 6, 4, 2, 4]], None, [[0, 0, 3, 0, 3, 9, 0, 9]]]
    masks = DrawnMasks(outlines, SIZE)
    assert masks.drawn == [True, False, True]
    assert bitmap_of(masks, 0).sum() == 12 and bitmap_of(masks, 2)[:, :3].all()
    assert_are(masks, [2, 0], [bitmap_of(masks, 2), bitmap_of(masks, 0)])


def test_a_change_acts_on_all_of_them(bitmaps):
    masks = ChangedMasks(Bitmaps(bitmaps[:8]), HorizontalFlip())
    assert_are(masks, range(8), [bitmap[:, ::-1] for bitmap in bitmaps[:8]])


def test_some_of_them_in_another_order(bitmaps):
    masks = ChosenMasks(Bitmaps([*bitmaps[:5], None]), [4, 5, 0])
    assert masks.drawn == [True, False, True]
    assert_are(masks, [0, 2], [bitmaps[4], bitmaps[0]])


@pytest.mark.parametrize("numbers", [range(8), range(3, 11), [12, 0, 7, 3], [5], [0, 12, 1, 11, 2, 10, 3, 9]])
def test_several_one_after_the_other(bitmaps, numbers):
    masks = JoinedMasks([Bitmaps(bitmaps[:4]), Bitmaps([]), Bitmaps(bitmaps[4:5]), Bitmaps(bitmaps[5:13])])
    assert len(masks.drawn) == 13
    assert_are(masks, numbers, [bitmaps[k] for k in numbers])


def test_packed_in_their_rows(bitmaps):
    rows = [2 + 2 * k for k in range(12)]
    packed = pack_layers(rows, Bitmaps(bitmaps[:12]).layers, (26, 9, 3))  # wider and higher than they are
    shown = np.unpackbits(packed, axis=-1)
    np.testing.assert_array_equal(shown[rows][..., :16], bitmaps[:12])
    assert not shown[..., 16:].any() and not shown[1::2].any() and not shown[0].any()
