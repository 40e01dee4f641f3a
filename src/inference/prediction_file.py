"""Predictions on disk: COCO results JSON, with the protocol under which they were made in a small file beside it."""

import hashlib
import json
from pathlib import Path

from ..data.formats.index import DetectionIndex
from ..errors import UserError
from ..files import PREDICTION_FORMAT, require_readable, write_text

SETTINGS = "settings"
SHOWN = 4  # differences that an error names
RESULT_KEYS = ("image_id", "category_id", "bbox", "score", "segmentation")


def save_predictions(
    path: str | Path, results: list[dict], protocol: dict | None = None, settings: dict | None = None
) -> None:
    """Write COCO results JSON whole or not at all; `protocol` goes into a second file, see `load_protocol`, and with it
    the `settings`, see `require_same_origin`.
    """
    path = Path(path)
    text = json.dumps(results)
    write_text(path, text)
    if protocol is not None:
        note = {"format": PREDICTION_FORMAT} | protocol | {"predictions": _hash(text.encode())}
        note |= {} if settings is None else {SETTINGS: settings}
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
    protocol, digest = _own_protocol(path)
    protocol = protocol or {key: "unknown" for key in ("size", "flip", "config", "checkpoint")}
    return {key: value for key, value in protocol.items() if key != SETTINGS} | {"predictions": digest}


def require_same_origin(path: str | Path, checkpoint: str | Path, checkpoint_hash: str, settings: dict) -> None:
    """UserError unless the predictions of `path` were made by this checkpoint with these settings: keys and values.

    One line where the file does not say so much, as those that older versions wrote.
    """
    protocol, _ = _own_protocol(path)
    if SETTINGS not in protocol:
        known = protocol.get("checkpoint", checkpoint_hash) == checkpoint_hash
        other = "" if known else f", and its checkpoint was another one than {checkpoint}"
        print(f"{path} does not say by which settings it was made{other}; it is evaluated as it is.")
        return
    then = protocol[SETTINGS]
    different = [f"{name} ({then[name]!r:.60} then, {settings[name]!r:.60} now)"
                 for name in settings if name in then and then[name] != settings[name]]  # fmt: skip
    if protocol.get("checkpoint") != checkpoint_hash:
        different.insert(0, f"checkpoint ({protocol.get('checkpoint')} then, {checkpoint_hash} is {checkpoint})")
    if different:
        more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise UserError(
            f"{path} holds predictions that were made with another {', '.join(different[:SHOWN])}{more}: give another "
            "prediction_path for new ones, or leave out checkpoint_path to evaluate these"
        )


def _own_protocol(path: str | Path) -> tuple[dict, str]:
    """What stands beside the predictions, empty where it is not theirs, and the hash of the predictions."""
    digest = _hash(Path(path).read_bytes())
    try:
        protocol = json.loads(_protocol_path(Path(path)).read_bytes())
    except (OSError, ValueError):
        protocol = {}
    if isinstance(protocol, dict):
        require_readable(protocol.pop("format", None), PREDICTION_FORMAT, path)
    return (protocol if isinstance(protocol, dict) and protocol.get("predictions") == digest else {}), digest


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
