"""Overlays of all images of an inference JSON: boxes, masks where there are any, class names and scores."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..data.decoding import USUAL_RULES, ImageRules
from ..data.formats.places import ALLOW, inside, shown
from ..data.images import MAX_PIXELS, read_for_label, why_unreadable, write_picture
from ..errors import UserError, listed
from ..files import LONGEST_NAME
from ..outputs import Inputs, check_output_files
from ..reading import is_folder
from .bars import bar, say
from .drawing import Drawing, Least, Reached
from .fonts import FontBook
from .overlay import draw_class as draw_class  # the four of them: where they were before
from .overlay import draw_overlay as draw_overlay
from .overlay import enlarged as enlarged
from .overlay import instance_colour as instance_colour
from .panels import in_a_row
from .prediction_entries import is_of_classifier
from .prediction_entries import load_inference_json as load_inference_json  # where it was before
from .truth import Truth

logger = logging.getLogger(__name__)

CUT_NAME = 200  # bytes of a name that is too long
WHOLE = 2**24  # pixels of a side, which no picture has


def draw_prediction_file(
    pred_file: str | Path,
    out_dir: str | Path,
    score_threshold: Least,
    max_pixels: int = MAX_PIXELS,
    allow_outside: bool = False,
    rules: ImageRules = USUAL_RULES,
    font: str = "",
    colours: str = "object",
    labels: str | Path = "",
) -> tuple[list[Path], list[str]]:
    """Overlays of all images of an inference JSON, written into `out_dir`; each path is printed once it is written.

    score_threshold: the least score that is drawn, or that of each class by its name.
    allow_outside: the file may name images that lie neither below the working folder nor below the file's own. rules:
    by which the images were read. font: a font file for names that are not plain English. colours: see `drawing`.
    labels: label files whose objects are drawn beside, see `Truth`.
    Returns the written paths, and a line for each image that could not be drawn. UserError if the JSON is unusable.
    """
    if isinstance(score_threshold, float | int) and not math.isfinite(score_threshold):
        raise UserError(f"score_thr is {score_threshold}; it must be a finite number")
    drawing = Drawing(score_threshold, colours, FontBook(font))
    entries = load_inference_json(pred_file)
    tell_threshold(entries, score_threshold, pred_file)
    outside = [name for name in entries if not allow_outside and inside(name, Path(), Path(pred_file).parent) is None]
    if outside:
        where = f"{shown(outside[0])}, which lies neither below the working folder nor below the file's own"
        raise UserError(f"{pred_file}: it names {where}; --{ALLOW.replace(':', '')} reads it")
    if labels and any(map(is_of_classifier, entries.values())):
        raise UserError(f"labels: {pred_file} holds classes of whole images; the truth that is drawn is of objects")
    truth = Truth.read(labels, entries, allow_outside) if labels else None
    for note in truth.notes if truth else ():
        logger.warning("%s", note)
    targets = dict(zip(entries, prepared_targets(pred_file, Path(out_dir), list(entries), labels)))
    written, problems = [], []
    with bar(len(entries)) as progress:
        for image_path, entry in entries.items():
            image, problem = read_for_entry(image_path, entry, max_pixels, rules)
            if image is None:
                problems.append(problem)
            else:
                picture = drawing(image, entry)
                if truth:
                    picture = _with_truth(image, truth.of(image_path), picture, drawing.of_truth())
                write_picture(targets[image_path], picture)
                written.append(targets[image_path])
                say(targets[image_path])
            progress.update()
    return written, problems


def read_for_entry(
    path: str | Path, entry: dict, max_pixels: int, rules: ImageRules
) -> tuple[np.ndarray | None, str]:
    """The image (h, w, 3) uint8 BGR that an entry is of; None, and why, where it cannot be read or is another one."""
    size = None if is_of_classifier(entry) else (entry["height"], entry["width"])
    image = read_for_label(path, size, max_pixels, rules)
    if image is None:
        return None, why_unreadable(path, max_pixels)
    if size is not None and image.shape[:2] != size:
        return None, f"{path}: is {image.shape[1]}x{image.shape[0]}, predicted was {entry['width']}x{entry['height']}"
    return image, ""


def tell_threshold(entries: Mapping[str, dict], least: Least, pred_file: str | Path) -> None:
    """Say of a threshold that nothing reaches, or that is of classes that nothing is of. UserError for classes that it
    does not have.
    """
    if isinstance(least, Mapping):
        found = [one for entry in entries.values() if not is_of_classifier(entry) for one in entry["predictions"]]
        if found and (unseen := sorted(set(least) - {one["class"]["name"] for one in found})):
            logger.warning("score_thr: no prediction in %s is of %s", pred_file, listed(unseen))
    reached = Reached(least, "score_thr")
    for entry in entries.values():
        reached.add(entry)
    reached.tell()


def prepared_targets(
    pred_file: str | Path, out_dir: Path, names: Sequence[str], labels: str | Path = ""
) -> list[Path]:
    """Where the pictures of these images go; the folder is there then. UserError where one would replace an input."""
    targets = [out_dir / name for name in overlay_names(names)]
    inputs = [("pred_file", Path(pred_file)), *(("an image of pred_file", Path(name)) for name in names)]
    inputs += [("labels", Path(labels))] if labels and not is_folder(labels) else []
    folders = (("labels", Path(labels)),) if labels and is_folder(labels) else ()
    check_output_files("out_dir", out_dir, targets, Inputs(tuple(inputs), folders))
    make_folder(out_dir)
    return targets


def make_folder(folder: Path) -> None:
    """UserError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder ({error.strerror})") from error


def _with_truth(image: np.ndarray, truth: dict | None, picture: np.ndarray, drawing: Drawing) -> np.ndarray:
    """Truth | prediction, each as large as it is drawn."""
    word, left = ("no truth", enlarged(image)[0]) if truth is None else ("truth", drawing(image, truth))
    return in_a_row({word: left, "prediction": picture}, WHOLE)


def overlay_names(image_paths: Sequence[str]) -> list[str]:
    """A file name for each image's overlay, all different whatever folders the images come from."""
    suffixes = [".jpg" if Path(path).suffix.lower() in (".jpg", ".jpeg") else ".png" for path in image_paths]
    return [stem + suffix for stem, suffix in zip(unique_stems(image_paths, "_pred"), suffixes)]


def unique_stems(image_paths: Sequence[str | Path], ending: str = "", room: int = 4) -> list[str]:
    """A name without suffix for each image, `ending` after it, all different.

    room: bytes of what is to follow; a name that is too long for a file system with that is cut.
    """
    stems: list[str] = []
    taken: set[str] = set()
    for path in map(Path, image_paths):
        own = path.stem
        if len(os.fsencode(own)) + len(ending) + room > LONGEST_NAME:
            own = os.fsencode(own)[:CUT_NAME].decode(errors="ignore")
        stem, number = f"{own}{ending}", 1
        while stem.lower() in taken:  # some file systems do not tell upper from lower case
            number += 1
            stem = f"{own}{ending}_{number}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems
