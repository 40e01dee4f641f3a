"""infer.py's JSON, read back: image path -> entry, checked as far as drawing needs it."""

from pathlib import Path

from ..data.formats.fields import number
from ..data.mask_checks import is_rle
from ..errors import UserError, plain, short
from ..reading import read_json

BOX = ("x_min", "y_min", "width", "height")
LONGEST_PATH = 200  # characters of a path in a message


def load_inference_json(path: str | Path) -> dict[str, dict]:
    """Image path -> entry, checked as far as drawing needs it; UserError naming the file and the image otherwise."""
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise UserError(f"{path}: inference output maps image paths to predictions, this is a {type(entries).__name__}")
    for image_path, entry in entries.items():
        if problem := problem_of(entry):
            raise UserError(f"{path}: {plain(image_path, LONGEST_PATH)}: not the structure infer.py writes ({problem})")
    return entries


def is_of_classifier(entry: dict) -> bool:
    """Whether an image's entry holds classes of the whole image, not objects in it."""
    return "height" not in entry


def problem_of(entry: object) -> str:
    """What of an image's entry drawing cannot use, or nothing."""
    if not isinstance(entry, dict):
        return f"{short(entry)} is not an object"
    if not isinstance(entry.get("predictions"), list):
        return "no list 'predictions'"
    if not is_of_classifier(entry) and (problem := problem_of_size(entry)):
        return problem
    size = [] if is_of_classifier(entry) else [entry["height"], entry["width"]]
    for place, one in enumerate(entry["predictions"]):
        if not isinstance(one, dict):
            return f"predictions[{place}] is {short(one)}, not an object"
        if problem := (_problem_of_object(one, size) if size else _problem_of_class(one)):
            return f"predictions[{place}] has {problem}"
    return ""


def problem_of_map(entry: dict) -> str:
    """The same of a segmenter's: `height`, `width` and `classes`, each with its `label`, `name` and `mask`."""
    if problem := problem_of_size(entry):
        return problem
    if not isinstance(entry["classes"], list):
        return f"classes {short(entry['classes'])}, not a list"
    for place, one in enumerate(entry["classes"]):
        if not isinstance(one, dict):
            return f"classes[{place}] is {short(one)}, not an object"
        if type(one.get("label")) is not int or one["label"] < 0 or not isinstance(one.get("name"), str):
            return f"classes[{place}] has label {short(one.get('label'))} and name {short(one.get('name'))}"
        if problem := _problem_of_mask(one.get("mask"), [entry["height"], entry["width"]]):
            return f"classes[{place}] has {problem}"
    return ""


def problem_of_size(entry: dict) -> str:
    """What is wrong with `height` and `width`, or nothing."""
    for side in ("height", "width"):
        if type(entry.get(side)) is not int or entry[side] < 1:
            return f"{side} {short(entry.get(side))}, not a number of pixels"
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
    return _problem_of_mask(one["mask"], size)


def _problem_of_mask(mask: object, size: list[int]) -> str:
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
