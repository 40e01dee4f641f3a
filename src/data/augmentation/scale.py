"""The size at which a detector's training image stands in the network's input: by chance, where a key asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config
from ..network_input import ImageSettings
from ..streams import SampleStreams
from .geometry import FitInput, Resize, clip_boxes, resize_boxes
from .transform import Size, Transform

JITTER_TRIES = 10
LEAST_SIDE = 1.0  # pixels of an object's box


def draw_fit(
    cfg: Config, settings: ImageSettings, size: Size, streams: SampleStreams, attempt: int = 0
) -> Transform:
    """How an image of this size is brought to the network's input: fitted in, but where a key makes it random.

    attempt: of `attempts`, where the one before has left no object in the image. The last shows it whole.
    """
    if cfg.large_scale_jitter and attempt < JITTER_TRIES:
        rng = streams.of(f"large_scale_jitter.{attempt}")
        return LargeScaleJitter.anywhere(size, (settings.height, settings.width), cfg.large_scale_jitter, rng)
    if cfg.train_scales:
        scale = cfg.train_scales[streams.of("train_scales").randint(len(cfg.train_scales))]
        height, width = scaled_within(size, scale)
        if height <= settings.height and width <= settings.width:  # else a portrait in a landscape's input
            return Resize((height, width))
    return FitInput(settings)


def attempts(cfg: Config) -> int:
    """How often `draw_fit` is asked at most."""
    return JITTER_TRIES + 1 if cfg.large_scale_jitter else 1


@dataclass(frozen=True)
class LargeScaleJitter(Transform):
    """The image resized and a window of it, where it is larger than the network's input (MMDetection's `RandomResize`,
    `RandomCrop` with `recompute_bbox`, `FilterAnnotations`).

    resized: (h, w); window: left, top, width, height, the whole image where that is not larger.
    """

    resized: Size
    window: tuple[int, int, int, int]

    recomputes_boxes = True
    least_side = LEAST_SIDE

    @classmethod
    def anywhere(
        cls, size: Size, bounds: Size, ratios: Sequence[float], rng: np.random.RandomState
    ) -> "LargeScaleJitter":
        """bounds: (h, w) of the network's input, which a ratio between the two `ratios` is multiplied by."""
        ratio = rng.uniform(*ratios)
        resized = scaled_within(size, (int(bounds[1] * ratio), int(bounds[0] * ratio)))
        height, width = (min(sides) for sides in zip(resized, bounds))
        top, left = rng.randint(resized[0] - height + 1), rng.randint(resized[1] - width + 1)
        return cls(resized, (left, top, width, height))

    def new_size(self, size: Size) -> Size:
        return self.window[3], self.window[2]

    def image(self, image: np.ndarray) -> np.ndarray:
        left, top, width, height = self.window
        resized = Resize(self.resized).image(image)
        return resized[top : top + height, left : left + width]

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        left, top = self.window[:2]
        moved = resize_boxes(boxes, size, self.resized) - np.float32([left, top] * 2)
        return clip_boxes(moved, self.new_size(size))

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        """The window of `cv2.resize` to the nearest pixel; where the mask is zero nothing is done."""
        mask, shown = np.ascontiguousarray(mask), np.zeros(self.new_size(mask.shape), mask.dtype)
        left, top, width, height = self.window
        x, y, wide, high = cv2.boundingRect(mask)
        rows = nearest(mask.shape[0], self.resized[0])[top : top + height]
        columns = nearest(mask.shape[1], self.resized[1])[left : left + width]
        down, across = slice(*np.searchsorted(rows, (y, y + high))), slice(*np.searchsorted(columns, (x, x + wide)))
        shown[down, across] = mask[rows[down]].take(columns[across], axis=1)
        return shown


def nearest(old: int, new: int) -> np.ndarray:
    """(new,) where each pixel of a line of `old` pixels resized to `new` comes from, by OpenCV's nearest neighbour."""
    line = np.arange(old, dtype=np.float32)[None]
    return cv2.resize(line, (new, 1), interpolation=cv2.INTER_NEAREST)[0].astype(np.int64)


def scaled_within(size: Size, limits: Sequence[int]) -> Size:
    """(h, w) of an image resized so that neither its longer side exceeds the larger of two limits nor its shorter side
    the smaller (MMDetection's `Resize` with `keep_ratio`); sides are rounded half up.

    1024 x 2048 under 1333 x 800 becomes 667 x 1333, whichever limit comes first.
    """
    factor = min(max(limits) / max(size), min(limits) / min(size))
    height, width = (max(int(side * factor + 0.5), 1) for side in size)
    return height, width
