"""From an image to a detector's input: fitted to its size, normalised, padded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..config import Config, evaluated_input, has_orientations, holding, least_side, scaled_sides, trains_by_orientation
from . import batch_memory
from .decoding import USUAL_RULES, ImageRules
from .normalisation import PixelNormalisation


@dataclass(frozen=True)
class ImageSettings:
    """How images become network input: fixed size in pixels, normalisation, distortion.

    twice, black: see the keys `resize` and `pad_colour`. reading: how their files are read. bounds: (width, height)
    that an image is fitted into, not larger than the input; None: the input. turns: input and bounds are those of
    landscape images (or of portrait ones), the others get both turned. own: a number of which the sides of the input
    are multiples, as few as an image needs; 0: the input has its size whatever the image. least: pixels of a side of
    such an input, and of one at another scale. mirrored: left and right change places after the resizing.
    """

    width: int
    height: int
    normalisation: PixelNormalisation
    keep_ratio: bool = True
    twice: bool = False
    black: bool = False
    reading: ImageRules = USUAL_RULES
    bounds: tuple[int, int] | None = None
    turns: bool = False
    own: int = 0
    least: int = 0
    mirrored: bool = False

    @classmethod
    def from_config(cls, cfg: Config) -> "ImageSettings":
        """Of images that are evaluated. An exported file has one orientation."""
        if not has_orientations(cfg):
            return cls._fitting(cfg)
        height, width = evaluated_size(cfg)
        is_network = cfg.backend == "mindspore"
        settings = cls._fitting(cfg)._within(width, height, cfg.resize_limits, turns=is_network)
        return replace(settings, own=cfg.divider) if cfg.eval_padding == "own" and is_network else settings

    @classmethod
    def for_training(cls, cfg: Config) -> "ImageSettings":
        """Of images that are trained on."""
        fitting = cls._fitting(cfg)
        if not trains_by_orientation(cfg):
            return fitting
        return fitting._within(cfg.img_width, cfg.img_height, cfg.resize_limits, turns=True)

    @classmethod
    def _fitting(cls, cfg: Config) -> "ImageSettings":
        return cls(
            cfg.img_width,
            cfg.img_height,
            PixelNormalisation.from_config(cfg),
            cfg.keep_ratio,
            twice=cfg.resize == "fit_twice",
            black=cfg.pad_colour == "black",
            reading=ImageRules.from_config(cfg),
            least=least_side(cfg),
        )

    @classmethod
    def of_scales(cls, cfg: Config) -> "list[ImageSettings]":
        """Of images that are evaluated at each of `eval_scales`."""
        settings = cls.from_config(cfg)
        return [settings.scaled(scale, cfg.divider) for scale in cfg.eval_scales]

    def scaled(self, scale: float, divider: int) -> "ImageSettings":
        """With images so many times as large, and an input that holds them in multiples of `divider`."""
        if scale == 1:
            return self
        bounds = scaled_sides(self.bounds or (self.width, self.height), scale)
        width, height = holding(bounds, divider, self.least)
        return replace(self, width=width, height=height, bounds=bounds)

    @property
    def padding_colour(self) -> Sequence[float]:
        """(3,) BGR of pixels that no image covers, as far as whole numbers have it."""
        return (0, 0, 0) if self.black else self.normalisation.mean_colour()

    def _within(self, width: int, height: int, limits: Sequence[int], turns: bool) -> "ImageSettings":
        """With an input of this size, images inside it and with sides of at most the two limits, in any order."""
        short, long = sorted(limits or (width, height))
        bounds = (short, long) if height > width else (long, short)
        bounds = min(bounds[0], width), min(bounds[1], height)
        return replace(self, width=width, height=height, bounds=bounds, turns=turns)

    @property
    def is_portrait(self) -> bool:
        """Whether this is for images that are higher than wide, where the two differ."""
        bounds = self.bounds or (self.width, self.height)
        return (self.height, bounds[1]) > (self.width, bounds[0])

    def for_image(self, width: int, height: int) -> "ImageSettings":
        """Those of an image of this size; a square one is a landscape."""
        settings = self
        if self.turns and (height > width) != self.is_portrait:
            settings = replace(self, width=self.height, height=self.width, bounds=self.bounds and self.bounds[::-1])
        if not self.own:
            return settings
        sides = fitted_size(width, height, replace(settings, turns=False, own=0))
        new_width, new_height = holding(sides, self.own, self.least)
        return replace(settings, width=new_width, height=new_height, turns=False, own=0)


def evaluated_size(cfg: Config) -> tuple[int, int]:
    """(height, width) of a detector's input in evaluation, for images of one orientation."""
    width, height = evaluated_input(cfg)
    return height, width


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
    settings = settings.for_image(width, height)
    bounds = settings.bounds or (settings.width, settings.height)
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
    H and W are those of the image's orientation.
    """
    settings = settings.for_image(image.shape[1], image.shape[0])
    return prepare_resized(resize_image(image, settings), image.shape[:2], settings)


def prepare_resized(
    resized: np.ndarray, orig_shape: tuple[int, int], settings: ImageSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`prepare_image` of an image that `resize_image` has resized; orig_shape (h, w): its own size."""
    settings = settings.for_image(orig_shape[1], orig_shape[0])
    height, width = resized.shape[:2]
    scale = scale_factors(orig_shape[1], orig_shape[0], settings)
    pixels = cv2.flip(resized, 1) if settings.mirrored else resized
    return normalise_and_pad(pixels, settings), np.int32([height, width]), scale


def resize_rule(size: str, keep_ratio: bool, resize: str = "fit") -> str:
    """How images get the network's size, as the protocol names it.

    MMDetection and Detectron2 turn the size with the image: 480x640 becomes 800x1067 of 1333x800 there and with
    `short_long_rule`, 600x800 here.
    """
    if not keep_ratio:
        return f"stretched to {size}"
    twice = ", in two steps" if resize == "fit_twice" else ""
    return f"inside {size}, portrait images too{twice}"


def short_long_rule(settings: ImageSettings) -> str:
    """The same for images that are fitted in their own orientation."""
    long, short = sorted(settings.bounds, reverse=True)
    rule = f"short side at most {short} and long side {long}"
    if settings.turns:
        padding = f", padded to multiples of {settings.own}" if settings.own else ""
        return f"{rule}, portrait images turned{padding}"
    kind, size = "landscape" if settings.is_portrait else "portrait", "{}x{}".format(*settings.bounds)
    return f"{rule}, {kind} images fitted into {size}: the exported file has one orientation"
