"""Memory for the samples of a batch: side by side in it from the start, and that of a batch nobody has any more again.

New memory costs more time than what is written into it, a page fault for every 4 KiB; so does a copy into a batch.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator

import numpy as np

MOST = 4  # batches whose memory a thread keeps: as many as wait and are on their way


class _Shelf(threading.local):
    """One thread's memory. kept: of earlier batches; whole: the batch in the making, its samples as handed out."""

    def __init__(self):
        self.kept: list[np.ndarray] = []
        self.places, self.whole, self.handed = 0, None, []


_shelf = _Shelf()


@contextlib.contextmanager
def side_by_side(places: int) -> Iterator[None]:
    """While active, the first `places` arrays that `empty` gives this thread are those of one batch."""
    _shelf.places, _shelf.whole, _shelf.handed = places, None, []
    try:
        yield
    finally:
        _shelf.places, _shelf.whole, _shelf.handed = 0, None, []


def empty(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An array of any contents, which its owner fills; the place of a sample in a batch where one is in the making."""
    shelf = _shelf
    if shelf.places and shelf.whole is None:
        shelf.whole = _recycled((shelf.places, *shape), np.dtype(dtype))
    if len(shelf.handed) == shelf.places or (shelf.whole.shape[1:], shelf.whole.dtype) != (shape, dtype):
        return np.empty(shape, dtype)
    shelf.handed.append(shelf.whole[len(shelf.handed)])
    return shelf.handed[-1]


def stacked(arrays: tuple) -> np.ndarray:
    """One array of several: without a copy where they lie side by side, or where there is a single one, so that what
    nobody has written in it takes no memory.
    """
    handed = _shelf.handed
    if len(arrays) == _shelf.places == len(handed) and all(one is other for one, other in zip(arrays, handed)):
        return _shelf.whole
    return np.stack(arrays) if len(arrays) > 1 else np.asarray(arrays[0])[None]


def _recycled(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that was given before and to which nobody else holds a reference, or a new one."""
    kept = _shelf.kept
    for k in range(len(kept)):
        if kept[k].shape == shape and kept[k].dtype == dtype and sys.getrefcount(kept[k]) == _ALONE:
            return kept[k]
    kept.insert(0, np.empty(shape, dtype))
    del kept[MOST:]
    return kept[0]


_example = [np.empty(0)]
_ALONE = sys.getrefcount(_example[0])  # of what a list alone holds
