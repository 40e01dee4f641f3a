"""RandAugment (Cubuk et al., arXiv:1909.13719) with torchvision's operations and magnitudes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ...config import Config
from .transform import Size, Transform

BINS = 31

Operation = Callable[[Image.Image, float], Image.Image]


@dataclass(frozen=True)
class RandAugment(Transform):
    """`rand_augment` random operations of strength `rand_augment_magnitude` of 30, on the image alone.

    operations: (name, value) of each in turn.
    """

    operations: tuple[tuple[str, float], ...]

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "RandAugment | None":
        return cls.of(cfg.rand_augment, cfg.rand_augment_magnitude, size, rng) if cfg.rand_augment else None

    @classmethod
    def of(cls, count: int, magnitude: int, size: Size, rng: np.random.RandomState) -> "RandAugment":
        """`count` operations for an image of (h, w) pixels."""
        names, chosen = list(OPERATIONS), []
        for _ in range(count):
            name = names[rng.randint(len(names))]
            _, strength, signed = OPERATIONS[name]
            value = strength(magnitude / (BINS - 1), size[::-1])
            chosen.append((name, -value if signed and rng.rand() < 0.5 else value))
        return cls(tuple(chosen))

    def image(self, image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(image))
        for name, value in self.operations:
            picture = OPERATIONS[name][0](picture, value)
        return np.asarray(picture)


def _affine(picture: Image.Image, coefficients: tuple[float, ...]) -> Image.Image:
    """Output pixel (x, y) shows input pixel (a x + b y + c, d x + e y + f); black outside."""
    return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.NEAREST)


def _enhance(kind: type) -> Operation:
    def run(picture: Image.Image, value: float) -> Image.Image:
        return kind(picture).enhance(1.0 + value)

    return run


def _keep(picture: Image.Image, _: float) -> Image.Image:
    return picture


def _shear_x(picture: Image.Image, value: float) -> Image.Image:
    return _affine(picture, (1, -value, 0, 0, 1, 0))


def _shear_y(picture: Image.Image, value: float) -> Image.Image:
    return _affine(picture, (1, 0, 0, -value, 1, 0))


def _translate_x(picture: Image.Image, value: float) -> Image.Image:
    return _affine(picture, (1, 0, -int(value), 0, 1, 0))


def _translate_y(picture: Image.Image, value: float) -> Image.Image:
    return _affine(picture, (1, 0, 0, 0, 1, -int(value)))


def _rotate(picture: Image.Image, value: float) -> Image.Image:
    return picture.rotate(value, Image.Resampling.NEAREST)


def _posterize(picture: Image.Image, value: float) -> Image.Image:
    return ImageOps.posterize(picture, int(value))


def _solarize(picture: Image.Image, value: float) -> Image.Image:
    return ImageOps.solarize(picture, int(np.ceil(value)))


def _auto_contrast(picture: Image.Image, _: float) -> Image.Image:
    return ImageOps.autocontrast(picture)


def _equalize(picture: Image.Image, _: float) -> Image.Image:
    return ImageOps.equalize(picture)


def _linear(largest: float) -> Callable[[float, tuple[int, int]], float]:
    def strength(share: float, _: tuple[int, int]) -> float:
        return largest * share

    return strength


# name: operation, strength by share of the largest magnitude and the picture's (width, height), random sign
OPERATIONS: dict[str, tuple[Operation, Callable[[float, tuple[int, int]], float], bool]] = {
    "Identity": (_keep, _linear(0), False),
    "ShearX": (_shear_x, _linear(0.3), True),
    "ShearY": (_shear_y, _linear(0.3), True),
    "TranslateX": (_translate_x, lambda share, size: 150.0 / 331.0 * size[0] * share, True),
    "TranslateY": (_translate_y, lambda share, size: 150.0 / 331.0 * size[1] * share, True),
    "Rotate": (_rotate, _linear(30.0), True),
    "Brightness": (_enhance(ImageEnhance.Brightness), _linear(0.9), True),
    "Color": (_enhance(ImageEnhance.Color), _linear(0.9), True),
    "Contrast": (_enhance(ImageEnhance.Contrast), _linear(0.9), True),
    "Sharpness": (_enhance(ImageEnhance.Sharpness), _linear(0.9), True),
    "Posterize": (_posterize, lambda share, _: 8 - round(4 * share), False),
    "Solarize": (_solarize, lambda share, _: 255.0 * (1 - share), False),
    "AutoContrast": (_auto_contrast, _linear(0), False),
    "Equalize": (_equalize, _linear(0), False),
}
