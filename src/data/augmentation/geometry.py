"""Changes of an image's geometry: mirrored, on a larger canvas, resized, cropped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config
from ..image_augment import resize
from ..network_input import ImageSettings, fitted_size, resize_image
from ..normalisation import PixelNormalisation
from .transform import Size, Transform

MAX_EXPANSION = 4.0
CROP_TRIES = 10


class HorizontalFlip(Transform):
    """The mirror image, with probability `flip_ratio`."""

    mirrored = True

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "HorizontalFlip | None":
        return cls() if rng.rand() < cfg.flip_ratio else None

    def image(self, image: np.ndarray) -> np.ndarray:
        return image[:, ::-1]

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        width = size[1]
        return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return mask[:, ::-1]


@dataclass(frozen=True)
class Expand(Transform):
    """An image on a larger canvas, with probability `expand_ratio` (SSD's `Expand`).

    size: (h, w) of the canvas, 1 to `MAX_EXPANSION` times the image's; top, left: the image's place, anywhere on it;
    colour: (3,) of the canvas in the order of the image's channels.
    """

    size: Size
    top: int
    left: int
    colour: Sequence[float]

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "Expand | None":
        if not rng.rand() < cfg.expand_ratio:
            return None
        return cls.anywhere(size, PixelNormalisation.from_config(cfg).mean_colour(), rng)

    @classmethod
    def anywhere(cls, size: Size, colour: Sequence[float], rng: np.random.RandomState) -> "Expand":
        height, width = size
        ratio = rng.uniform(1, MAX_EXPANSION)
        new_height, new_width = int(height * ratio), int(width * ratio)
        top = int(rng.uniform(0, new_height - height + 1))
        left = int(rng.uniform(0, new_width - width + 1))
        return cls((new_height, new_width), top, left, colour)

    def new_size(self, size: Size) -> Size:
        return self.size

    def image(self, image: np.ndarray) -> np.ndarray:
        return self._place(image, blank(self.size, self.colour))

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return boxes + np.float32([self.left, self.top] * 2)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self._place(mask, np.full(self.size, outside, mask.dtype))

    def _place(self, pixels: np.ndarray, canvas: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        canvas[self.top : self.top + height, self.left : self.left + width] = pixels
        return canvas


@dataclass(frozen=True)
class FitInput(Transform):
    """A detector's image at the size that fits the network's input; nothing of it is random."""

    settings: ImageSettings

    def new_size(self, size: Size) -> Size:
        width, height = fitted_size(size[1], size[0], self.settings)
        return height, width

    def image(self, image: np.ndarray) -> np.ndarray:
        return resize_image(image, self.settings)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return resize_boxes(boxes, size, self.new_size(size))

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        """Nearest neighbour (MMDetection `BitmapMasks.rescale`)."""
        return cv2.resize(mask, self.new_size(mask.shape)[::-1], interpolation=cv2.INTER_NEAREST)


@dataclass(frozen=True)
class Resize(Transform):
    """To (h, w) `size`: the image bilinear, masks nearest neighbour."""

    size: Size

    def new_size(self, size: Size) -> Size:
        return self.size

    def image(self, image: np.ndarray) -> np.ndarray:
        return self._resize(image, cv2.INTER_LINEAR)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return resize_boxes(boxes, size, self.size)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self._resize(mask, cv2.INTER_NEAREST)

    def _resize(self, pixels: np.ndarray, interpolation: int) -> np.ndarray:
        if pixels.shape[:2] == self.size:
            return pixels
        return cv2.resize(np.ascontiguousarray(pixels), self.size[::-1], interpolation=interpolation)


class Stretch(Resize):
    """The whole image at the network's size, whatever that does to its shape, unless `keep_ratio`."""

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "Stretch | None":
        return None if cfg.keep_ratio else cls((cfg.img_height, cfg.img_width))


class RandomScale(Resize):
    """The longer side at `base_size` (0: its own length) times one of the scales of `scale_range`."""

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "RandomScale":
        return cls(scaled_size(size, draw_scale(cfg.scale_range, rng), cfg.base_size))


class OwnScale(Resize):
    """`RandomScale` at scale 1."""

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "OwnScale":
        return cls(scaled_size(size, 1.0, cfg.base_size))


@dataclass(frozen=True)
class RandomCrop(Transform):
    """A window of the network's size anywhere in the image, which is padded below and on the right where it is smaller.

    size: (h, w) of the window; top, left: its corner in the padded image.
    """

    size: Size
    top: int
    left: int

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "RandomCrop":
        return cls.anywhere(size, (cfg.img_height, cfg.img_width), rng)

    @classmethod
    def anywhere(cls, size: Size, window: Size, rng: np.random.RandomState) -> "RandomCrop":
        top, left = (rng.randint(max(have, wanted) - wanted + 1) for have, wanted in zip(size, window))
        return cls(window, top, left)

    def new_size(self, size: Size) -> Size:
        return self.size

    def image(self, image: np.ndarray) -> np.ndarray:
        return self._crop(image, 0)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return clip_boxes(boxes - np.float32([self.left, self.top] * 2), self.size)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self._crop(mask, outside)

    def _crop(self, pixels: np.ndarray, outside: int) -> np.ndarray:
        missing = [max(wanted - have, 0) for wanted, have in zip(self.size, pixels.shape)]
        if any(missing):
            border = [(0, missing[0]), (0, missing[1]), (0, 0)][: pixels.ndim]
            pixels = np.pad(pixels, border, constant_values=outside)
        return pixels[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]


class CentralCrop(RandomCrop):
    """`RandomCrop` in the centre of the image, as far as that is larger than the window."""

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "CentralCrop":
        window = cfg.img_height, cfg.img_width
        top, left = (max(have - wanted, 0) // 2 for have, wanted in zip(size, window))
        return cls(window, top, left)


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """A random part of the image at the network's size (torchvision `RandomResizedCrop`).

    Its area is uniform in `crop_scale` of the image's, its width / height log-uniform in `crop_ratio`; after ten misses
    it is the largest central part within the ratio. window: left, top, width, height; size: (h, w) that it gets.
    """

    window: tuple[int, int, int, int]
    size: Size

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "RandomResizedCrop":
        window = crop_window(size, rng, cfg.crop_scale, cfg.crop_ratio)
        return cls(window, (cfg.img_height, cfg.img_width))

    def new_size(self, size: Size) -> Size:
        return self.size

    def image(self, image: np.ndarray) -> np.ndarray:
        return resize(self._cut(image), self.size)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        left, top, width, height = self.window
        inside = clip_boxes(boxes - np.float32([left, top] * 2), (height, width))
        return resize_boxes(inside, (height, width), self.size)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        part = np.ascontiguousarray(self._cut(mask))
        return cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_NEAREST)

    def _cut(self, pixels: np.ndarray) -> np.ndarray:
        left, top, width, height = self.window
        return pixels[top : top + height, left : left + width]


def blank(size: Size, colour: Sequence[float]) -> np.ndarray:
    """(h, w, 3) uint8 of one colour; `np.full` takes a hundred times as long."""
    image = np.empty((*size, 3), np.uint8)
    image[0] = np.asarray(colour).astype(np.uint8)
    image[1:] = image[0]
    return image


def resize_boxes(boxes: np.ndarray, old_size: Size, new_size: Size) -> np.ndarray:
    """(N, 4) xyxy boxes of an image of (h, w) pixels -> of its resized version, clipped to it."""
    sy, sx = new_size[0] / old_size[0], new_size[1] / old_size[1]
    return clip_boxes(boxes * np.float32([sx, sy, sx, sy]), new_size)


def clip_boxes(boxes: np.ndarray, size: Size) -> np.ndarray:
    """(N, 4) xyxy boxes -> their parts inside an image of (h, w) pixels; of a box outside nothing is left."""
    return np.clip(boxes, 0, np.float32([size[1], size[0]] * 2))


def draw_scale(scale_range: Sequence[float], rng: np.random.RandomState) -> float:
    """One of the scales low, low + 0.1, ..., high."""
    low, high = scale_range
    return low + 0.1 * rng.randint(0, int(round((high - low) * 10)) + 1)


def scaled_size(size: Size, scale: float, base_size: int = 0) -> Size:
    """(h, w) at which the longer side of (h, w) `size` is `base_size` x scale; 0 stands for the longer side itself."""
    height, width = size
    longer = int((base_size or max(height, width)) * scale + 0.5)
    if height > width:
        return longer, max(int(width * longer / height + 0.5), 1)
    return max(int(height * longer / width + 0.5), 1), longer


def crop_window(
    size: Size, rng: np.random.RandomState, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """left, top, width, height of a part of an image of (h, w) pixels; see `RandomResizedCrop`."""
    height, width = size
    for _ in range(CROP_TRIES):
        area = width * height * rng.uniform(*scale)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = int(round(math.sqrt(area * shape))), int(round(math.sqrt(area / shape)))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(width - w + 1), rng.randint(height - h + 1), w, h
    w, h = width, height
    if width / height < ratio[0]:
        h = max(int(round(width / ratio[0])), 1)
    elif width / height > ratio[1]:
        w = max(int(round(height * ratio[1])), 1)
    return (width - w) // 2, (height - h) // 2, w, h
