"""Segmentations of label files: what of one can be used, where it lies, how large it is.

Nothing reaches pycocotools, which trusts its input, before it has been looked at here.
"""

from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

from pycocotools import mask as coco_mask

from ..mask_checks import NUMBERS, are_runs, polygon_extent, rle_counts
from ..masks import compressed, to_rle
from .fields import numbers

SLIVER = 2.0  # pixels: polygons that are thinner on the average are rasterised to see whether they hold a pixel
NO_AREA = 1e-6  # square pixels, of points in a line but for rounding
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
    x1, y1, x2, y2 = usable[0].extent
    for part in usable[1:]:
        left, top, right, bottom = part.extent
        x1, y1, x2, y2 = min(x1, left), min(y1, top), max(x2, right), max(y2, bottom)
    is_inside = x1 >= -OVER and y1 >= -OVER and x2 <= width + OVER and y2 <= height + OVER
    area = sum(part.area for part in usable) if is_inside else None
    extent = (x1, y1, x2, y2)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        extent = (max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height))
    return Shape(value if is_whole else [part.points for part in usable], extent, area), not is_whole


def _read_polygon(points: object, height: int, width: int) -> _Part | None:
    """None for what is no polygon, see `polygon_extent`, has no area, or no pixel in the image."""
    extent = polygon_extent(points, height, width)
    if extent is None:
        return None
    x1, y1, x2, y2 = extent
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return None
    x, y = points[0::2], points[1::2]
    area = abs(sum(map(mul, x, y[1:] + y[:1])) - sum(map(mul, y, x[1:] + x[:1]))) / 2
    if area <= NO_AREA:
        return None
    is_inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
    is_doubtful = not is_inside or area < SLIVER * max(x2 - x1, y2 - y1)
    if is_doubtful and not coco_mask.area(coco_mask.frPyObjects([points], height, width)[0]):
        return None
    return _Part(points, extent, area)


def _read_rle(value: dict, height: int, width: int) -> Shape | None:
    """None for the RLE of an image of another size, one whose counts are not those of an image, or an empty one."""
    if numbers(value.get("size"), 2) != (height, width):
        return None
    runs = rle_counts(value.get("counts"))
    if not are_runs(runs, height, width):
        return None
    area = float(runs[1::2].sum())
    if not area:
        return None
    if type(value["size"]) is not list or any(type(side) is not int for side in value["size"]):
        value = value | {"size": [height, width]}
    x, y, w, h = (float(side) for side in coco_mask.toBbox(compressed(value, height, width)))
    return Shape(value, (x, y, x + w, y + h), area)
