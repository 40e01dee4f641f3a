"""Overlays of all images of an inference JSON: boxes, masks where there are any, class names and scores."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..data.decoding import USUAL_RULES, ImageRules
from ..data.formats.places import ALLOW, inside, shown
from ..data.images import MAX_PIXELS, read_for_label, why_unreadable, write_picture
from ..errors import UserError, listed
from ..outputs import Inputs, check_output_files
from .fonts import FontBook
from .overlay import draw_class as draw_class  # the four of them: where they were before
from .overlay import draw_overlay as draw_overlay
from .overlay import enlarged as enlarged
from .overlay import instance_colour as instance_colour
from .prediction_entries import is_of_classifier
from .prediction_entries import load_inference_json as load_inference_json  # where it was before

logger = logging.getLogger(__name__)


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
