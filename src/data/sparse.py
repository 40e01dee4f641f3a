"""Arrays that are mostly zeros as short ones, for their way from a worker to the network."""

from collections.abc import Sequence

import numpy as np

BLOCK = 64  # bytes; of each only those with a bit in them travel, with their number
WORD = np.dtype(np.int64)


def squeeze(array: np.ndarray) -> np.ndarray:
    """uint8 of any shape -> (n,) uint8: what `restore` makes the array of; at most a fifteenth longer than it."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size % BLOCK:
        flat = np.concatenate((flat, np.zeros(-flat.size % BLOCK, np.uint8)))
    return _written(array.shape, [_used(flat)])


def squeeze_rows(arrays: Sequence[np.ndarray], rows: Sequence[np.ndarray], step: int = 1) -> np.ndarray:
    """What `squeeze` makes of the stack of arrays of equal shape, nothing of which is read but the rows named.

    rows: of each array the numbers, rising, of those that may hold something. The others may be memory that nobody has
    touched: to read it would cost more than to fill it. step: zeros behind make the length a multiple of it.
    """
    (count, *shape), size = arrays[0].shape, int(np.prod(arrays[0].shape[1:]))
    if size % BLOCK:
        return _filled_up(squeeze(np.stack(arrays)), step)
    found = []
    for place, (array, named) in enumerate(zip(arrays, rows, strict=True)):
        numbers, blocks = _used(array[named].reshape(-1))
        row, block = np.divmod(numbers, size // BLOCK)
        found.append(((place * count + named[row]) * (size // BLOCK) + block, blocks))
    return _filled_up(_written((len(arrays), count, *shape), found), step)


def restore(squeezed: np.ndarray) -> np.ndarray:
    """The array that was squeezed, whatever stands behind it.

    What is zero in it takes no memory as long as nobody writes there.
    """
    dims = int(squeezed[: WORD.itemsize].view(WORD)[0])
    *shape, count = squeezed[WORD.itemsize : WORD.itemsize * (dims + 2)].view(WORD).tolist()
    rest = squeezed[WORD.itemsize * (dims + 2) :]
    size = int(np.prod(shape))
    flat = np.zeros(-(-size // BLOCK) * BLOCK, np.uint8)
    flat.reshape(-1, BLOCK)[rest[: 4 * count].view(np.int32)] = rest[4 * count : (4 + BLOCK) * count].reshape(-1, BLOCK)
    return flat[:size].reshape(shape)


def _used(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the blocks of whole blocks with a bit in them, and these blocks."""
    used = np.flatnonzero((flat.view(np.uint64) != 0).view(np.uint64))  # eight answers, a block's, are one number
    return used, flat.reshape(-1, BLOCK)[used]


def _written(shape: Sequence[int], parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    head = np.array([len(shape), *shape, sum(len(numbers) for numbers, _ in parts)], WORD)
    numbers = [numbers.astype(np.int32).view(np.uint8) for numbers, _ in parts]
    return np.concatenate((head.view(np.uint8), *numbers, *(blocks.reshape(-1) for _, blocks in parts)))


def _filled_up(squeezed: np.ndarray, step: int) -> np.ndarray:
    return np.concatenate((squeezed, np.zeros(-len(squeezed) % max(step, 1), np.uint8)))
