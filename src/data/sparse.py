"""Arrays that are mostly zeros as short ones, for their way from a worker to the network."""

import numpy as np

BLOCK = 64  # bytes; of each only those with a bit in them travel, with their number
WORD = np.dtype(np.int64)


def squeeze(array: np.ndarray) -> np.ndarray:
    """uint8 of any shape -> (n,) uint8: what `restore` makes the array of; at most a fifteenth longer than it."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size % BLOCK:
        flat = np.concatenate((flat, np.zeros(-flat.size % BLOCK, np.uint8)))
    blocks = flat.reshape(-1, BLOCK)
    used = np.flatnonzero(np.bitwise_or.reduce(blocks.view(np.uint64), axis=1))
    head = np.array([array.ndim, *array.shape, len(used)], WORD)
    return np.concatenate((head.view(np.uint8), used.astype(np.int32).view(np.uint8), blocks[used].reshape(-1)))


def restore(squeezed: np.ndarray) -> np.ndarray:
    """The array that was squeezed. What is zero in it takes no memory as long as nobody writes there."""
    dims = int(squeezed[: WORD.itemsize].view(WORD)[0])
    *shape, count = squeezed[WORD.itemsize : WORD.itemsize * (dims + 2)].view(WORD).tolist()
    rest = squeezed[WORD.itemsize * (dims + 2) :]
    size = int(np.prod(shape))
    flat = np.zeros(-(-size // BLOCK) * BLOCK, np.uint8)
    flat.reshape(-1, BLOCK)[rest[: 4 * count].view(np.int32)] = rest[4 * count :].reshape(-1, BLOCK)
    return flat[:size].reshape(shape)
