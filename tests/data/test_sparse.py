import numpy as np
import pytest

from src.data.sparse import BLOCK, restore, squeeze, squeeze_rows


@pytest.mark.parametrize("shape", [(), (3,), (0, 5), (2, 3, 7), (2, 4, 32, 8), (1, 3, 100, 20)])
@pytest.mark.parametrize("filled", [0.0, 0.01, 1.0])
def test_what_is_squeezed_comes_back(shape, filled):
    rng = np.random.RandomState(0)
    array = (rng.rand(*shape) < filled) * rng.randint(1, 255, shape).astype(np.uint8)
    array = np.asarray(array, np.uint8)
    np.testing.assert_array_equal(restore(squeeze(array)), array, strict=True)


def test_zeros_travel_free_and_nothing_gets_much_longer():
    masks = np.zeros((50, 64, 128), np.uint8)
    masks[7, 3, 5] = 1
    assert squeeze(masks).nbytes < 2 * BLOCK
    assert squeeze(np.full_like(masks, 255)).nbytes < 1.07 * masks.nbytes


def test_a_part_of_a_larger_array_is_squeezed_as_it_is():
    whole = np.arange(4 * 10 * 16, dtype=np.uint8).reshape(4, 10, 16)
    np.testing.assert_array_equal(restore(squeeze(whole[1:3, ::2])), whole[1:3, ::2])


@pytest.mark.parametrize("shape", [(6, 32, 8), (6, 3, 64), (6, 5, 7)])
def test_of_a_stack_only_the_rows_that_are_named_are_read(shape):
    rng = np.random.RandomState(0)
    rows = [np.array([0, 1, 4]), np.array([], int), np.array([5])]
    arrays = [np.zeros(shape, np.uint8) for _ in rows]
    for array, named in zip(arrays, rows):
        array[named] = rng.randint(0, 255, array[named].shape) * (rng.rand(*array[named].shape) < 0.05)
    np.testing.assert_array_equal(squeeze_rows(arrays, rows), squeeze(np.stack(arrays)), strict=True)
    longer = squeeze_rows(arrays, rows, step=1000)
    assert len(longer) % 1000 == 0 and 0 <= len(longer) - len(squeeze_rows(arrays, rows)) < 1000
    np.testing.assert_array_equal(restore(longer), np.stack(arrays), strict=True)
    if np.prod(shape[1:]) % BLOCK == 0:
        arrays[1][2] = 9
        np.testing.assert_array_equal(restore(squeeze_rows(arrays, rows))[1], 0)
