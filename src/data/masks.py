"""COCO segmentations to bitmaps, and bitmaps to packed bits."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .contiguous import contiguous
from .mask_checks import NUMBERS, is_rle, polygon_extent
from .rle import columns_alone

BITS = 8  # of a pixel: objects that go together through what an image goes through


def to_rle(segmentation: Any, height: int, width: int) -> dict:
    """Compressed RLE of a COCO segmentation: polygons, uncompressed RLE (list counts) or compressed RLE.

    Raises ValueError like `checked_segmentation`.
    """
    return compressed(checked_segmentation(segmentation, height, width), height, width)


def compressed(checked: list | dict, height: int, width: int) -> dict:
    """Compressed RLE of a segmentation that `checked_segmentation` would give as it is."""
    if isinstance(checked, list):
        return coco_mask.merge(coco_mask.frPyObjects(checked, height, width))
    return coco_mask.frPyObjects(checked, height, width) if isinstance(checked["counts"], list) else checked


def checked_segmentation(segmentation: Any, height: int, width: int) -> list[list] | dict:
    """The polygons of three points or more, or the RLE, of a segmentation of an image of this size.

    Raises ValueError for anything else, for an RLE of another size or whose runs do not add up to the image, and for
    a polygon that `polygon_extent` finds to be none.
    """
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in map(_as_list, segmentation) if len(polygon) >= 6]
        if not polygons:
            raise ValueError("segmentation has no polygon of three or more points")
        if any(polygon_extent(polygon, height, width) is None for polygon in polygons):
            raise ValueError("a polygon is no list of x, y, ... of finite numbers near the image")
        return polygons
    if isinstance(segmentation, dict) and "counts" in segmentation:
        size, counts = segmentation.get("size"), segmentation["counts"]
        if not isinstance(size, list | tuple) or list(size) != [height, width]:
            raise ValueError(f"segmentation has size {size!r:.40}, the image {[height, width]}")
        if not is_rle(segmentation, height, width):
            raise ValueError(f"the runs of an RLE are not those of {height} x {width} pixels")
        return {"size": [height, width], "counts": counts.tolist() if isinstance(counts, np.ndarray) else counts}
    raise ValueError("segmentation is neither polygons nor RLE")


def is_segmentation(segmentation: Any, height: int, width: int) -> bool:
    """Whether it has the form of a COCO segmentation of an image of this size; its contents are not decoded."""
    if isinstance(segmentation, list):
        return any(isinstance(polygon, list) and len(polygon) >= 6 for polygon in segmentation)
    return isinstance(segmentation, dict) and "counts" in segmentation and segmentation.get("size") == [height, width]


def to_bitmap(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of 0 and 1. Raises ValueError like `to_rle`."""
    return coco_mask.decode(to_rle(segmentation, height, width))


def pack(bitmaps: np.ndarray) -> np.ndarray:
    """(..., W) of 0 and others, W a multiple of 8 -> (..., W / 8) uint8, most significant bit first."""
    return np.packbits(bitmaps, axis=-1)


def pack_layers(
    rows: Sequence[int], make: Callable[[Sequence[int]], np.ndarray], shape: tuple[int, int, int]
) -> np.ndarray:
    """Masks of objects packed: (rows, H, W / 8) uint8 of `shape`, object k's in row `rows[k]`.

    make(numbers): (at most H, at most W) uint8 whose bit k is object `numbers[k]`, of `BITS` objects at most (as
    `layered` makes them). What is no object's takes no memory as long as nobody reads it.
    """
    packed = np.zeros(shape, np.uint8)
    for start in range(0, len(rows), BITS):
        numbers = range(start, min(start + BITS, len(rows)))
        _pack_group(make(numbers), [rows[k] for k in numbers], packed)
    return packed


def layered(segmentations: Sequence[Any], height: int, width: int) -> np.ndarray:
    """(height, width) uint8: bit k is the bitmap of segmentation k. Raises ValueError like `to_rle`."""
    columns = np.zeros((width, height), np.uint8)  # pycocotools decodes column by column
    for bit, segmentation in enumerate(segmentations):
        rle = to_rle(segmentation, height, width)
        left, _, extent, _ = map(int, coco_mask.toBbox(rle))
        if extent:
            columns[left : left + extent] |= coco_mask.decode(columns_alone(rle, left, extent)).T << bit
    return cv2.transpose(columns)


def extents(layers: np.ndarray, count: int) -> list[tuple[slice, slice] | None]:
    """Of the first `count` bits of (h, w) uint8, w a multiple of 8, each: the lines and columns that hold all its 1s.

    Columns go by eights, as they are packed. None where there is no 1.
    """
    words = contiguous(layers).view(np.uint64)
    in_line = np.bitwise_or.reduce(np.bitwise_or.reduce(words, axis=1).view(np.uint8).reshape(-1, 8), axis=1)
    in_byte = np.bitwise_or.reduce(np.bitwise_or.reduce(words, axis=0).view(np.uint8).reshape(-1, 8), axis=1)
    found: list[tuple[slice, slice] | None] = []
    for bit in range(count):
        lines, columns = np.flatnonzero(in_line & (1 << bit)), np.flatnonzero(in_byte & (1 << bit))
        is_there = len(lines) > 0
        found.append((slice(lines[0], lines[-1] + 1), slice(8 * columns[0], 8 * columns[-1] + 8)) if is_there else None)
    return found


def widened(layers: np.ndarray, width: int) -> np.ndarray:
    """(h, w) -> (h, width) contiguous, zeros on the right."""
    missing = width - layers.shape[1]
    return np.pad(contiguous(layers), [(0, 0), (0, missing)]) if missing else contiguous(layers)


def _pack_group(layers: np.ndarray, rows: Sequence[int], packed: np.ndarray) -> None:
    """Pack bit k into `packed[rows[k]]`, which is zeros: only the lines and columns between which it is somewhere 1."""
    layers = widened(layers, 8 * packed.shape[2])
    for bit, (row, window) in enumerate(zip(rows, extents(layers, len(rows)))):
        if window is not None:
            lines, columns = window
            packed[row, lines, columns.start // 8 : columns.stop // 8] = pack(layers[window] & (1 << bit))


def _as_list(polygon: Any) -> list:
    """Plain numbers, as label files have them, of what a reader may have made of them."""
    if type(polygon) is list and set(map(type, polygon)) <= NUMBERS:
        return polygon
    if not isinstance(polygon, list | tuple | np.ndarray):
        raise ValueError("segmentation is neither polygons nor RLE")
    return [point.item() if isinstance(point, np.number) else point for point in polygon]
