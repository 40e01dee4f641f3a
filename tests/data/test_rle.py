import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.data.rle import columns_alone, edges_of, encoded, moved, united, voted


def of(bitmap) -> dict:
    code = coco_mask.encode(np.asfortranarray(np.uint8(bitmap)))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode()}


def test_edges_go_down_the_columns():
    assert edges_of(of([[0, 1], [1, 1]])).tolist() == [1, 4]
    assert edges_of(of([[1, 0, 1], [0, 0, 1]])).tolist() == [0, 1, 4, 6]
    assert edges_of(of([[1, 0, 0], [0, 0, 1]])).tolist() == [0, 1, 5, 6]
    assert edges_of(of(np.zeros((3, 2)))).tolist() == []
    assert edges_of(of(np.ones((3, 2)))).tolist() == [0, 6]
    assert edges_of({"size": [2, 2], "counts": [1, 2, 0, 1]}).tolist() == [1, 3, 3, 4]  # a run of no zeros
    assert edges_of({"size": [2, 2], "counts": [1, 0, 3]}).tolist() == []  # a run of no ones


def test_the_worked_example_of_a_move():
    assert edges_of(moved(of([[1], [1]]), (4, 2), (1, 1))).tolist() == [5, 7]


def test_the_worked_example_of_columns_alone():
    """[[0, 1, 0], [0, 1, 0]]: runs 2, 2, 2, in the code "222"; column 1 alone: 0, 2, 0."""
    assert columns_alone({"size": [2, 3], "counts": "222"}, 1, 1) == {"size": [2, 1], "counts": b"020"}


@pytest.mark.parametrize("seed", range(40))
def test_columns_alone_are_those_of_the_bitmap(seed):
    rng = np.random.RandomState(seed)
    for scale in (1, 40):
        height, width = rng.randint(1, 9, 2) * scale
        left, right = np.sort(rng.choice(width + 1, 2, replace=False))
        bitmap = np.zeros((height, width), np.uint8)
        bitmap[:, left:right] = rng.rand(height, right - left) < rng.choice([0.1, 0.5, 0.99])
        bitmap[rng.randint(height), [left, right - 1]] = 1
        for code in (of(bitmap), coco_mask.encode(np.asfortranarray(bitmap))):
            alone = coco_mask.decode(columns_alone(code, int(left), int(right - left)))
            np.testing.assert_array_equal(alone, bitmap[:, left:right])


@pytest.mark.parametrize("seed", range(40))
def test_a_moved_mask_is_the_bitmap_moved(seed):
    rng = np.random.RandomState(seed)
    own, size = rng.randint(1, 9, 2), rng.randint(1, 12, 2)
    top, left = rng.randint(-6, 8, 2)
    bitmap = rng.rand(*own) < rng.choice([0.0, 0.2, 0.5, 0.9, 1.0])
    wanted = np.zeros(size, bool)
    for y, x in zip(*np.nonzero(bitmap)):
        if 0 <= y + top < size[0] and 0 <= x + left < size[1]:
            wanted[y + top, x + left] = True
    assert moved(of(bitmap), tuple(size), (top, left)) == of(wanted)


@pytest.mark.parametrize("seed", range(10))
def test_edges_and_codes_are_each_others_inverse_and_unions_are_those_of_bitmaps(seed):
    rng = np.random.RandomState(seed)
    one, other = rng.rand(2, 7, 5) < 0.4
    assert encoded(edges_of(of(one)), 7, 5) == of(one)
    assert united([of(one), of(other)]) == of(one | other)
    assert united([of(one)]) == of(one)


def test_a_mask_of_a_window_gets_into_four_thousand_million_pixels_without_a_bitmap():
    tracemalloc.start()
    found = moved(of(np.ones((50, 50))), (65_535, 65_535), (65_000, 65_500))
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    assert coco_mask.area(found) == 50 * 35 and found["size"] == [65_535, 65_535]
    assert coco_mask.toBbox(found).tolist() == [65_500, 65_000, 35, 50]


@pytest.mark.parametrize("seed", range(20))
def test_a_vote_has_the_pixels_of_half_the_weight(seed):
    rng = np.random.RandomState(seed)
    count = rng.randint(1, 6)
    bitmaps, weights = rng.rand(count, 6, 5) < rng.choice([0, 0.3, 0.6, 1]), rng.choice([1.0, 0.5, 0.25], count)
    wanted = (bitmaps * weights[:, None, None]).sum(0) >= weights.sum() / 2
    assert voted([of(one) for one in bitmaps], weights.tolist()) == of(wanted)


def test_the_worked_example_of_a_vote():
    one, other = ({"size": [8, 1], "counts": counts} for counts in ([0, 4, 4], [2, 4, 2]))
    assert edges_of(voted([one, other], [1, 1])).tolist() == [0, 6]
    assert edges_of(voted([one, other], [1, 2])).tolist() == [2, 6]
    assert voted([of(np.zeros((8, 1)))] * 2, [1, 1]) == of(np.zeros((8, 1)))
