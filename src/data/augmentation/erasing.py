"""A part of the image is taken away."""

import math
from dataclasses import dataclass

import numpy as np

from ...config import Config
from ..normalisation import PixelNormalisation
from .transform import Size, Transform

AREA = (0.02, 1 / 3)  # of the image's
RATIO = (0.3, 1 / 0.3)  # height / width
TRIES = 10
MOST_ERASED = 0.9  # of an object's box: of a box of which more is gone nothing is asked


@dataclass(frozen=True)
class RandomErasing(Transform):
    """A rectangle of the mean colour, zero after normalising, with probability `random_erasing`.

    Its area, shape and colour are timm's and torchvision's: 0.02 to 1/3 of the image's area, height / width log-uniform
    in 0.3 to 1 / 0.3, the same for all pixels; where ten draws do not lie in the image it stays as it is. What becomes
    of the objects is MMDetection's: boxes stay, pixels of masks inside are gone, and so are objects of whose box 0.9 or
    more is. Erased pixels of a label map show nothing: they do not count.

    window: left, top, width, height; colour: (3,) RGB.
    """

    window: tuple[int, int, int, int]
    colour: tuple[int, int, int]

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "RandomErasing | None":
        if not rng.rand() < cfg.random_erasing:
            return None
        window = erased_window(size, rng)
        blue, green, red = (int(value) for value in np.clip(PixelNormalisation.from_config(cfg).mean_colour(), 0, 255))
        return None if window is None else cls(window, (red, green, blue))

    def image(self, image: np.ndarray) -> np.ndarray:
        return self._filled(image, self.colour)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        left, top, width, height = self.window
        inside = np.clip(boxes, [left, top] * 2, [left + width, top + height] * 2)
        gone = _areas(inside) >= MOST_ERASED * _areas(boxes)
        return np.where(gone[:, None], np.zeros_like(boxes), boxes)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self._filled(mask, outside)

    def _filled(self, pixels: np.ndarray, value: int | tuple[int, int, int]) -> np.ndarray:
        left, top, width, height = self.window
        filled = pixels.copy()
        filled[top : top + height, left : left + width] = value
        return filled


def erased_window(size: Size, rng: np.random.RandomState) -> tuple[int, int, int, int] | None:
    """left, top, width, height of a rectangle in an image of (h, w) pixels; None where none of the draws lies in it."""
    height, width = size
    for _ in range(TRIES):
        area = rng.uniform(*AREA) * height * width
        ratio = math.exp(rng.uniform(*map(math.log, RATIO)))
        h, w = int(round(math.sqrt(area * ratio))), int(round(math.sqrt(area / ratio)))
        if h < height and w < width:
            top, left = rng.randint(height - h + 1), rng.randint(width - w + 1)
            return left, top, w, h
    return None


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy -> (N,) areas."""
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
