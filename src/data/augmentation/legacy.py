"""Training samples of the MindSpore originals MaskRCNN_resnet50 and pointrend, which grew from MMDetection 1.x.

Boxes are whole pixels, x2 and y2 name the last one; the image stands on its canvas before it is mirrored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..network_input import ImageSettings, nominal_scales
from .geometry import FitInput, HorizontalFlip, blank
from .transform import Size, Transform


class WholeBoxes(Transform):
    """Fractions of boxes are cut off, as where the originals store boxes as whole numbers."""

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return np.trunc(boxes)


class FitInclusive(FitInput):
    """`FitInput` with boxes and masks scaled by the nominal scale, boxes clipped to the image's last pixels."""

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        height, width = self.new_size(size)
        scales = nominal_scales(size[1], size[0], self.settings)
        return np.clip(boxes * np.tile(scales, 2), 0, [width - 1, height - 1] * 2)

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        scales = nominal_scales(mask.shape[1], mask.shape[0], self.settings)
        bounds = self.settings.width, self.settings.height
        sides = zip(mask.shape[::-1], scales, bounds)
        size = [min(max(int(side * scale + 0.5), 1), bound) for side, scale, bound in sides]
        return cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)


@dataclass(frozen=True)
class PadCanvas(Transform):
    """The image in the top left corner of a canvas of (h, w) `size`. colour: (3,) in the order of its channels."""

    size: Size
    colour: Sequence[float] = (0, 0, 0)

    def new_size(self, size: Size) -> Size:
        return self.size

    def image(self, image: np.ndarray) -> np.ndarray:
        return self._place(image, blank(self.size, self.colour))

    def masks(self, mask: np.ndarray, outside: int = 0) -> np.ndarray:
        return self._place(mask, np.full(self.size, outside, mask.dtype))

    def _place(self, pixels: np.ndarray, canvas: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        canvas[:height, :width] = pixels
        return canvas


class InclusiveFlip(HorizontalFlip):
    """`HorizontalFlip` of boxes whose x2 is their last pixel: x1 becomes width - x2 - 1."""

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        last = size[1] - 1
        return np.stack([last - boxes[:, 2], boxes[:, 1], last - boxes[:, 0], boxes[:, 3]], axis=1)


def legacy_steps(expand: Transform | None, settings: ImageSettings, flip: Transform | None) -> list[Transform | None]:
    """What happens to a sample, in order. expand, flip: as they were drawn; only whether `flip` is there counts."""
    canvas = PadCanvas((settings.height, settings.width)) if settings.black else None
    return [WholeBoxes(), expand, FitInclusive(settings), canvas, flip and InclusiveFlip()]
