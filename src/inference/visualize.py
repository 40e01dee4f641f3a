"""Overlays: boxes, masks where there are any, class names and scores drawn on the image, from infer.py's JSON."""

import colorsys
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..data.decoding import USUAL_RULES, ImageRules
from ..data.formats.fields import number
from ..data.formats.places import ALLOW, inside, shown
from ..data.images import MAX_PIXELS, read_for_label, why_unreadable, write_picture
from ..data.mask_checks import is_rle
from ..errors import UserError, listed, plain, short
from ..outputs import Inputs, check_output_files
from ..reading import read_json
from .fonts import FontBook, drawable
from .label_text import EnglishText, FontText, Style, label_text

logger = logging.getLogger(__name__)

MASK_OPACITY = 0.45
UNKNOWN = "unknown"  # the name of a class that nobody has named
SMALLEST_SIDE = 384  # smaller images are enlarged by a whole factor: labels need room
FRAME = 5  # pixels between a box and its frame
GOLDEN_RATIO = 0.618034
BOX = ("x_min", "y_min", "width", "height")
FAR = 2**24  # pixels; OpenCV's coordinates are 32 bits, some of them for parts of a pixel
LONGEST_PATH, LONGEST_NAME = 200, 100  # characters of a path in a message, and of a class name in a picture

Plate = tuple[int, int, int, int]  # left, top, right, bottom of a label's background


def draw_overlay(
    image: np.ndarray,
    predictions: Sequence[dict],
    score_threshold: float = 0.3,
    fonts: FontBook | None = None,
    with_scores: bool = True,
    framed: Sequence[Sequence[float]] = (),
) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR with its predictions of at least `score_threshold`, one colour each.

    predictions: `predictions` of the image's entry in the inference JSON. An image whose longer side is below 384
    pixels is enlarged by a whole factor. fonts: where those for names that are not plain English are looked for.
    with_scores: behind the names; what is true has none. framed: boxes (x, y, w, h) with a white frame about each
    under the labels.
    """
    shown = sorted((one for one in predictions if one["score"] >= score_threshold), key=lambda one: -one["score"])
    canvas, zoom = enlarged(image)
    thickness = max(1, round(max(canvas.shape[:2]) / 600))
    colours = [instance_colour(k) for k in range(len(shown))]
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


def instance_colour(index: int) -> tuple[int, int, int]:
    """BGR of the index-th instance: golden-ratio steps around the hue circle, so any few in a row are far apart."""
    saturation, value = (0.95, 0.7)[index // 8 % 2], (1.0, 0.85)[index % 2]
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def enlarged(image: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy of the image, its sides times the whole factor that is given too."""
    zoom = max(1, math.ceil(SMALLEST_SIDE / max(image.shape[:2])))
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST), zoom


def draw_prediction_file(
    pred_file: str | Path,
    out_dir: str | Path,
    score_threshold: float | Mapping[str, float],
    max_pixels: int = MAX_PIXELS,
    allow_outside: bool = False,
    rules: ImageRules = USUAL_RULES,
    font: str = "",
) -> tuple[list[Path], list[str]]:
    """Overlays of all images of an inference JSON, written into `out_dir`; each path is printed once it is written.

    score_threshold: the least score that is drawn, or that of each class by its name.
    allow_outside: the file may name images that lie neither below the working folder nor below the file's own. rules:
    by which the images were read. font: a font file for names that are not plain English.
    Returns the written paths, and a line for each image that could not be drawn. UserError if the JSON is unusable.
    """
    if isinstance(score_threshold, float | int) and not math.isfinite(score_threshold):
        raise UserError(f"score_thr is {score_threshold}; it must be a finite number")
    fonts, entries = FontBook(font), load_inference_json(pred_file)
    found = [one for entry in entries.values() if not is_of_classifier(entry) for one in entry["predictions"]]
    if isinstance(score_threshold, Mapping):
        if found and (unseen := sorted(set(score_threshold) - {one["class"]["name"] for one in found})):
            logger.warning("score_thr: no prediction in %s is of %s", pred_file, listed(unseen))
        entries = {path: _above(entry, score_threshold) for path, entry in entries.items()}
        score_threshold = -math.inf
        reaching = sum(len(entry["predictions"]) for entry in entries.values())
    else:
        reaching = sum(one["score"] >= score_threshold for one in found)
    if found and not reaching:
        best = max(one["score"] for one in found)
        logger.warning("no prediction reaches its score_thr, the highest score is %.3f: nothing is drawn", best)
    outside = [name for name in entries if not allow_outside and inside(name, Path(), Path(pred_file).parent) is None]
    if outside:
        where = f"{shown(outside[0])}, which lies neither below the working folder nor below the file's own"
        raise UserError(f"{pred_file}: it names {where}; --{ALLOW.replace(':', '')} reads it")
    out_dir = Path(out_dir)
    targets = [out_dir / name for name in overlay_names(list(entries))]
    images = [("an image of pred_file", Path(path)) for path in entries]
    check_output_files("out_dir", out_dir, targets, Inputs((("pred_file", Path(pred_file)), *images)))
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out_dir}: cannot be made a folder ({error.strerror})") from error
    written, problems = [], []
    for image_path, target in zip(entries, targets):
        entry = entries[image_path]
        size = None if is_of_classifier(entry) else (entry["height"], entry["width"])
        image = read_for_label(image_path, size, max_pixels, rules)
        if image is None:
            problems.append(why_unreadable(image_path, max_pixels))
        elif size is not None and image.shape[:2] != size:
            problems.append(
                f"{image_path}: is {image.shape[1]}x{image.shape[0]}, predicted was {entry['width']}x{entry['height']}"
            )
        else:
            write_picture(target, _drawn(image, entry, score_threshold, fonts))
            written.append(target)
            print(target, flush=True)
    return written, problems


def is_of_classifier(entry: dict) -> bool:
    """Whether an image's entry holds classes of the whole image, not objects in it."""
    return "height" not in entry


def _above(entry: dict, thresholds: Mapping[str, float]) -> dict:
    """An image's entry with the detections that reach the threshold of their class. UserError for a class without."""
    if is_of_classifier(entry):
        return entry
    names = {one["class"]["name"] for one in entry["predictions"]}
    if unknown := sorted(names - set(thresholds)):
        raise UserError(f"score_thr has no threshold for {listed(unknown)}")
    kept = [one for one in entry["predictions"] if one["score"] >= thresholds[one["class"]["name"]]]
    return entry | {"predictions": kept}


def _drawn(image: np.ndarray, entry: dict, score_threshold: float, fonts: FontBook) -> np.ndarray:
    if is_of_classifier(entry):
        return draw_class(image, entry["predictions"], fonts)
    return draw_overlay(image, entry["predictions"], score_threshold, fonts)


def draw_class(
    image: np.ndarray,
    predictions: Sequence[dict],
    fonts: FontBook | None = None,
    colour: tuple[int, int, int] | None = None,
    with_scores: bool = True,
) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR with a classifier's first class and its score in its top left corner.

    predictions: best first, each with `name`, `label` and `score`. An image is enlarged as by `draw_overlay`. colour:
    BGR behind the text.
    """
    canvas = enlarged(image)[0]
    if predictions:
        best = predictions[0]
        name = best["name"] if best["name"] != UNKNOWN else f"class {best['label']}"
        score = best["score"] if with_scores else None
        text = _label(name, best["label"], score, _label_style(canvas), fonts or FontBook())
        corner = (0, 0), (canvas.shape[1], canvas.shape[0])
        _draw_label(canvas, text, _place_label(canvas, text, corner, []), colour or instance_colour(0))
    return canvas


def _label(name: str, number: object, score: float | None, style: Style, fonts: FontBook) -> EnglishText | FontText:
    """A class's name and score, if there is one; its number where it has characters that no font here has."""
    known = f"class {number}" if isinstance(number, int) else "class"
    after = "" if score is None else f" {score:.2f}"
    return label_text(drawable(name, LONGEST_NAME), known, after, style, fonts)


def load_inference_json(path: str | Path) -> dict[str, dict]:
    """Image path -> entry, checked as far as drawing needs it; UserError naming the file and the image otherwise."""
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise UserError(f"{path}: inference output maps image paths to predictions, this is a {type(entries).__name__}")
    for image_path, entry in entries.items():
        if problem := _problem(entry):
            raise UserError(f"{path}: {plain(image_path, LONGEST_PATH)}: not the structure infer.py writes ({problem})")
    return entries


def overlay_names(image_paths: Sequence[str]) -> list[str]:
    """A file name for each image's overlay, all different whatever folders the images come from."""
    suffixes = [".jpg" if Path(path).suffix.lower() in (".jpg", ".jpeg") else ".png" for path in image_paths]
    return [stem + suffix for stem, suffix in zip(unique_stems(image_paths, "_pred"), suffixes)]


def unique_stems(image_paths: Sequence[str | Path], ending: str = "") -> list[str]:
    """A name without suffix for each image, `ending` after it, all different."""
    stems: list[str] = []
    taken: set[str] = set()
    for path in map(Path, image_paths):
        stem, number = f"{path.stem}{ending}", 1
        while stem.lower() in taken:  # some file systems do not tell upper from lower case
            number += 1
            stem = f"{path.stem}{ending}_{number}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def _problem(entry: object) -> str:
    """What of an image's entry drawing cannot use, or nothing."""
    if not isinstance(entry, dict):
        return f"{short(entry)} is not an object"
    if not isinstance(entry.get("predictions"), list):
        return "no list 'predictions'"
    sides = () if is_of_classifier(entry) else ("height", "width")
    for side in sides:
        if type(entry.get(side)) is not int or entry[side] < 1:
            return f"{side} {short(entry.get(side))}, not a number of pixels"
    size = [entry[side] for side in sides]
    for place, one in enumerate(entry["predictions"]):
        if not isinstance(one, dict):
            return f"predictions[{place}] is {short(one)}, not an object"
        if problem := (_problem_of_object(one, size) if size else _problem_of_class(one)):
            return f"predictions[{place}] has {problem}"
    return ""


def _problem_of_object(one: dict, size: list[int]) -> str:
    box, kind = one.get("bbox"), one.get("class")
    if not _is_number(one.get("score")):
        return f"score {short(one.get('score'))}, not a number"
    if not isinstance(box, dict) or not all(_is_number(box.get(side)) for side in BOX):
        return f"bbox {short(box)}, not the numbers {', '.join(BOX)}"
    if not isinstance(kind, dict) or not isinstance(kind.get("name"), str):
        return f"class {short(kind)}, without a text 'name'"
    if "mask" not in one:  # of a detector without masks
        return ""
    mask = one["mask"]
    if not isinstance(mask, dict) or mask.get("size") != size or not isinstance(mask.get("counts"), str):
        return f"mask {short(mask)}, not a compressed RLE of the image's size {size}"
    return "" if is_rle(mask, *size) else f"a mask whose counts are not those of its size {size}"


def _problem_of_class(one: dict) -> str:
    if not isinstance(one.get("name"), str):
        return f"name {short(one.get('name'))}, not a text"
    if not isinstance(one.get("label"), int):
        return f"label {short(one.get('label'))}, not a whole number"
    return "" if _is_number(one.get("score")) else f"score {short(one.get('score'))}, not a number"


def _is_number(value: object) -> bool:
    return not isinstance(value, str) and number(value) is not None


def _corners(box: dict, zoom: int) -> tuple[tuple[int, int], tuple[int, int]]:
    left, top, width, height = (round(max(-FAR, min(float(box[side]) * zoom, FAR))) for side in BOX)
    return (left, top), (left + width, top + height)


def _draw_mask(canvas: np.ndarray, mask: dict, colour: tuple[int, int, int], zoom: int, thickness: int) -> None:
    """Blend one mask and draw its contour, within the rows and columns that it reaches."""
    left, top, width, height = (int(side) for side in coco_mask.toBbox(mask))
    if width == 0 or height == 0:
        return
    inside = coco_mask.decode(mask)[top : top + height, left : left + width]
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
