"""Drawing on an image: boxes, masks where there are any, class names and scores, as infer.py's JSON has them."""

import colorsys
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..data.rle import moved
from .fonts import FontBook, drawable
from .label_text import EnglishText, FontText, Style, label_text
from .prediction_entries import BOX

MASK_OPACITY = 0.45
OPACITY = 0.5  # of the colours of classes over a whole image
UNKNOWN = "unknown"  # the name of a class that nobody has named
SMALLEST_SIDE = 384  # smaller images are enlarged by a whole factor: labels need room
FRAME = 5  # pixels between a box and its frame
GOLDEN_RATIO = 0.618034
COLOURS = 2**20  # numbers that colours are worked out from
FAR = 2**24  # pixels; OpenCV's coordinates are 32 bits, some of them for parts of a pixel
LONGEST_NAME = 100  # characters of a class name in a picture

Plate = tuple[int, int, int, int]  # left, top, right, bottom of a label's background


def draw_overlay(
    image: np.ndarray,
    predictions: Sequence[dict],
    score_threshold: float = 0.3,
    fonts: FontBook | None = None,
    with_scores: bool = True,
    framed: Sequence[Sequence[float]] = (),
    colours: str = "object",
) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR with its predictions of at least `score_threshold`, one colour each.

    predictions: `predictions` of the image's entry in the inference JSON. An image whose longer side is below 384
    pixels is enlarged by a whole factor. fonts: where those for names that are not plain English are looked for.
    with_scores: behind the names; what is true has none. framed: boxes (x, y, w, h) with a white frame about each
    under the labels. colours: "class" gives those of a class one colour, the same in every picture.
    """
    shown = sorted((one for one in predictions if one["score"] >= score_threshold), key=lambda one: -one["score"])
    canvas, zoom = enlarged(image)
    thickness = max(1, round(max(canvas.shape[:2]) / 600))
    colours = [class_colour(one["class"]) if colours == "class" else instance_colour(k) for k, one in enumerate(shown)]
    masked = [k for k, one in enumerate(shown) if "mask" in one]
    for k in sorted(masked, key=lambda k: -int(coco_mask.area(shown[k]["mask"]))):  # small ones on top
        _draw_mask(canvas, shown[k]["mask"], colours[k], zoom, thickness)
    for one, colour in zip(shown, colours):
        cv2.rectangle(canvas, *_corners(one["bbox"], zoom), colour, thickness, cv2.LINE_AA)
    for box in framed:
        _draw_frame(canvas, box, zoom)
    style, fonts = _label_style(canvas), fonts or FontBook()
    texts = [
        _label(one["class"]["name"], one["class"].get("label"), one["score"] if with_scores else None, style, fonts)
        for one in shown
    ]
    plates: list[Plate] = []  # best first: it chooses its place first and is drawn last
    for one, text in zip(shown, texts):
        plates.append(_place_label(canvas, text, _corners(one["bbox"], zoom), plates))
    for text, plate, colour in reversed(list(zip(texts, plates, colours))):
        _draw_label(canvas, text, plate, colour)
    return canvas


def draw_class(
    image: np.ndarray,
    predictions: Sequence[dict],
    fonts: FontBook | None = None,
    colour: tuple[int, int, int] | None = None,
    with_scores: bool = True,
    colours: str = "object",
) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR with a classifier's first class and its score in its top left corner.

    predictions: best first, each with `name`, `label` and `score`. An image is enlarged as by `draw_overlay`. colour:
    BGR behind the text; without one it is told by `colours`, as there.
    """
    canvas = enlarged(image)[0]
    if predictions:
        best = predictions[0]
        name = best["name"] if best["name"] != UNKNOWN else f"class {best['label']}"
        score = best["score"] if with_scores else None
        text = _label(name, best["label"], score, _label_style(canvas), fonts or FontBook())
        corner = (0, 0), (canvas.shape[1], canvas.shape[0])
        colour = colour or (class_colour(best) if colours == "class" else instance_colour(0))
        _draw_label(canvas, text, _place_label(canvas, text, corner, []), colour)
    return canvas


def instance_colour(index: int) -> tuple[int, int, int]:
    """BGR of the index-th instance: golden-ratio steps around the hue circle, so any few in a row are far apart."""
    saturation, value = (0.95, 0.7)[index // 8 % 2], (1.0, 0.85)[index % 2]
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def class_colour(kind: Mapping[str, Any]) -> tuple[int, int, int]:
    """BGR of a class, by its `label`, or by its `name` where it has no such number."""
    label = kind.get("label")
    index = label if type(label) is int else zlib.crc32(kind["name"].encode(errors="surrogateescape"))
    return instance_colour(index % COLOURS)


def draw_classes(image: np.ndarray, classes: Sequence[dict], palette: np.ndarray | None = None) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR with the classes of its pixels over it: a segmenter's, each with its `label` and
    its `mask`. palette: (C, 3) RGB of the labels; without one they have colours of ours.
    """
    colour = image.copy()
    for one in classes:
        own = class_colour(one) if palette is None else palette[one["label"]][::-1]
        colour[coco_mask.decode(one["mask"]).astype(bool)] = own
    return blend(image, colour)


def blend(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: the image with the class colours over it."""
    return cv2.addWeighted(image, 1 - OPACITY, np.ascontiguousarray(colour), OPACITY, 0)


def enlarged(image: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy of the image, its sides times the whole factor that is given too."""
    zoom = max(1, math.ceil(SMALLEST_SIDE / max(image.shape[:2])))
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST), zoom


def _label(name: str, number: object, score: float | None, style: Style, fonts: FontBook) -> EnglishText | FontText:
    """A class's name and score, if there is one; its number where it has characters that no font here has."""
    known = f"class {number}" if isinstance(number, int) else "class"
    after = "" if score is None else f" {score:.2f}"
    return label_text(drawable(name, LONGEST_NAME), known, after, style, fonts)


def _corners(box: dict, zoom: int) -> tuple[tuple[int, int], tuple[int, int]]:
    left, top, width, height = (round(max(-FAR, min(float(box[side]) * zoom, FAR))) for side in BOX)
    return (left, top), (left + width, top + height)


def _draw_mask(canvas: np.ndarray, mask: dict, colour: tuple[int, int, int], zoom: int, thickness: int) -> None:
    """Blend one mask and draw its contour, within the rows and columns that it reaches."""
    left, top, width, height = (int(side) for side in coco_mask.toBbox(mask))
    if width == 0 or height == 0:
        return
    inside = coco_mask.decode(moved(mask, (height, width), (-top, -left)))  # never all of a large image
    inside = cv2.resize(inside, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    region = canvas[top * zoom : (top + height) * zoom, left * zoom : (left + width) * zoom]
    blended = cv2.addWeighted(region, 1 - MASK_OPACITY, np.full_like(region, colour), MASK_OPACITY, 0)
    np.copyto(region, blended, where=inside[:, :, None].astype(bool))
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA, offset=(left * zoom, top * zoom))


def _draw_frame(canvas: np.ndarray, box: Sequence[float], zoom: int) -> None:
    """A white line with black edges, a little outside of a box."""
    x, y, w, h = (side * zoom for side in box)
    corners = (round(x) - FRAME, round(y) - FRAME), (round(x + w) + FRAME, round(y + h) + FRAME)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.rectangle(canvas, *corners, colour, thickness)


def _label_style(canvas: np.ndarray) -> Style:
    """Scale and stroke width of label text: about a hundred characters across the image, never too small to read."""
    scale = min(2.0, max(0.4, max(canvas.shape[:2]) / 1400))
    return scale, max(1, round(scale * 1.5))


def _place_label(
    canvas: np.ndarray,
    text: EnglishText | FontText,
    corners: tuple[tuple[int, int], tuple[int, int]],
    occupied: list[Plate],
) -> Plate:
    """Above the box, inside at its top, inside at its bottom or below: the first place that no label takes."""
    plate_width, plate_height = text.size
    (left, top), (_, bottom) = corners
    room = canvas.shape[0] - plate_height
    left = max(min(left, canvas.shape[1] - plate_width), 0)
    tops = [max(min(place, room), 0) for place in (top - plate_height, top, bottom - plate_height, bottom)]
    plates = [(left, place, left + plate_width, place + plate_height) for place in tops]
    return next((one for one in plates if not any(_overlap(one, other) for other in occupied)), plates[0])


def _draw_label(
    canvas: np.ndarray, text: EnglishText | FontText, plate: Plate, colour: tuple[int, int, int]
) -> None:
    """Black or white text, whichever reads better, on a plate in the instance's colour."""
    blue, green, red = colour
    ink = 0 if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else 255
    cv2.rectangle(canvas, plate[:2], plate[2:], colour, cv2.FILLED)
    text.draw(canvas, *plate[:2], ink)


def _overlap(one: Plate, other: Plate) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
