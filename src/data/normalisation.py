"""Pixels to the numbers that a network takes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config


@dataclass(frozen=True)
class PixelNormalisation:
    """image = (pixel - mean) / std, pixels in 0..255, channels in RGB order where `to_rgb`, else BGR.

    mean, std: of the channels in the network's order. Detection multiplies by 1 / std, the others divide: the results
    differ in their last bit, and each task keeps its own, so that a run gives what it gave before.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool = True

    @classmethod
    def from_config(cls, cfg: Config) -> "PixelNormalisation":
        return cls(tuple(cfg.img_mean), tuple(cfg.img_std), bool(cfg.to_rgb))

    def divided(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 RGB -> (3, h, w) float32."""
        pixels = rgb if self.to_rgb else rgb[..., ::-1]
        scaled = (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    def multiplied(self, bgr: np.ndarray, out: np.ndarray) -> None:
        """(h, w, 3) uint8 BGR -> the top left of `out`, (3, H, W) float32."""
        height, width = bgr.shape[:2]
        for channel in range(3):  # plane by plane, in place: five times as fast as on the interleaved float image
            plane = out[channel, :height, :width]
            np.subtract(bgr[..., 2 - channel if self.to_rgb else channel], np.float32(self.mean[channel]), out=plane)
            plane *= np.float32(1.0) / np.float32(self.std[channel])

    def restored(self, image: np.ndarray) -> np.ndarray:
        """(3, h, w) float32 as the network takes it -> (h, w, 3) uint8 BGR pixels, to the nearest."""
        pixels = image.transpose(1, 2, 0) * np.float32(self.std) + np.float32(self.mean)
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels[..., ::-1] if self.to_rgb else pixels)

    def mean_colour(self) -> np.ndarray:
        """(3,) BGR pixel that becomes zero, but for rounding."""
        return np.round(self.mean[::-1] if self.to_rgb else self.mean)

    def to_dict(self) -> dict[str, Any]:
        """What a file that says how to make an image says of it."""
        return {"mean": list(self.mean), "std": list(self.std), "to_rgb": self.to_rgb}
