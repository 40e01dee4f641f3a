"""RandAugment as timm defines it (timm/data/auto_augment.py, 1.0), which differs from torchvision's in nearly all.

Its operations happen with a probability each, their magnitude may vary, what lies outside of the picture is the mean
colour, and geometry is interpolated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ...config import Config
from ...config.rand_augment import LEVELS, Policy, parse
from ..normalisation import PixelNormalisation
from .transform import Size, Transform

Colour = tuple[int, int, int]
INTERPOLATIONS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
HALF = 128  # of the range of a colour: where SolarizeAdd stops


@dataclass(frozen=True)
class Operation:
    """One operation of an image. value: of whatever its name asks for; resampling: of geometry."""

    name: str
    value: float | None
    resampling: Image.Resampling | None


@dataclass(frozen=True)
class TimmRandAugment(Transform):
    """The operations that `auto_augment` draws, on the image alone. fill: RGB of what an image does not show."""

    operations: tuple[Operation, ...]
    fill: Colour

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "TimmRandAugment | None":
        if not cfg.auto_augment:
            return None
        blue, green, red = PixelNormalisation.from_config(cfg).mean_colour()
        fill = tuple(int(min(max(value, 0), 255)) for value in (red, green, blue))
        return cls(draw_operations(parse(cfg.auto_augment), rng), fill)

    def image(self, image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(image))
        for one in self.operations:
            picture = apply(picture, one, self.fill)
        return np.asarray(picture)


def draw_operations(policy: Policy, rng: np.random.RandomState) -> tuple[Operation, ...]:
    """The operations of one image: all names first, then for each what timm draws, in its order."""
    names = rng.choice(policy.names, policy.count, replace=policy.weights is None, p=policy.weights)
    return tuple(one for name in names.tolist() if (one := _draw(name, policy, rng)) is not None)


def _draw(name: str, policy: Policy, rng: np.random.RandomState) -> Operation | None:
    if policy.share < 1 and rng.rand() > policy.share:
        return None
    magnitude = policy.magnitude
    if policy.std == np.inf:
        magnitude = rng.uniform(0, magnitude)
    elif policy.std > 0:
        magnitude = rng.normal(magnitude, policy.std)
    share = max(0.0, min(magnitude, policy.most)) / LEVELS
    value = VALUES[name](share, lambda number: -number if rng.rand() > 0.5 else number) if name in VALUES else None
    return Operation(name, value, INTERPOLATIONS[rng.randint(2)] if name in GEOMETRY else None)


def apply(picture: Image.Image, one: Operation, fill: Colour) -> Image.Image:
    if one.name in GEOMETRY:
        return GEOMETRY[one.name](picture, one.value, resample=one.resampling, fillcolor=fill)
    return COLOURS[one.name.removesuffix("Increasing")](picture, one.value)


# ----------------------------------------------------------------------------------------------------------- strengths

Sign = Callable[[float], float]  # changes a number's sign, or not


def _either_way(largest: float) -> Callable[[float, Sign], float]:
    return lambda share, sign: sign(share * largest)


def _enhancement(share: float, _: Sign) -> float:
    return share * 1.8 + 0.1


def _enhancement_either_way(share: float, sign: Sign) -> float:
    return max(0.1, 1.0 + sign(share * 0.9))


def _between(low: float, high: float) -> Callable[[float, Sign], float]:
    return lambda share, _: max(low, min(high, low + (high - low) * share))


# By name the value at a share of the magnitude at which it is as strong as meant.
VALUES: dict[str, Callable[[float, Sign], float]] = {
    "Rotate": _either_way(30.0),  # degrees
    "ShearX": _either_way(0.3),
    "ShearY": _either_way(0.3),
    "TranslateXRel": _either_way(0.45),  # of the picture's side
    "TranslateYRel": _either_way(0.45),
    "Posterize": lambda share, _: int(share * 4),  # bits that are left
    "PosterizeIncreasing": lambda share, _: 4 - int(share * 4),
    "Solarize": lambda share, _: min(256, int(share * 256)),  # the value from which on colours are inverted
    "SolarizeIncreasing": lambda share, _: 256 - min(256, int(share * 256)),
    "SolarizeAdd": lambda share, _: min(HALF, int(share * 110)),  # what is added to dark colours
    "Desaturate": _between(0.5, 1.0),
    "GaussianBlur": _between(0.1, 2.0),  # pixels
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), _enhancement),
    **dict.fromkeys(
        ("ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
        _enhancement_either_way,
    ),
}

# ---------------------------------------------------------------------------------------------------------- operations


def _affine(picture: Image.Image, coefficients: tuple[float, ...], **how: Any) -> Image.Image:
    """Output pixel (x, y) shows input pixel (a x + b y + c, d x + e y + f)."""
    return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, **how)


GEOMETRY: dict[str, Callable[..., Image.Image]] = {
    "Rotate": lambda picture, value, **how: picture.rotate(value, **how),
    "ShearX": lambda picture, value, **how: _affine(picture, (1, value, 0, 0, 1, 0), **how),
    "ShearY": lambda picture, value, **how: _affine(picture, (1, 0, 0, value, 1, 0), **how),
    "TranslateXRel": lambda picture, value, **how: _affine(picture, (1, 0, value * picture.width, 0, 1, 0), **how),
    "TranslateYRel": lambda picture, value, **how: _affine(picture, (1, 0, 0, 0, 1, value * picture.height), **how),
}


def _solarize_add(picture: Image.Image, value: float) -> Image.Image:
    table = [min(255, colour + value) if colour < HALF else colour for colour in range(256)]
    return picture.point(table * 3)


def _enhance(kind: type) -> Callable[[Image.Image, float], Image.Image]:
    return lambda picture, value: kind(picture).enhance(value)


COLOURS: dict[str, Callable[[Image.Image, Any], Image.Image]] = {
    "AutoContrast": lambda picture, _: ImageOps.autocontrast(picture),
    "Equalize": lambda picture, _: ImageOps.equalize(picture),
    "Invert": lambda picture, _: ImageOps.invert(picture),
    "Posterize": ImageOps.posterize,
    "Solarize": ImageOps.solarize,
    "SolarizeAdd": _solarize_add,
    "Color": _enhance(ImageEnhance.Color),
    "Contrast": _enhance(ImageEnhance.Contrast),
    "Brightness": _enhance(ImageEnhance.Brightness),
    "Sharpness": _enhance(ImageEnhance.Sharpness),
    "Desaturate": lambda picture, value: ImageEnhance.Color(picture).enhance(min(1.0, max(0.0, 1.0 - value))),
    "GaussianBlur": lambda picture, value: picture.filter(ImageFilter.GaussianBlur(radius=value)),
}
