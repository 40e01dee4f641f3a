"""A change of a training sample that its image, its boxes and its masks go through alike."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config

Size = tuple[int, int]  # (h, w) pixels


class Transform:
    """One change, its random choices made. A kind of change defines what it does something to; the rest stays as it is.

    mirrored: whether it makes a mirror image, in which parts with a left and a right change their names.
    on_original: see `augmentation.AUGMENTATIONS`.
    any_order: whether the order of an image's channels is all the same to it.
    recomputes_boxes: whether boxes become those of what is left of their objects' masks.
    least_side: pixels that a box must be wide and high at least, of an object that is to be left.
    """

    mirrored: bool = False
    on_original: bool = False
    any_order: bool = False
    recomputes_boxes: bool = False
    least_side: float = 0.0

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "Transform | None":
        """The change of one sample whose image has this size, its choices drawn from `rng`; None for no change."""
        return None

    def new_size(self, size: Size) -> Size:
        """The size of an image of this size afterwards."""
        return size

    def image(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8, RGB unless the order of the channels is all the same to it."""
        return image

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        """(N, 4) float32 xyxy pixels of an image of this size; none may leave the image."""
        return boxes

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        """(h, w) uint8: a map of labels, or the bitmaps of up to eight objects, a bit each.

        outside: the value where the image shows nothing. Pixels are copied and dropped, none is made of two.
        """
        return mask


@dataclass(frozen=True)
class Chain(Transform):
    """Several changes, one after the other."""

    steps: tuple[Transform, ...] = ()

    @classmethod
    def of(cls, steps: Iterable[Transform | None]) -> "Chain":
        """Those of the steps that there are."""
        return cls(tuple(step for step in steps if step is not None))

    @property
    def mirrored(self) -> bool:
        return sum(step.mirrored for step in self.steps) % 2 == 1

    @property
    def recomputes_boxes(self) -> bool:
        return any(step.recomputes_boxes for step in self.steps)

    @property
    def least_side(self) -> float:
        return max((step.least_side for step in self.steps), default=0.0)

    def new_size(self, size: Size) -> Size:
        for step in self.steps:
            size = step.new_size(size)
        return size

    def image(self, image: np.ndarray) -> np.ndarray:
        for step in self.steps:
            image = step.image(image)
        return image

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        for step in self.steps:
            boxes, size = step.boxes(boxes, size), step.new_size(size)
        return boxes

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        for step in self.steps:
            mask = step.masks(mask, outside)
        return mask


@dataclass(frozen=True)
class OnRgb(Transform):
    """A change that wants RGB, for images in BGR order."""

    step: Transform

    @property
    def mirrored(self) -> bool:
        return self.step.mirrored

    def new_size(self, size: Size) -> Size:
        return self.step.new_size(size)

    def image(self, image: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(self.step.image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), cv2.COLOR_RGB2BGR)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return self.step.boxes(boxes, size)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self.step.masks(mask, outside)


def draw_in_turn(kinds: Iterable[type[Transform]], cfg: Config, size: Size, rng: np.random.RandomState) -> Chain:
    """One change of each kind, drawn from one stream in this order, each for the size that the ones before leave."""
    steps: list[Transform] = []
    for kind in kinds:
        step = kind.draw(cfg, size, rng)
        if step is not None:
            steps.append(step)
            size = step.new_size(size)
    return Chain(tuple(steps))
