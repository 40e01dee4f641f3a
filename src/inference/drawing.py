"""How an entry of infer.py, whatever network it is of, is drawn on its image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import UserError, listed
from .fonts import FontBook
from .overlay import draw_class, draw_classes, draw_overlay
from .prediction_entries import is_of_classifier

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


def above(entry: dict, thresholds: Mapping[str, float]) -> dict:
    """An image's entry with the detections that reach the threshold of their class. UserError for a class without."""
    if is_of_classifier(entry):
        return entry
    names = {one["class"]["name"] for one in entry["predictions"]}
    if unknown := sorted(names - set(thresholds)):
        raise UserError(f"score_thr has no threshold for {listed(unknown)}")
    kept = [one for one in entry["predictions"] if one["score"] >= thresholds[one["class"]["name"]]]
    return entry | {"predictions": kept}
