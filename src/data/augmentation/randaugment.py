"""RandAugment (Cubuk et al., arXiv:1909.13719) with torchvision's operations and magnitudes."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

BINS = 31

Operation = Callable[[Image.Image, float], Image.Image]


def rand_augment(image: np.ndarray, rng: np.random.RandomState, num_ops: int = 2, magnitude: int = 9) -> np.ndarray:
    """(h, w, 3) uint8 RGB through `num_ops` random operations of strength `magnitude` of 30."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    names = list(OPERATIONS)
    for _ in range(num_ops):
        operation, strength, signed = OPERATIONS[names[rng.randint(len(names))]]
        value = strength(magnitude / (BINS - 1), picture.size)
        if signed and rng.rand() < 0.5:
            value = -value
        picture = operation(picture, value)
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
