"""Predictions on disk: COCO results JSON, with the protocol under which they were made in a small file beside it."""

import hashlib
import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from ..data.formats.fields import Id, number, numbers
from ..data.formats.ids import IdTable, order
from ..data.formats.index import DetectionIndex
from ..data.mask_checks import are_rles
from ..errors import UserError, listed, plain, short
from ..files import PREDICTION_FORMAT, require_readable, write_text
from ..reading import open_regular, read_json, why, without_collection

SETTINGS, UNREADABLE = "settings", "unreadable"  # what the protocol's file holds beside the protocol
MOST_PROTOCOL = 2**26  # bytes of the file beside the predictions
PROTOCOL_ENDING = ".protocol"
SHOWN, MOST_CATEGORIES = 4, 20  # differences, and categories, that an error names
RESULT_KEYS = ("image_id", "category_id", "bbox", "score", "segmentation")
SHAPES = ("bbox", "segmentation")  # a detection has one of them at least
FLOATS = {float}
TOGETHER = 1024  # detections whose masks are looked at together
DIGITS = 12  # of a hash


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


@without_collection()
def load_predictions(path: str | Path, dataset: DetectionIndex) -> list[dict]:
    """COCO results from a file, each with a box, a mask or both, ids as the data set has them.

    Those of images that take no part in evaluation are left out. UserError, naming the file, unless they are results
    for images and classes of `dataset`.
    """
    results = read_json(path)
    if not isinstance(results, list):
        raise UserError(f"{path}: COCO results are a list of detections, this is a {type(results).__name__}")
    checker = _Checker(dataset)
    for first in range(0, len(results), TOGETHER):
        try:
            results[first : first + TOGETHER] = checker.all_checked(results[first : first + TOGETHER])
        except _Unsound as error:
            raise UserError(f"{path}: detection {first + error.place} {error}") from None
    return [result for result in results if result["image_id"] in checker.sizes]


def load_protocol(path: str | Path) -> dict:
    """Protocol under which the predictions of `path` were made: unknown, but for their hash, unless saved with them.

    UserError where a newer version wrote them.
    """
    return load_notes(path)[0]


def load_notes(path: str | Path) -> tuple[dict, list[Id]]:
    """`load_protocol`, and the images of which there are no predictions because they could not be read, as far as the
    predictions say so.
    """
    protocol, digest = _own_protocol(path)
    unreadable = protocol.get(UNREADABLE)
    if not protocol and _protocol_path(Path(path)).exists():
        print(f"{_protocol_path(Path(path))} is damaged, or not of these predictions: how they were made is unknown.")
    protocol = protocol or {key: "unknown" for key in ("size", "flip", "config", "checkpoint")}
    shown = {plain(key): plain(value) for key, value in protocol.items() if key not in (SETTINGS, UNREADABLE)}
    names = [one for one in unreadable if isinstance(one, int | str)] if isinstance(unreadable, list) else []
    return shown | {"predictions": digest}, names


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
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    except OSError as error:
        raise UserError(f"prediction_path: {path} cannot be read: {why(error)}") from None
    try:
        protocol = read_json(_protocol_path(Path(path)), MOST_PROTOCOL)
    except UserError:
        protocol = {}
    if isinstance(protocol, dict):
        require_readable(protocol.pop("format", None), PREDICTION_FORMAT, path)
    return (protocol if isinstance(protocol, dict) and protocol.get("predictions") == digest else {}), digest


class _Unsound(ValueError):
    """What is wrong with the detection at a place."""

    def __init__(self, place: int, problem: str):
        super().__init__(problem)
        self.place = place


class _Checker:
    """What is wrong with detections of a data set, and what is right of them."""

    def __init__(self, dataset: DetectionIndex):
        self.sizes = {image_id: [one["height"], one["width"]] for image_id, one in dataset.coco.imgs.items()}
        self._category_ids = dataset.category_ids
        self._images, self._categories = IdTable(dataset.image_ids), IdTable(dataset.category_ids)

    def all_checked(self, results: Sequence[object]) -> list[dict]:
        """Sound detections as `checked` gives them. Raises _Unsound for the first that is none."""
        problem, found = "", []
        for result in results:
            own = self._usual(result)
            if own is None:
                if problem := self.problem(result):
                    break
                own = self.checked(result)
            found.append(own)
        masked = [k for k, one in enumerate(found) if "segmentation" in one and one["image_id"] in self.sizes]
        sizes = [self.sizes[found[k]["image_id"]] for k in masked]
        is_sound = are_rles([found[k]["segmentation"]["counts"] for k in masked], [h * w for h, w in sizes])
        if not is_sound.all():
            raise _Unsound(masked[int(is_sound.argmin())], "has a mask whose counts are not those of its size")
        if problem:
            raise _Unsound(len(found), problem)
        return found

    def _usual(self, result: object) -> dict | None:
        """What `checked` makes of a detection of the usual form, in which nothing is to be converted; None of others.

        Half a million of them are looked at.
        """
        if type(result) is not dict:
            return None
        image_id = self._images.find(result.get("image_id"))
        category_id = self._categories.find(result.get("category_id"))
        size, score = self.sizes.get(image_id), result.get("score")
        if size is None or category_id is None or type(score) is not float or not isfinite(score):
            return None
        own = {"image_id": image_id, "category_id": category_id}
        box, mask = result.get("bbox"), result.get("segmentation")
        if box is not None:
            if type(box) is not list or len(box) != 4 or set(map(type, box)) != FLOATS or not isfinite(sum(box)):
                return None
            own["bbox"] = box
        own["score"] = score
        if mask is not None:
            if type(mask) is not dict or type(mask.get("counts")) is not str or mask.get("size") != size:
                return None
            own["segmentation"] = {"size": size, "counts": mask["counts"]}
        return None if box is None and mask is None else own

    def problem(self, result: object) -> str:
        """What is wrong with one detection, or nothing; whether its mask's counts are sound is looked at elsewhere."""
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
        return ""


def _protocol_path(path: Path) -> Path:
    return path.with_name(path.name + PROTOCOL_ENDING)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
