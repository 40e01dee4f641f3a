"""What of a segmentation may reach pycocotools, which trusts its input: it is looked at here first."""

import numpy as np


def is_rle(value: dict, height: int, width: int) -> bool:
    """Whether the counts are those of a mask of an image of this size, possibly an empty one."""
    counts = rle_counts(value.get("counts"))
    return counts is not None and not (counts < 0).any() and int(counts.sum()) == height * width


def rle_counts(counts: object) -> np.ndarray | None:
    """Lengths of the runs, of either form. The compressed one: pycocotools' maskApi.c, `rleFrString`.

    Five bits a character, least significant first, with a bit that says that the number goes on; negative numbers are
    filled up from the last one's sign bit; from the third run on, the difference to the run before the last.
    """
    if isinstance(counts, list):
        if not set(map(type, counts)) <= {int} or not counts or min(counts) < 0 or max(counts) >= 2**32:
            return None
        return np.array(counts, np.int64)
    if isinstance(counts, str):
        try:
            counts = counts.encode("ascii")
        except UnicodeEncodeError:
            return None
    if not isinstance(counts, bytes) or not counts:
        return None
    code = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    goes_on = (code & 32) > 0
    if (code < 0).any() or (code > 63).any() or goes_on[-1]:
        return None
    starts = np.flatnonzero(np.concatenate([[True], ~goes_on[:-1]]))
    place = np.arange(len(code)) - np.repeat(starts, np.diff([*starts, len(code)]))
    if place.max() > 6:  # more than 35 bits
        return None
    runs = np.add.reduceat((code & 31) << (5 * place), starts)
    ends = np.flatnonzero(~goes_on)
    runs -= np.where(code[ends] & 16, 1 << (5 * (place[ends] + 1)), 0)
    if len(runs) > 3:
        runs[1::2] = np.cumsum(runs[1::2])
        runs[2::2] = np.cumsum(runs[2::2])
    return runs
