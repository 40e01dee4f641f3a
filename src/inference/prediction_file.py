"""Predictions on disk: COCO results JSON, with the protocol under which they were made in a small file beside it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ..data.formats.fields import Id, number, numbers
from ..data.formats.ids import IdTable, order
from ..data.formats.index import DetectionIndex
from ..data.mask_checks import is_rle
from ..errors import UserError, listed, plain, short
from ..files import PREDICTION_FORMAT, require_readable, write_text
from ..reading import read_bytes, read_json, why

SETTINGS, UNREADABLE = "settings", "unreadable"  # what the protocol's file holds beside the protocol
MOST_PROTOCOL = 2**26  # bytes of the file beside the predictions
PROTOCOL_ENDING = ".protocol"
SHOWN, MOST_CATEGORIES = 4, 20  # differences, and categories, that an error names
RESULT_KEYS = ("image_id", "category_id", "bbox", "score", "segmentation")
SHAPES = ("bbox", "segmentation")  # a detection has one of them at least


def save_predictions(
    path: str | Path,
    results: list[dict],
    protocol: dict | None = None,
    settings: dict | None = None,
    unreadable: Sequence[Id] = (),
) -> None:
    """Write COCO results JSON whole or not at all; `protocol` goes into a second file, see `load_protocol`, and with it
    the `settings`, see `require_same_origin`, and the images that could not be read.
    """
    path = Path(path)
    text = json.dumps(results)
    if protocol is not None:
        note = {"format": PREDICTION_FORMAT} | protocol | {"predictions": _hash(text.encode())}
        note |= {} if settings is None else {SETTINGS: settings}
        note |= {UNREADABLE: list(unreadable)} if unreadable else {}
        write_text(_protocol_path(path), json.dumps(note, indent=1))
    write_text(path, text)  # last: where it is there, what says how it was made is there too


def load_predictions(path: str | Path, dataset: DetectionIndex) -> list[dict]:
    """COCO results from a file, each with a box, a mask or both, ids as the data set has them.

    Those of images that take no part in evaluation are left out. UserError, naming the file, unless they are results
    for images and classes of `dataset`.
    """
    results = read_json(path)
    if not isinstance(results, list):
        raise UserError(f"{path}: COCO results are a list of detections, this is a {type(results).__name__}")
    checker = _Checker(dataset)
    for place, result in enumerate(results):
        if problem := checker.problem(result):
            raise UserError(f"{path}: detection {place} {problem}")
    checked = (checker.checked(result) for result in results)
    return [result for result in checked if result["image_id"] in checker.sizes]


def load_protocol(path: str | Path) -> dict:
    """Protocol under which the predictions of `path` were made: unknown, but for their hash, unless saved with them.

    UserError where a newer version wrote them.
    """
    protocol, digest = _own_protocol(path)
    if not protocol and _protocol_path(Path(path)).exists():
        print(f"{_protocol_path(Path(path))} is damaged, or not of these predictions: how they were made is unknown.")
    protocol = protocol or {key: "unknown" for key in ("size", "flip", "config", "checkpoint")}
    shown = {plain(key): plain(value) for key, value in protocol.items() if key not in (SETTINGS, UNREADABLE)}
    return shown | {"predictions": digest}


def load_unreadable(path: str | Path) -> list[Id]:
    """Images of which there are no predictions because they could not be read, as far as the predictions say so."""
    found = _own_protocol(path)[0].get(UNREADABLE)
    return [one for one in found if isinstance(one, int | str)] if isinstance(found, list) else []


def require_same_origin(path: str | Path, checkpoint: str | Path, checkpoint_hash: str, settings: dict) -> None:
    """UserError unless the predictions of `path` were made by this checkpoint with these settings: keys and values.

    One line where the file does not say so much, as those that older versions wrote.
    """
    protocol, _ = _own_protocol(path)
    then = protocol.get(SETTINGS)
    if not isinstance(then, dict):
        known = protocol.get("checkpoint", checkpoint_hash) == checkpoint_hash
        other = "" if known else f", and its checkpoint was another one than {checkpoint}"
        print(f"{path} does not say by which settings it was made{other}; it is evaluated as it is.")
        return
    different = [f"{name} ({short(then[name])} then, {short(settings[name])} now)"
                 for name in settings if name in then and then[name] != settings[name]]  # fmt: skip
    if protocol.get("checkpoint") != checkpoint_hash:
        different.insert(0, f"checkpoint ({plain(protocol.get('checkpoint'))} then, {checkpoint_hash} is {checkpoint})")
    if different:
        more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise UserError(
            f"{path} holds predictions that were made with another {', '.join(different[:SHOWN])}{more}: give another "
            "prediction_path for new ones, or leave out checkpoint_path to evaluate these"
        )


def _own_protocol(path: str | Path) -> tuple[dict, str]:
    """What stands beside the predictions, empty where it is not theirs, and the hash of the predictions."""
    try:
        digest = _hash(read_bytes(path))
    except OSError as error:
        raise UserError(f"prediction_path: {path} cannot be read: {why(error)}") from None
    try:
        protocol = read_json(_protocol_path(Path(path)), MOST_PROTOCOL)
    except UserError:
        protocol = {}
    if isinstance(protocol, dict):
        require_readable(protocol.pop("format", None), PREDICTION_FORMAT, path)
    return (protocol if isinstance(protocol, dict) and protocol.get("predictions") == digest else {}), digest


class _Checker:
    """What is wrong with detections of a data set, and what is right of them."""

    def __init__(self, dataset: DetectionIndex):
        self.sizes = {image_id: [one["height"], one["width"]] for image_id, one in dataset.coco.imgs.items()}
        self._category_ids = dataset.category_ids
        self._images, self._categories = IdTable(dataset.image_ids), IdTable(dataset.category_ids)

    def problem(self, result: object) -> str:
        """What is wrong with one detection, or nothing."""
        if not isinstance(result, dict):
            return f"is {short(result)}, not an object"
        shapes = [key for key in SHAPES if result.get(key) is not None]
        wanted = [key for key in RESULT_KEYS if not shapes or key not in SHAPES]
        if missing := [key for key in wanted if key not in result]:
            return f"has no {', '.join(missing)}"
        if self._images.find(result["image_id"]) is None:
            return f"is of image {short(result['image_id'])}, which is not in the data set"
        if self._categories.find(result["category_id"]) is None:
            known = sorted(self._category_ids, key=order)
            return f"has category {short(result['category_id'])}; the data set has {listed(known, MOST_CATEGORIES)}"
        if isinstance(result["score"], str) or number(result["score"]) is None:
            return f"has score {short(result['score'])}, not a number"
        if not shapes:
            return "has neither a bbox nor a segmentation"
        return next(filter(None, (self._problem_of_shape(key, result) for key in shapes)), "")

    def checked(self, result: dict) -> dict:
        """A sound detection with the data set's own ids, without the shapes that it does not have.

        Nothing else is kept of it: pycocotools takes a `caption` for the kind of the results, an integer of 10^30 for
        an object.
        """
        own = {key: result[key] for key in RESULT_KEYS if key not in SHAPES or result.get(key) is not None}
        ids = {"image_id": self._images.find(own["image_id"]), "category_id": self._categories.find(own["category_id"])}
        own |= ids | {"score": float(own["score"])}
        if "bbox" in own:
            own["bbox"] = list(map(float, own["bbox"]))
        if "segmentation" in own and own["image_id"] in self.sizes:
            own["segmentation"] = {"size": self.sizes[own["image_id"]], "counts": own["segmentation"]["counts"]}
        return own

    def _problem_of_shape(self, key: str, result: dict) -> str:
        if key == "bbox":
            box = result["bbox"]
            is_box = numbers(box, 4) is not None and not any(isinstance(side, str) for side in box)
            return "" if is_box else f"has bbox {short(box)}, not [x, y, width, height]"
        mask, size = result["segmentation"], self.sizes.get(self._images.find(result["image_id"]))
        if not (isinstance(mask, dict) and isinstance(mask.get("counts"), str)):
            return "has a segmentation that is no compressed RLE {size, counts}"
        if size is not None and mask.get("size") != size:
            return f"has a mask of size {short(mask.get('size'))}; its image has {size}"
        if size is not None and not is_rle(mask, *size):
            return "has a mask whose counts are not those of its size"
        return ""


def _protocol_path(path: Path) -> Path:
    return path.with_name(path.name + PROTOCOL_ENDING)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
