"""Segmentations of label files: what of one can be used, where it lies, how large it is.

Nothing reaches pycocotools, which trusts its input, before it has been looked at here.
"""

import math
from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ..masks import to_rle
from .fields import numbers

FAR = 10.0  # image sides; a polygon that reaches further out is no outline
SLIVER = 2.0  # pixels: polygons that are thinner on the average are rasterised to see whether they hold a pixel
NO_AREA = 1e-6  # square pixels, of points in a line but for rounding
NUMBERS = {int, float}
OVER = 1.0  # pixels that an outline may reach over the border for its area to count as that of the mask


@dataclass(frozen=True)
class Shape:
    """The usable parts of a segmentation.

    segmentation: as COCO has it, the value of the file itself where all of it can be used. extent: xyxy pixels of what
    lies in the image. outline_area: of the polygons, or of the RLE; None where polygons leave the image.
    """

    segmentation: list | dict
    extent: tuple[float, float, float, float]
    outline_area: float | None

    def area(self, height: int, width: int) -> float:
        """Pixels."""
        return float(coco_mask.area(to_rle(self.segmentation, height, width)))


class _Part(NamedTuple):
    points: list
    extent: tuple[float, float, float, float]  # xyxy, not clipped
    area: float


def read_shape(value: object, height: int, width: int) -> tuple[Shape | None, bool]:
    """A segmentation's usable parts in an image of this size, None if there are none; whether some part is unusable.

    One polygon may be a flat list of numbers (VIA).
    """
    if value is None or value == [] or value == "" or value == {}:
        return None, False
    if isinstance(value, dict):
        shape = _read_rle(value, height, width)
        return shape, shape is None
    if not isinstance(value, list):
        return None, True
    if set(map(type, value)) <= NUMBERS:
        value = [value]
    parts = [_read_polygon(points, height, width) for points in value]
    usable = [part for part in parts if part is not None]
    if not usable:
        return None, True
    is_whole = len(usable) == len(parts)
    left, top, right, bottom = zip(*(part.extent for part in usable))
    x1, y1, x2, y2 = min(left), min(top), max(right), max(bottom)
    is_inside = x1 >= -OVER and y1 >= -OVER and x2 <= width + OVER and y2 <= height + OVER
    area = sum(part.area for part in usable) if is_inside else None
    extent = (max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height))
    return Shape(value if is_whole else [part.points for part in usable], extent, area), not is_whole


def _read_polygon(points: object, height: int, width: int) -> _Part | None:
    """None for what is no polygon: an odd number of coordinates, under three points, no area, no pixel in the image.

    Plain Python: arrays of some 20 points cost more than they save, and COCO has a million polygons.
    """
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2 or not set(map(type, points)) <= NUMBERS:
        return None
    x, y = points[0::2], points[1::2]
    x1, y1, x2, y2 = min(x), min(y), max(x), max(y)
    is_near = x1 >= -FAR * width and y1 >= -FAR * height and x2 <= (FAR + 1) * width and y2 <= (FAR + 1) * height
    if not is_near or not math.isfinite(sum(points)) or x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return None
    area = abs(sum(map(mul, x, y[1:] + y[:1])) - sum(map(mul, y, x[1:] + x[:1]))) / 2
    if area <= NO_AREA:
        return None
    is_inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
    is_doubtful = not is_inside or area < SLIVER * max(x2 - x1, y2 - y1)
    if is_doubtful and not coco_mask.area(coco_mask.frPyObjects([points], height, width)[0]):
        return None
    return _Part(points, (x1, y1, x2, y2), area)


def is_rle(value: dict, height: int, width: int) -> bool:
    """Whether the counts are those of a mask of an image of this size, possibly an empty one."""
    counts = _rle_counts(value.get("counts"))
    return counts is not None and not (counts < 0).any() and int(counts.sum()) == height * width


def _read_rle(value: dict, height: int, width: int) -> Shape | None:
    """None for the RLE of an image of another size, one whose counts are not those of an image, or an empty one."""
    if numbers(value.get("size"), 2) != (height, width):
        return None
    if not is_rle(value, height, width):
        return None
    area = float(_rle_counts(value["counts"])[1::2].sum())
    if not area:
        return None
    if type(value["size"]) is not list or any(type(side) is not int for side in value["size"]):
        value = value | {"size": [height, width]}
    x, y, w, h = (float(side) for side in coco_mask.toBbox(to_rle(value, height, width)))
    return Shape(value, (x, y, x + w, y + h), area)


def _rle_counts(counts: object) -> np.ndarray | None:
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
