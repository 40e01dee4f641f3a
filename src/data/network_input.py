"""From an image to a detector's input: fitted to its size, normalised, padded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..config import Config
from . import batch_memory
from .decoding import USUAL_RULES, ImageRules
from .normalisation import PixelNormalisation


@dataclass(frozen=True)
class ImageSettings:
    """How images become network input: fixed size in pixels, normalisation, distortion.

    twice, black: see the keys `resize` and `pad_colour`. reading: how their files are read.
    """

    width: int
    height: int
    normalisation: PixelNormalisation
    keep_ratio: bool = True
    twice: bool = False
    black: bool = False
    reading: ImageRules = USUAL_RULES

    @classmethod
    def from_config(cls, cfg: Config) -> "ImageSettings":
        return cls(
            cfg.img_width,
            cfg.img_height,
            PixelNormalisation.from_config(cfg),
            cfg.keep_ratio,
            twice=cfg.resize == "fit_twice",
            black=cfg.pad_colour == "black",
            reading=ImageRules.from_config(cfg),
        )

    @property
    def padding_colour(self) -> Sequence[float]:
        """(3,) BGR of pixels that no image covers, as far as whole numbers have it."""
        return (0, 0, 0) if self.black else self.normalisation.mean_colour()


def fitted_size(width: int, height: int, settings: ImageSettings) -> tuple[int, int]:
    """(new width, new height) that fits the network's input; sides are rounded to the nearest pixel."""
    return _steps(width, height, settings)[-1][0]


def resize_image(image: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 -> the fitted size, bilinear."""
    for size, _ in _steps(image.shape[1], image.shape[0], settings):
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image


def scale_factors(width: int, height: int, settings: ImageSettings) -> np.ndarray:
    """(2,) float32 (w, h): network input / image; of `twice` the nominal scale, which knows no rounding to pixels."""
    if settings.keep_ratio and settings.twice:
        return np.float32([math.prod(scale for _, scale in _steps(width, height, settings))] * 2)
    new_width, new_height = fitted_size(width, height, settings)
    return np.float32([new_width / width, new_height / height])


def nominal_scales(width: int, height: int, settings: ImageSettings) -> np.ndarray:
    """(2,) float64 (w, h): the scale that was meant, before sides were rounded to pixels."""
    if settings.keep_ratio:
        return np.float64([math.prod(scale for _, scale in _steps(width, height, settings))] * 2)
    return np.float64([settings.width / width, settings.height / height])


def _steps(width: int, height: int, settings: ImageSettings) -> list[tuple[tuple[int, int], float]]:
    """The sizes (w, h) that an image goes through, each with its scale."""
    bounds = settings.width, settings.height
    if not settings.keep_ratio:
        return [(bounds, 1.0)]
    if not settings.twice:
        scale = min(bounds[0] / width, bounds[1] / height)
        return [(_scaled(width, height, scale, bounds), scale)]
    long, short = max(bounds), min(bounds)
    scale = min(long / max(width, height), short / min(width, height))
    steps = [(_scaled(width, height, scale, (long, long)), scale)]
    for side, bound in zip((1, 0), (settings.height, settings.width)):
        size = steps[-1][0]
        if size[side] > bound:
            scale = bound / max(size)
            steps.append((_scaled(*size, scale, bounds), scale))
    return steps


def _scaled(width: int, height: int, scale: float, bounds: tuple[int, int]) -> tuple[int, int]:
    return tuple(min(max(int(side * scale + 0.5), 1), bound) for side, bound in zip((width, height), bounds))


def normalise_and_pad(image: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 BGR, not larger than the input -> (3, H, W) float32; right of and below the image is the mean
    colour, zero, or black.
    """
    height, width = image.shape[:2]
    out, beside = batch_memory.empty((3, settings.height, settings.width)), np.zeros((3, 1, 1), np.float32)
    if settings.black:
        settings.normalisation.multiplied(np.zeros((1, 1, 3), np.uint8), beside)
    out[:, height:], out[:, :height, width:] = beside, beside
    settings.normalisation.multiplied(image, out)
    return out


def prepare_image(image: np.ndarray, settings: ImageSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluation and inference: (h, w, 3) uint8 BGR -> network input.

    Returns (3, H, W) float32, its size before padding (2,) int32 (h, w), and the scale factors (2,) float32 (w, h).
    """
    resized = resize_image(image, settings)
    height, width = resized.shape[:2]
    scale = scale_factors(image.shape[1], image.shape[0], settings)
    return normalise_and_pad(resized, settings), np.int32([height, width]), scale
