"""COCO segmentations to bitmaps, and bitmaps to packed bits."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .contiguous import contiguous
from .mask_checks import NUMBERS, is_rle, polygon_extent

BITS, ANY = 8, 255  # of a pixel
Change = Callable[[np.ndarray], np.ndarray]


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


def pack(bitmaps: np.ndarray) -> np.ndarray:
    """(..., W) of 0 and others, W a multiple of 8 -> (..., W / 8) uint8, most significant bit first."""
    return np.packbits(bitmaps, axis=-1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """An object's mask as its label file has it, and what was done to it since; called, it makes the bitmap.

    size: (h, w) of the image that the COCO segmentation is of; changes: (h, w) uint8 -> (h', w') uint8, which copy and
    drop pixels and make no other values than there are and 0.
    """

    segmentation: Any
    size: tuple[int, int]
    changes: tuple[Change, ...] = ()

    def changed(self, change: Change) -> "Drawn":
        return replace(self, changes=(*self.changes, change))

    def __call__(self) -> np.ndarray:
        """(h, w) uint8 of 0 and 1. Raises ValueError like `to_rle`."""
        return self._changed(to_bitmap(self.segmentation, *self.size))

    def together(self, others: Sequence["Drawn"]) -> np.ndarray:
        """(h, w) uint8 with the mask of each of `others`, alike but for their segmentations, as one bit."""
        height, width = self.size
        columns = np.zeros((width, height), np.uint8)  # pycocotools decodes column by column
        for bit, other in enumerate(others):
            rle = to_rle(other.segmentation, height, width)
            left, _, extent, _ = coco_mask.toBbox(rle)
            part = slice(int(left), int(left + extent))
            columns[part] |= coco_mask.decode(rle).T[part] << bit
        return self._changed(cv2.transpose(columns))

    def _changed(self, mask: np.ndarray) -> np.ndarray:
        for change in self.changes:
            mask = change(mask)
        return mask


@dataclass(frozen=True, eq=False)
class Layer:
    """An object's mask in a picture that it shares with others: where `pixels` has one of `bits`."""

    picture: "_Picture"
    bits: int

    def bitmap(self) -> np.ndarray:
        """(h, w) uint8 of 0 and 1."""
        return ((self.picture.pixels & self.bits) != 0).view(np.uint8)

    def box(self) -> np.ndarray:
        """(4,) float32 xyxy of its pixels, x2 and y2 behind the last; zeros where it has none."""
        top, bottom, left, right = self._window()
        return np.float32([left, top, right, bottom])

    def pack_into(self, row: np.ndarray) -> None:
        """Into the top left of (H, W / 8) uint8, which is zeros there; written is only where the object is."""
        top, bottom, left, right = self._window()
        left = left // 8 * 8
        packed = pack(self.picture.pixels[top:bottom, left:right] & self.bits)
        row[top:bottom, left // 8 : left // 8 + packed.shape[1]] = packed

    def _window(self) -> tuple[int, int, int, int]:
        """The lines and columns between which it lies: top, bottom, left, right."""
        lines, columns = (np.flatnonzero(found & self.bits) for found in (self.picture.lines, self.picture.columns))
        return (lines[0], lines[-1] + 1, columns[0], columns[-1] + 1) if len(lines) else (0, 0, 0, 0)


def layers(masks: Sequence[Callable[[], np.ndarray]]) -> Iterator[Layer]:
    """The masks of an image's objects, each `Drawn` or anything else that makes an (h, w) uint8 bitmap, in turn.

    Neighbours with the same changes go through them eight at a time, in the bits of one picture.
    """
    for _, alike in itertools.groupby(masks, _kind):
        while group := list(itertools.islice(alike, BITS)):
            if isinstance(group[0], Drawn):
                picture = _Picture(group[0].together(group))
                yield from (Layer(picture, 1 << bit) for bit in range(len(group)))
            else:
                yield from (Layer(_Picture(make()), ANY) for make in group)


def _kind(mask: Callable[[], np.ndarray]) -> Any:
    """What masks have in common that go together."""
    return (mask.size, mask.changes) if isinstance(mask, Drawn) else object()


class _Picture:
    """(h, w) uint8, and of each line and column the bits that are in it."""

    def __init__(self, pixels: np.ndarray):
        self.pixels = contiguous(pixels.astype(np.uint8, copy=False))
        self.lines, self.columns = (np.bitwise_or.reduce(self.pixels, axis=axis) for axis in (1, 0))


def _as_list(polygon: Any) -> list:
    """Plain numbers, as label files have them, of what a reader may have made of them."""
    if type(polygon) is list and set(map(type, polygon)) <= NUMBERS:
        return polygon
    if not isinstance(polygon, list | tuple | np.ndarray):
        raise ValueError("segmentation is neither polygons nor RLE")
    return [point.item() if isinstance(point, np.number) else point for point in polygon]
