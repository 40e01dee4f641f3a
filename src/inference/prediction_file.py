"""Predictions on disk: COCO results JSON, with the protocol under which they were made in a small file beside it."""

import hashlib
import json
from pathlib import Path

from ..data.formats.index import DetectionIndex
from ..errors import UserError
from ..files import PREDICTION_FORMAT, require_readable, write_text

RESULT_KEYS = ("image_id", "category_id", "bbox", "score", "segmentation")


def save_predictions(path: str | Path, results: list[dict], protocol: dict | None = None) -> None:
    """Write COCO results JSON whole or not at all; `protocol` goes into a second file, see `load_protocol`."""
    path = Path(path)
    text = json.dumps(results)
    write_text(path, text)
    if protocol is not None:
        note = {"format": PREDICTION_FORMAT} | protocol | {"predictions": _hash(text.encode())}
        write_text(_protocol_path(path), json.dumps(note, indent=1))


def load_predictions(path: str | Path, dataset: DetectionIndex) -> list[dict]:
    """COCO results from a file; UserError, naming it, unless they are results for images and classes of `dataset`."""
    try:
        results = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(results, list):
        raise UserError(f"{path}: COCO results are a list of detections, this is a {type(results).__name__}")
    sizes = {image_id: _size(dataset, image_id) for image_id in dataset.image_ids}
    categories = set(dataset.category_ids)
    for number, result in enumerate(results):
        if problem := _problem(result, sizes, categories):
            raise UserError(f"{path}: detection {number} {problem}")
    return results


def load_protocol(path: str | Path) -> dict:
    """Protocol under which the predictions of `path` were made: unknown, but for their hash, unless saved with them.

    UserError where a newer version wrote them.
    """
    digest = _hash(Path(path).read_bytes())
    try:
        protocol = json.loads(_protocol_path(Path(path)).read_bytes())
    except (OSError, ValueError):
        protocol = {}
    if isinstance(protocol, dict):
        require_readable(protocol.pop("format", None), PREDICTION_FORMAT, path)
    if not isinstance(protocol, dict) or protocol.get("predictions") != digest:
        protocol = {key: "unknown" for key in ("size", "flip", "config", "checkpoint")}
    return protocol | {"predictions": digest}


def _problem(result: object, sizes: dict[int, list[int]], categories: set[int]) -> str:
    """What is wrong with one detection, or nothing."""
    if not isinstance(result, dict):
        return f"is a {type(result).__name__}, not an object"
    if missing := [key for key in RESULT_KEYS if key not in result]:
        return f"has no {', '.join(missing)}"
    if not isinstance(result["image_id"], int) or result["image_id"] not in sizes:
        return f"is of image {result['image_id']!r}, which is not in the data set"
    if not isinstance(result["category_id"], int) or result["category_id"] not in categories:
        return f"has category {result['category_id']!r}; the data set has {sorted(categories)}"
    box = result["bbox"]
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)):
        return f"has bbox {box!r}, not [x, y, width, height]"
    if not isinstance(result["score"], int | float):
        return f"has score {result['score']!r}, not a number"
    mask = result["segmentation"]
    if not (isinstance(mask, dict) and isinstance(mask.get("counts"), str)):
        return "has a segmentation that is no compressed RLE {size, counts}"
    if mask.get("size") != sizes[result["image_id"]]:
        return f"has a mask of size {mask.get('size')}; its image has {sizes[result['image_id']]}"
    return ""


def _size(dataset: DetectionIndex, image_id: int) -> list[int]:
    image = dataset.coco.imgs[image_id]
    return [image["height"], image["width"]]


def _protocol_path(path: Path) -> Path:
    return path.with_name(path.name + ".protocol")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
