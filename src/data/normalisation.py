"""Pixels to the numbers that a network takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..config import Config
from .contiguous import contiguous


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
        out = np.empty((3, *rgb.shape[:2]), np.float32)
        for plane, values, mean, std in self._planes(rgb if self.to_rgb else rgb[..., ::-1], out):
            np.subtract(values, mean, out=plane)
            plane /= std
        return out

    def multiplied(self, bgr: np.ndarray, out: np.ndarray) -> None:
        """(h, w, 3) uint8 BGR -> the top left of `out`, (3, H, W) float32."""
        for plane, values, mean, std in self._planes(bgr[..., ::-1] if self.to_rgb else bgr, out):
            np.subtract(values, mean, out=plane)
            plane *= np.float32(1.0) / std

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

    def _planes(self, pixels: np.ndarray, out: np.ndarray) -> Iterator[tuple]:
        """Of each channel, in the network's order: its place in `out`, its numbers, its mean and deviation.

        Plane by plane, in place: five times as fast as on the interleaved float image.
        """
        height, width = pixels.shape[:2]
        order = (0, 1, 2)
        if pixels.strides[2] < 0:  # a view with its channels turned
            pixels, order = pixels[..., ::-1], (2, 1, 0)
        pixels = contiguous(pixels)
        for plane, channel, mean, std in zip(out, order, np.float32(self.mean), np.float32(self.std)):
            yield plane[:height, :width], cv2.extractChannel(pixels, channel), mean, std
