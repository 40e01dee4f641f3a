"""Mask pasting: the M x M mask of a box becomes a run-length code of the image's size, by way of the box's region only.

The definition is MMDetection's (`FCNMaskHead`, CPU path). The pixel centres of the region [floor(x1) - 1, ceil(x2) + 1)
x [floor(y1) - 1, ceil(y2) + 1), clipped to the image, are looked up in the mask by bilinear interpolation with
half-pixel centres (`grid_sample`, align_corners=False), zero outside the mask; a pixel belongs to the object where the
value reaches the threshold. A box of no width (height) is looked up in the middle of its mask.

Bilinear interpolation is separable, so a region is two small matrix products; it is worked through in strips of columns
that fit the processor's cache, and only the positions where the mask switches on and off are kept.
"""

import math

import numpy as np

from ..data.rle import encoded

STRIP_PIXELS = 1 << 17  # float32 working set of half a megabyte, however large the box


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, height: int, width: int, threshold: float = 0.5, inside: bool = False
) -> list[dict]:
    """Compressed RLE `{'size': [height, width], 'counts': str}` of every mask.

    masks (N, M, M) probabilities inside their boxes; boxes (N, 4) xyxy in pixels of the height x width image.
    inside: only pixels whose centre lies in the box count (the MindSpore original of PointRend).
    A box outside the image, or one that is not finite, gives an empty mask.
    """
    masks = np.asarray(masks, np.float32)
    boxes = np.asarray(boxes, np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # boxes of no width
        return [_paste(mask, box, height, width, np.float32(threshold), inside) for mask, box in zip(masks, boxes)]


def _paste(mask: np.ndarray, box: np.ndarray, height: int, width: int, threshold: np.float32, inside: bool) -> dict:
    if not np.isfinite(box).all():
        return encoded(np.zeros(0, np.int64), height, width)
    x1, y1, x2, y2 = box
    span = _inner_span if inside else _span
    left, right = span(x1, x2, width)
    top, bottom = span(y1, y2, height)
    if left >= right or top >= bottom:
        return encoded(np.zeros(0, np.int64), height, width)
    columns = _weights(left, right, x1, x2, mask.shape[1]) @ mask.T  # (region width, M): interpolated along x
    rows = np.ascontiguousarray(_weights(top, bottom, y1, y2, mask.shape[0]).T)  # (M, region height)
    return encoded(_edges(columns, rows, left, top, height, threshold), height, width)


def _span(low: np.float32, high: np.float32, size: int) -> tuple[int, int]:
    """First pixel and one past the last pixel that a box side from `low` to `high` may reach."""
    return max(math.floor(low) - 1, 0), min(math.ceil(high) + 1, size)


def _inner_span(low: np.float32, high: np.float32, size: int) -> tuple[int, int]:
    """First pixel and one past the last pixel whose centre lies in a box side."""
    return max(math.ceil(low - 0.5), 0), min(math.floor(high - 0.5) + 1, size)


def _weights(first: int, last: int, low: np.float32, high: np.float32, size: int) -> np.ndarray:
    """(last - first, size) float32: how much each mask cell counts for each pixel of one axis.

    Operations and their order are those of the definition, so that rounding agrees too.
    """
    centres = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    normalised = (centres - low) / (high - low) * np.float32(2) - np.float32(1)
    normalised[np.isinf(normalised)] = 0
    position = (normalised + np.float32(1)) * np.float32(size / 2) - np.float32(0.5)
    tent = np.float32(1) - np.abs(position[:, None] - np.arange(size, dtype=np.float32))
    return np.fmax(tent, np.float32(0))  # 0 also for 0 / 0: a pixel centre exactly on a box of no width


def _edges(
    columns: np.ndarray, rows: np.ndarray, left: int, top: int, height: int, threshold: np.float32
) -> np.ndarray:
    """Column-major pixel positions where runs of mask pixels start and end, alternating, each column by itself."""
    region_height = rows.shape[1]
    step = max(1, STRIP_PIXELS // region_height)
    inside = np.zeros((step, region_height + 2), bool)  # one pixel off before and after each column closes its runs
    found = []
    for start in range(0, len(columns), step):
        values = columns[start : start + step] @ rows
        strip = inside[: len(values)]
        np.greater_equal(values, threshold, out=strip[:, 1:-1])
        column, row = np.divmod(np.flatnonzero(strip[:, 1:] != strip[:, :-1]), region_height + 1)
        found.append((column + (left + start)) * height + row + top)
    return np.concatenate(found)
