"""How an entry of infer.py, whatever network it is of, is drawn on its image."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import UserError, listed
from .fonts import FontBook
from .overlay import draw_class, draw_classes, draw_overlay
from .prediction_entries import is_of_classifier

logger = logging.getLogger(__name__)

Least = float | Mapping[str, float]  # score, or that of each class by its name
COLOURS = ("object", "class")  # what has a colour of its own
SCORE = 0.3  # the least that is drawn, where nothing is said


@dataclass(frozen=True)
class Drawing:
    """least: score of the objects that are drawn. colours: see `COLOURS`. palette: (C, 3) RGB of a segmenter's labels;
    without one they have colours of ours. with_scores: behind the names of objects and classes.
    """

    least: Least = SCORE
    colours: str = "object"
    fonts: FontBook = field(default_factory=FontBook)
    palette: np.ndarray | None = None
    with_scores: bool = True

    def __call__(self, image: np.ndarray, entry: dict) -> np.ndarray:
        """The image (h, w, 3) uint8 BGR with what its entry says; small ones are enlarged, but for label maps."""
        if "classes" in entry:
            return draw_classes(image, entry["classes"], self.palette)
        how = {"with_scores": self.with_scores, "colours": self.colours}
        if is_of_classifier(entry):
            return draw_class(image, entry["predictions"], self.fonts, **how)
        if isinstance(self.least, Mapping):
            return draw_overlay(image, above(entry, self.least)["predictions"], -math.inf, self.fonts, **how)
        return draw_overlay(image, entry["predictions"], self.least, self.fonts, **how)

    def of_truth(self) -> "Drawing":
        """The same for what is true, which has no scores."""
        return replace(self, least=-math.inf, with_scores=False)


class Reached:
    """Counts objects, and those whose scores reach what is drawn. least: as of `Drawing`; key: what it is called."""

    def __init__(self, least: Least, key: str):
        self._least, self._key = least, key
        self._found = self._reaching = 0
        self._best = -math.inf

    def add(self, entry: dict) -> None:
        """One of infer.py's, of whatever network. UserError for a class without a threshold."""
        if "classes" in entry or is_of_classifier(entry):
            return
        scores = [one["score"] for one in entry["predictions"]]
        self._found += len(scores)
        self._best = max([self._best, *scores])
        if isinstance(self._least, Mapping):
            self._reaching += len(above(entry, self._least)["predictions"])
        else:
            self._reaching += sum(score >= self._least for score in scores)

    def tell(self) -> None:
        """Say it where there are objects and none is drawn."""
        if self._found and not self._reaching:
            what = f"no prediction reaches its {self._key}, the highest score is {self._best:.3f}"
            logger.warning("%s: nothing is drawn", what)


def above(entry: dict, thresholds: Mapping[str, float]) -> dict:
    """An image's entry with the detections that reach the threshold of their class. UserError for a class without."""
    if is_of_classifier(entry):
        return entry
    names = {one["class"]["name"] for one in entry["predictions"]}
    if unknown := sorted(names - set(thresholds)):
        raise UserError(f"score_thr has no threshold for {listed(unknown)}")
    kept = [one for one in entry["predictions"] if one["score"] >= thresholds[one["class"]["name"]]]
    return entry | {"predictions": kept}
