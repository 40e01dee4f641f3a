"""What of a segmentation may reach pycocotools, which trusts its input: it is looked at here first.

Of runs that do not add up to the image pycocotools decodes uninitialised memory; it takes memory and time for a polygon
by the length of its outline.
"""

import math
from collections.abc import Sequence

import numpy as np

FAR = 10.0  # image sides; a polygon that reaches further out is no outline
WINDING, LONGEST = 100.0, 4e6  # half perimeters of the image, and pixels, of the outline of one polygon
MOST_PIXELS = 2**32 - 1  # of an image: pycocotools counts them in 32 bits
LONGEST_NUMBER = 7  # characters of five bits each in a compressed RLE
AT_ONCE = 2**18  # characters that are worked on together: what fits into a processor's cache
NUMBERS = {int, float}


def polygon_extent(points: object, height: int, width: int) -> tuple[float, float, float, float] | None:
    """xyxy pixels, not clipped, of x, y, x, y, ... of three points or more.

    None for what is none: other values than finite numbers, an odd number of them, points far from the image, an
    endless outline.

    Plain Python: arrays of some 20 points cost more than they save, and COCO has a million polygons.
    """
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2 or not set(map(type, points)) <= NUMBERS:
        return None
    x, y = points[0::2], points[1::2]
    x1, y1, x2, y2 = min(x), min(y), max(x), max(y)
    is_near = x1 >= -FAR * width and y1 >= -FAR * height and x2 <= (FAR + 1) * width and y2 <= (FAR + 1) * height
    if not is_near or not math.isfinite(sum(points)):  # the least of numbers with NaN is any
        return None
    longest = min(WINDING * (height + width), LONGEST)
    if len(x) * max(x2 - x1, y2 - y1) > longest and _outline_length(x, y) > longest:
        return None
    return x1, y1, x2, y2


def is_rle(value: dict, height: int, width: int) -> bool:
    """Whether the counts are those of a mask of an image of this size, possibly an empty one."""
    return are_runs(rle_counts(value.get("counts")), height, width)


def are_runs(runs: np.ndarray | None, height: int, width: int) -> bool:
    """Whether runs, as `rle_counts` gives them, are those of an image of this size."""
    return runs is not None and not (runs < 0).any() and int(runs.sum()) == height * width <= MOST_PIXELS


def are_rles(counts: Sequence[str], pixels: Sequence[int]) -> np.ndarray:
    """(N,) bool: what `is_rle` says of compressed counts, of images of so many pixels each: all worked out together.

    >>> are_rles(["04", "04", "05", "0"], [4, 5, 5, 0])
    array([ True, False,  True,  True])
    """
    found, first, size = np.zeros(len(counts), bool), 0, 0
    for place, one in enumerate(counts, start=1):
        size += len(one)
        if size >= AT_ONCE or place == len(counts):
            found[first:place] = _are_rles(counts[first:place], np.array(pixels[first:place], np.int64))
            first, size = place, 0
    return found


def _are_rles(counts: Sequence[str], pixels: np.ndarray) -> np.ndarray:
    """See `rle_counts`, whose steps these are; a text that is none of its own says nothing of its neighbours."""
    is_sound = np.array([bool(one) and one.isascii() for one in counts], bool)
    texts = [one if sound else "0" for one, sound in zip(counts, is_sound)]
    lengths = np.array(list(map(len, texts)))
    ends = np.cumsum(lengths)
    code = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - np.uint8(48)  # below 48: above 200
    is_last = (code & 32) == 0
    firsts = ends - lengths
    is_sound &= ~np.logical_or.reduceat(code > 63, firsts) & is_last[ends - 1]
    is_last[ends - 1] = True
    last = np.flatnonzero(is_last)
    starts = np.concatenate([[0], last[:-1] + 1])
    sizes = last + 1 - starts  # characters of each number
    run_ends = np.searchsorted(last, ends)  # numbers of each text, and of those before it
    run_firsts = np.concatenate([[0], run_ends[:-1]])
    is_sound &= np.maximum.reduceat(sizes, run_firsts) <= LONGEST_NUMBER
    code &= 31
    runs = code[starts].astype(np.int64)
    for place in range(1, min(LONGEST_NUMBER, sizes.max())):
        longer = np.flatnonzero(sizes > place)
        runs[longer] += code[starts[longer] + place].astype(np.int64) << (5 * place)
    negative = np.flatnonzero(code[last] & 16)
    runs[negative] -= 1 << (5 * np.minimum(sizes[negative], LONGEST_NUMBER))
    number = np.arange(len(runs)) - np.repeat(run_firsts, np.diff([*run_firsts, len(runs)]))
    for parity in (1, 0):  # from the third run on, each is the difference to the run before the last
        own = np.flatnonzero((number % 2 == parity) & (number > 0))
        if not len(own):
            continue
        total = np.cumsum(runs[own])
        begins = np.flatnonzero(number[own] == 2 - parity)
        before = np.where(begins > 0, total[begins - 1], 0)
        runs[own] = total - np.repeat(before, np.diff([*begins, len(own)]))
    is_sound &= np.minimum.reduceat(runs, run_firsts) >= 0
    return is_sound & (np.add.reduceat(runs, run_firsts) == pixels) & (pixels <= MOST_PIXELS)


def rle_counts(counts: object) -> np.ndarray | None:
    """Lengths of the runs, of either form. The compressed one: pycocotools' maskApi.c, `rleFrString`.

    Five bits a character, least significant first, with a bit that says that the number goes on; negative numbers are
    filled up from the last one's sign bit; from the third run on, the difference to the run before the last.
    """
    if isinstance(counts, list | np.ndarray):
        return _checked_runs(counts)
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
    if place.max() >= LONGEST_NUMBER:
        return None
    runs = np.add.reduceat((code & 31) << (5 * place), starts)
    ends = np.flatnonzero(~goes_on)
    runs -= np.where(code[ends] & 16, 1 << (5 * (place[ends] + 1)), 0)
    if len(runs) > 3:
        runs[1::2] = np.cumsum(runs[1::2])
        runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _checked_runs(counts: list | np.ndarray) -> np.ndarray | None:
    """The runs of an uncompressed RLE; None for what is no list of whole numbers that pycocotools can hold."""
    kinds = set(map(type, counts))
    if not kinds or bool in kinds or not all(issubclass(kind, int | np.integer) for kind in kinds):
        return None
    if min(counts) < 0 or max(counts) > MOST_PIXELS:
        return None
    return np.array(counts, np.int64)


def _outline_length(x: Sequence[float], y: Sequence[float]) -> float:
    """Pixels of a closed outline, a diagonal one as one, as pycocotools draws it."""
    across, down = (np.abs(np.diff(np.array([*side, side[0]], np.float64))) for side in (x, y))
    return float(np.maximum(across, down).sum())
