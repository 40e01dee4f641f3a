"""Photometric distortion (SSD, Liu et al., arXiv:1512.02325) as MMDetection's `PhotoMetricDistortion`."""

from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config
from .transform import Size, Transform

BRIGHTNESS, HUE = 32, 18  # at most, either way: of 255, of 360 degrees
CONTRAST = SATURATION = (0.5, 1.5)
ROWS = 64  # at a time, so that their numbers stay in the cache: a quarter of the time


@dataclass(frozen=True)
class PhotometricDistortion(Transform):
    """Brightness, contrast, saturation, hue and the order of the channels, each with probability 1/2.

    The arithmetic is MMDetection's, float32 and OpenCV's HSV, without limits in between; where MMDetection goes on with
    those numbers, here they are rounded (half to even) and limited to 0..255, since all that follows takes pixels.

    brightness: what is added to each channel; contrast: what all are multiplied by, before the others where
    `contrast_first`, else after them; saturation: factor; hue: degrees; channels: of the image in RGB order, where each
    channel of the result comes from.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    contrast_first: bool = False
    saturation: float = 1.0
    hue: float = 0.0
    channels: tuple[int, int, int] = (0, 1, 2)

    on_original = True

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "PhotometricDistortion | None":
        return cls.anyhow(rng) if cfg.photometric_distortion else None

    @classmethod
    def anyhow(cls, rng: np.random.RandomState) -> "PhotometricDistortion":
        first, *does = (bool(one) for one in rng.randint(2, size=6))
        values = rng.uniform(-BRIGHTNESS, BRIGHTNESS), rng.uniform(*CONTRAST), rng.uniform(*SATURATION)
        drawn = (*values, rng.uniform(-HUE, HUE), tuple(int(one) for one in rng.permutation(3)))
        plain = (0.0, 1.0, 1.0, 0.0, (0, 1, 2))
        brightness, contrast, saturation, hue, channels = (
            value if acts else usual for acts, value, usual in zip(does, drawn, plain)
        )
        return cls(brightness, contrast, first, saturation, hue, channels)

    def image(self, image: np.ndarray) -> np.ndarray:
        changed = np.empty(image.shape, np.uint8)
        for top in range(0, len(image), ROWS):
            rows = slice(top, top + ROWS)
            cv2.add(self._change(image[rows].astype(np.float32)), 0.0, dst=changed[rows], dtype=cv2.CV_8U)
        if self.channels == (0, 1, 2):
            return changed
        planes = cv2.split(changed)
        return cv2.merge([planes[source] for source in self.channels])

    def _change(self, pixels: np.ndarray) -> np.ndarray:
        """(h, w, 3) float32 RGB, in place; all but the order of the channels."""
        pixels += np.float32(self.brightness)
        if self.contrast_first:
            pixels *= np.float32(self.contrast)
        cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV, dst=pixels)
        hue, saturation = pixels[..., 0], pixels[..., 1]
        saturation *= np.float32(self.saturation)
        hue += np.float32(self.hue)
        np.subtract(hue, 360, out=hue, where=hue > 360)
        np.add(hue, 360, out=hue, where=hue < 0)
        cv2.cvtColor(pixels, cv2.COLOR_HSV2RGB, dst=pixels)
        if not self.contrast_first:
            pixels *= np.float32(self.contrast)
        return pixels

