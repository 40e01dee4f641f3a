"""Changes of an image's colours."""

from dataclasses import dataclass

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
        picture = Image.fromarray(np.ascontiguousarray(image))
        for kind, factor in self.changes:
            picture = KINDS[kind](picture).enhance(factor)
        return np.asarray(picture)
