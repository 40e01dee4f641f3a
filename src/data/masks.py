"""COCO segmentations to bitmaps, and bitmaps to packed bits."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .mask_checks import NUMBERS, is_rle, polygon_extent


def to_rle(segmentation: Any, height: int, width: int) -> dict:
    """Compressed RLE of a COCO segmentation: polygons, uncompressed RLE (list counts) or compressed RLE.

    Raises ValueError like `checked_segmentation`.
    """
    checked = checked_segmentation(segmentation, height, width)
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


def box_of(bitmap: np.ndarray) -> np.ndarray:
    """(4,) float32 xyxy of the pixels of a bitmap, x2 and y2 behind the last; zeros where it has none."""
    left, top, width, height = cv2.boundingRect(bitmap)
    return np.float32([left, top, left + width, top + height])


def pack(bitmaps: np.ndarray) -> np.ndarray:
    """(..., W) of 0 and 1, W a multiple of 8 -> (..., W / 8) uint8, most significant bit first."""
    return np.packbits(bitmaps, axis=-1)


def _as_list(polygon: Any) -> list:
    """Plain numbers, as label files have them, of what a reader may have made of them."""
    if type(polygon) is list and set(map(type, polygon)) <= NUMBERS:
        return polygon
    if not isinstance(polygon, list | tuple | np.ndarray):
        raise ValueError("segmentation is neither polygons nor RLE")
    return [point.item() if isinstance(point, np.number) else point for point in polygon]
