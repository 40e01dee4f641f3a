"""Pure functions on an image with its boxes and masks."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..config import Config
from .normalisation import PixelNormalisation

MAX_EXPANSION = 4.0


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


def resize_boxes(boxes: np.ndarray, old_size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """(N, 4) xyxy boxes of an image of (w, h) pixels -> of its resized version, clipped to it."""
    sx, sy = new_size[0] / old_size[0], new_size[1] / old_size[1]
    boxes = boxes * np.float32([sx, sy, sx, sy])
    limit = np.float32([new_size[0], new_size[1], new_size[0], new_size[1]])
    return np.clip(boxes, 0, limit)


def resize_mask(mask: np.ndarray, new_size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 -> (new h, new w), nearest neighbour (MMDetection `BitmapMasks.rescale`)."""
    return cv2.resize(mask, new_size, interpolation=cv2.INTER_NEAREST)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """(N, 4) xyxy boxes of a horizontally flipped image of this width."""
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


@dataclass(frozen=True)
class Expansion:
    """Place an image of (h, w) on a canvas of (height, width) at (top, left)."""

    height: int
    width: int
    top: int
    left: int


def draw_expansion(height: int, width: int, rng: np.random.RandomState) -> Expansion:
    """A canvas of 1 to `MAX_EXPANSION` times the image, the image anywhere on it (SSD's `Expand`)."""
    ratio = rng.uniform(1, MAX_EXPANSION)
    new_height, new_width = int(height * ratio), int(width * ratio)
    top = int(rng.uniform(0, new_height - height + 1))
    left = int(rng.uniform(0, new_width - width + 1))
    return Expansion(new_height, new_width, top, left)


def expand_image(image: np.ndarray, expansion: Expansion, settings: ImageSettings) -> np.ndarray:
    """(h, w, 3) uint8 BGR on a canvas of the mean colour."""
    canvas = np.full((expansion.height, expansion.width, 3), settings.normalisation.mean_colour(), np.uint8)
    rows = slice(expansion.top, expansion.top + image.shape[0])
    canvas[rows, expansion.left : expansion.left + image.shape[1]] = image
    return canvas


def expand_mask(mask: np.ndarray, expansion: Expansion) -> np.ndarray:
    """(h, w) uint8 on an empty canvas."""
    canvas = np.zeros((expansion.height, expansion.width), np.uint8)
    rows = slice(expansion.top, expansion.top + mask.shape[0])
    canvas[rows, expansion.left : expansion.left + mask.shape[1]] = mask
    return canvas
