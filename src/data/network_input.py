"""From an image to a detector's input: fitted to its size, normalised, padded."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..config import Config
from .normalisation import PixelNormalisation


@dataclass(frozen=True)
class ImageSettings:
    """How images become network input: fixed size in pixels, normalisation, distortion."""

    width: int
    height: int
    normalisation: PixelNormalisation
    keep_ratio: bool = True

    @classmethod
    def from_config(cls, cfg: Config) -> "ImageSettings":
        return cls(cfg.img_width, cfg.img_height, PixelNormalisation.from_config(cfg), cfg.keep_ratio)


def fitted_size(width: int, height: int, settings: ImageSettings) -> tuple[int, int]:
    """(new width, new height) that fits the network's input; sides are rounded to the nearest pixel."""
    if not settings.keep_ratio:
        return settings.width, settings.height
    scale = min(settings.width / width, settings.height / height)
    new_width = min(max(int(width * scale + 0.5), 1), settings.width)
    new_height = min(max(int(height * scale + 0.5), 1), settings.height)
    return new_width, new_height


def resize_image(image: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 -> the fitted size, bilinear."""
    size = fitted_size(image.shape[1], image.shape[0], settings)
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def normalise_and_pad(image: np.ndarray, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 BGR, not larger than the input -> (3, H, W) float32, zeros right of and below the image."""
    out = np.zeros((3, settings.height, settings.width), np.float32)
    settings.normalisation.multiplied(image, out)
    return out


def prepare_image(image: np.ndarray, settings: ImageSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluation and inference: (h, w, 3) uint8 BGR -> network input.

    Returns (3, H, W) float32, its size before padding (2,) int32 (h, w), and the scale factors (2,) float32 (w, h).
    """
    resized = resize_image(image, settings)
    height, width = resized.shape[:2]
    scale = np.float32([width / image.shape[1], height / image.shape[0]])
    return normalise_and_pad(resized, settings), np.int32([height, width]), scale
