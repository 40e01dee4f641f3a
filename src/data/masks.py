"""COCO segmentations to bitmaps, and bitmaps to packed bits."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def to_rle(segmentation: Any, height: int, width: int) -> dict:
    """Compressed RLE of a COCO segmentation: polygons, uncompressed RLE (list counts) or compressed RLE.

    Raises ValueError for anything else, or for an RLE of another size.
    """
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            raise ValueError("segmentation has no polygon of three or more points")
        return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    if isinstance(segmentation, dict) and "counts" in segmentation:
        if list(segmentation.get("size", ())) != [height, width]:
            raise ValueError(f"segmentation has size {segmentation.get('size')}, the image {[height, width]}")
        if isinstance(segmentation["counts"], list):
            return coco_mask.frPyObjects(segmentation, height, width)
        return segmentation
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
    """(..., W) of 0 and 1, W a multiple of 8 -> (..., W / 8) uint8, most significant bit first."""
    return np.packbits(bitmaps, axis=-1)
