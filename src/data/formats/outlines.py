"""Outlines of round things, and sets of polygons and bitmaps, in COCO's forms."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from ..mask_checks import NUMBERS
from ..masks import to_rle
from .fields import numbers

USUAL = 1e15  # coordinates
CORNERS = 64  # of a circle; its area is off by 0.2 %, its box by nothing


def flat_points(value: object) -> list[float] | None:
    """x, y, x, y, ... of a list of points [x, y]; None where that is none."""
    if isinstance(value, list) and set(map(type, value)) == {list} and set(map(len, value)) == {2}:
        flat = list(itertools.chain.from_iterable(value))  # nearly always, and quickly
        if set(map(type, flat)) <= NUMBERS and -USUAL < min(flat) <= max(flat) < USUAL and math.isfinite(sum(flat)):
            return flat
    points = [numbers(point, 2) for point in value] if isinstance(value, list) else []
    return None if not points or None in points else [side for point in points for side in point]


def box_around(outlines: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """xyxy of the points of all outlines x, y, x, y, ...; those without points count for nothing."""
    x, y = ([side for one in outlines for side in one[first::2]] for first in (0, 1))
    return min(x), min(y), max(x), max(y)


def ellipse(centre: Sequence[float], radii: Sequence[float], turn: float = 0.0) -> list[float]:
    """x, y, x, y, ... of an ellipse. turn: radians, from x towards y."""
    points: list[float] = []
    for corner in range(CORNERS):
        angle = corner * 2 * math.pi / CORNERS
        x, y = radii[0] * math.cos(angle), radii[1] * math.sin(angle)
        points.append(centre[0] + x * math.cos(turn) - y * math.sin(turn))
        points.append(centre[1] + x * math.sin(turn) + y * math.cos(turn))
    return points


def encoded(bitmap: np.ndarray) -> dict:
    """The RLE of a bitmap (height, width), as label files have it."""
    code = coco_mask.encode(np.asfortranarray(bitmap, np.uint8))
    return {"size": list(bitmap.shape), "counts": code["counts"].decode("ascii")}


def merged(parts: Sequence[object], height: int, width: int) -> dict:
    """The RLE of all parts, each in one of COCO's forms. ValueError as `to_rle`."""
    code = coco_mask.merge([to_rle(part, height, width) for part in parts])
    return {"size": [height, width], "counts": code["counts"].decode("ascii")}
