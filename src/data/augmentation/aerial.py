"""Images without an up: seen from above, through a microscope."""

from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config
from .transform import Size, Transform

TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class VerticalFlip(Transform):
    """Upside down, with probability `vertical_flip_ratio`: a mirror image too."""

    mirrored = True
    any_order = True

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "VerticalFlip | None":
        return cls() if rng.rand() < cfg.vertical_flip_ratio else None

    def image(self, image: np.ndarray) -> np.ndarray:
        return image[::-1]

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        left, top, right, bottom = boxes.T
        return np.stack([left, size[0] - bottom, right, size[0] - top], axis=1)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return mask[::-1]


@dataclass(frozen=True)
class QuarterTurns(Transform):
    """The image as its file has it, turned with probability `rotate90_ratio`: by 90, 180 or 270 degrees, each as often.

    turns: 1, 2 or 3 times 90 degrees against the clock (`numpy.rot90`). By one of them the pixel at column x, row y of
    an image w wide comes to column y, row w - 1 - x, and the box 1 2 5 4 of one 10 wide becomes 2 5 4 9.
    """

    turns: int

    on_original = True
    any_order = True

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "QuarterTurns | None":
        return cls(int(rng.randint(1, 4))) if rng.rand() < cfg.rotate90_ratio else None

    def new_size(self, size: Size) -> Size:
        return size if self.turns == 2 else size[::-1]

    def image(self, image: np.ndarray) -> np.ndarray:
        return cv2.rotate(image, TURNS[self.turns])

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        for _ in range(self.turns):
            left, top, right, bottom = boxes.T
            boxes, size = np.stack([top, size[1] - right, bottom, size[1] - left], axis=1), size[::-1]
        return boxes

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return cv2.rotate(mask, TURNS[self.turns])
