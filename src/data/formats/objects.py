"""One object of a label file: its box, mask and area checked against one another and against the image."""

from collections.abc import Sequence
from typing import NamedTuple

from ..mask_checks import FAR
from .fields import flag, number, numbers
from .index import ObjectRecord, clipped_box
from .report import Report
from .shapes import Shape, read_shape

AREA_FACTOR = 2.0  # an area that is off by more is not that of the object
PLAIN_SHARE = 0.25  # of its box that a polygon fills whose area is taken by arithmetic
EDGE_PIXELS, EDGE_SHARE = 2.0, 0.1  # a box agrees with a mask whose edges lie within these pixels, or share of its side

Box = Sequence[float]


class Annotation(NamedTuple):
    """What a label file says of an object, as it stands there.

    name: for reports. label: 0-based class. box: x, y, width, height in pixels. segmentation: COCO's forms.
    """

    name: str
    label: int
    box: object
    segmentation: object
    area: object = None
    crowd: object = 0


def read_object(raw: Annotation, width: int, height: int, report: Report) -> ObjectRecord | None:
    """The object in an image of this size, None where nothing of it can be used; `report` gets what is odd."""
    shape, is_odd = read_shape(raw.segmentation, height, width)
    box = numbers(raw.box, 4)
    if box is None and (raw.box is None or raw.box == []) and shape is not None:
        x1, y1, x2, y2 = shape.extent
        box = (x1, y1, x2 - x1, y2 - y1)
        report.derived_boxes.append(raw.name)
    inside = None if box is None or _is_far(box, width, height) else clipped_box(box, width, height)
    if inside is None:
        report.degenerate_boxes.append(raw.name)
        return None
    if is_odd:
        report.unusable_masks.append(raw.name)
    if shape is not None:
        _compare_box(box, shape, (width, height), raw.name, report)
    elif not _is_within(box[0], box[1], box[0] + box[2], box[1] + box[3], (width, height)):
        report.outer_boxes.append(raw.name)
        report.outer_corners += box[0] < box[2] and box[1] < box[3] and _is_within(*box, (width, height))
    crowd = flag(raw.crowd)
    if crowd is None:
        report.odd_crowds.append(raw.name)
    area = _area(raw, box, shape, (width, height), report)
    return ObjectRecord(inside, raw.label, bool(crowd), shape and shape.segmentation, box, area)


def _area(raw: Annotation, box: Box, shape: Shape | None, size: tuple[int, int], report: Report) -> float:
    """The written area where it is that of the mask (of the box, where there is no mask), otherwise that."""
    written = None if isinstance(raw.area, str) else number(raw.area)
    width, height = size
    if shape is None:
        x1, y1, x2, y2 = clipped_box(box, width, height)
        own = (x2 - x1) * (y2 - y1)
        is_sound = _alike(written, box[2] * box[3]) or _alike(written, own)
    else:
        own = _polygon_area(shape) if raw.area is None else None
        is_sound = shape.outline_area is not None and _alike(written, shape.outline_area)
        if not is_sound and own is None:
            own = shape.area(height, width)
            is_sound = _alike(written, own)
    if is_sound:
        return written
    report.odd_areas.append(raw.name)
    return own


def _polygon_area(shape: Shape) -> float | None:
    """The area of a single plain polygon, as COCO's own files have it: ten times sooner than by its pixels.

    None for others: of an outline that crosses itself the arithmetic gives less, or more than its box has.
    """
    if shape.outline_area is None or not isinstance(shape.segmentation, list) or len(shape.segmentation) > 1:
        return None
    x1, y1, x2, y2 = shape.extent
    of_box = (x2 - x1) * (y2 - y1)
    return shape.outline_area if PLAIN_SHARE * of_box <= shape.outline_area <= of_box else None


def _alike(written: float | None, area: float) -> bool:
    return written is not None and area > 0 and area <= written * AREA_FACTOR and written <= area * AREA_FACTOR


def _is_far(box: Box, width: int, height: int) -> bool:
    x, y, w, h = box
    return x < -FAR * width or y < -FAR * height or x + w > (FAR + 1) * width or y + h > (FAR + 1) * height


def _is_within(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> bool:
    """Whether a box lies in the image, but for what people's hands and rounding put outside."""
    width, height = size
    slack_x, slack_y = max(EDGE_PIXELS, EDGE_SHARE * width), max(EDGE_PIXELS, EDGE_SHARE * height)
    return left >= -slack_x and top >= -slack_y and right <= width + slack_x and bottom <= height + slack_y


def _compare_box(box: Box, shape: Shape, size: tuple[int, int], name: str, report: Report) -> None:
    x, y, w, h = box
    if _agrees((x, y, x + w, y + h), shape, size):
        return
    report.odd_boxes.append(name)
    report.corner_boxes += _agrees(box, shape, size)


def _agrees(box: Box, shape: Shape, size: tuple[int, int]) -> bool:
    """Whether an xyxy box has the edges of the mask, as far as they lie in the image."""
    x1, y1, x2, y2 = shape.extent
    width, height = size
    slack_x, slack_y = max(EDGE_PIXELS, EDGE_SHARE * (x2 - x1)), max(EDGE_PIXELS, EDGE_SHARE * (y2 - y1))
    left, top, right, bottom = box
    return (
        abs(max(left, 0.0) - x1) <= slack_x
        and abs(max(top, 0.0) - y1) <= slack_y
        and abs(min(right, width) - x2) <= slack_x
        and abs(min(bottom, height) - y2) <= slack_y
    )
