"""The memory of batches: side by side, and never that of one that somebody still holds."""

import threading

import numpy as np

from src.data.batch_memory import MOST, empty, side_by_side, stacked


def make(values, shape=(2, 3)) -> np.ndarray:
    with side_by_side(len(values)):
        arrays = []
        for value in values:
            arrays.append(empty(shape))
            arrays[-1][:] = value
        return stacked(tuple(arrays))


def test_samples_of_a_batch_lie_in_it_from_the_start():
    with side_by_side(3):
        arrays = tuple(empty((2, 2)) for _ in range(3))
        for k, array in enumerate(arrays):
            array[:] = k
        whole = stacked(arrays)
        assert all(array.base is whole for array in arrays)
    np.testing.assert_array_equal(whole, np.arange(3)[:, None, None] * np.ones((3, 2, 2)))


def test_a_batch_that_somebody_holds_is_not_written_into():
    held = [make((k, k + 0.5)) for k in range(3 * MOST)]
    for k, batch in enumerate(held):
        np.testing.assert_array_equal(batch[:, 0, 0], (k, k + 0.5))
    part = make((7, 8))[1]  # a view holds it as well
    later = [make((0, 0)) for _ in range(2 * MOST)]
    assert part[0, 0] == 8 and len({id(batch) for batch in later}) == 2 * MOST


def test_the_memory_of_a_batch_that_is_gone_is_taken_again():
    batch = make((1, 2), shape=(5, 7))
    address = batch.ctypes.data
    del batch
    assert make((3, 4), shape=(5, 7)).ctypes.data == address


def test_other_arrays_than_those_of_the_batch_are_stacked_as_they_are():
    with side_by_side(2):
        first, second = empty((4,)), empty((4,))
        third, other = empty((4,)), empty((3,))
        for value, array in enumerate((first, second, third)):
            array[:] = value
        swapped, changed = stacked((second, first)), stacked((first, third))
        single = stacked((other,))
    assert swapped[:, 0].tolist() == [1, 0] and changed[:, 0].tolist() == [0, 2]
    assert single.base is other and other.base is None and third.base is None
    assert empty((4,)).base is None and stacked((np.int32(3), np.int32(4))).tolist() == [3, 4]


def test_threads_have_memory_of_their_own():
    found = {}

    def run(k: int) -> None:
        found[k] = [make((k, k)) for _ in range(3)]

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((batch == k).all() for k, batches in found.items() for batch in batches)
