"""Changes of an image's colours."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from ...config import Config
from .transform import Size, Transform

KINDS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class ColourJitter(Transform):
    """Brightness, contrast and saturation, by `color_jitter` at most (torchvision `ColorJitter`).

    changes: (number of the kind in `KINDS`, factor) in the order in which they are made.
    """

    changes: tuple[tuple[int, float], ...]

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "ColourJitter | None":
        return cls.of_strengths((cfg.color_jitter,) * len(KINDS), rng) if cfg.color_jitter else None

    @classmethod
    def of_strengths(cls, strengths: tuple[float, float, float], rng: np.random.RandomState) -> "ColourJitter":
        """Each kind by a factor uniform in [max(0, 1 - strength), 1 + strength], in random order."""
        order = [int(kind) for kind in rng.permutation(len(KINDS)) if strengths[kind] > 0]
        return cls(tuple((k, rng.uniform(max(0.0, 1 - strengths[k]), 1 + strengths[k])) for k in order))

    def image(self, image: np.ndarray) -> np.ndarray:
        for kind, factor in self.changes:
            image = CHANGES[KINDS[kind]](np.ascontiguousarray(image), factor)
        return image


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.LUT(image, _table(0, factor))


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    grey = np.asarray(Image.fromarray(image).convert("L"))
    return cv2.LUT(image, _table(int(cv2.sumElems(grey)[0] / grey.size + 0.5), factor))


def _saturation(image: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor))


def _table(constant: int, factor: float) -> np.ndarray:
    """(256,) uint8: what `Image.blend` of a picture of one grey level with another one makes of each of its values."""
    return np.asarray(Image.blend(Image.new("L", LEVELS.size, constant), LEVELS, factor))[0]


# Brightness and contrast are PIL's of all 256 values, looked up: the same bits in a fraction of the time.
LEVELS = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
CHANGES = {
    ImageEnhance.Brightness: _brightness, ImageEnhance.Contrast: _contrast, ImageEnhance.Color: _saturation,
}  # fmt: skip
