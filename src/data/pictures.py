"""Images in memory where otherwise the path of a file stands: frames of a video, arrays, uploads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .decoding import USUAL_RULES, ImageRules
from .images import MAX_PIXELS, read_bgr


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that has been read. name: what stands for its path; bgr: (h, w, 3) uint8."""

    name: str
    bgr: np.ndarray

    def __str__(self) -> str:
        return self.name


ImageSource = str | Path | Picture


def read_any(source: ImageSource, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR of a picture, or of a file as `read_bgr` gives it: upright as the rules say, or None."""
    return source.bgr if isinstance(source, Picture) else read_bgr(source, rules.upright, max_pixels, rules)
