"""The parts of bitmaps that have something in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..masks import extents, widened
from .object_masks import ObjectMasks, groups
from .scene import Scene, have_area
from .transform import Size, Transform


@dataclass(frozen=True)
class Patch:
    """The smallest rectangle with all set pixels of a bitmap: its corner, and its (h, w) bool bits, 0 x 0 of none.

    What objects hide from one another is worked out on these: a bitmap at a network's size is a hundred times as large.
    """

    top: int
    left: int
    bits: np.ndarray

    @classmethod
    def of(cls, bitmap: np.ndarray, top: int = 0, left: int = 0) -> "Patch":
        """bitmap: (h, w) bool whose first pixel is at (top, left)."""
        x, y, width, height = cv2.boundingRect(bitmap.view(np.uint8)) if bitmap.size else (0, 0, 0, 0)
        return cls(top + y, left + x, bitmap[y : y + height, x : x + width])

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        height, width = self.bits.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def box(self) -> np.ndarray:
        """(4,) float32 xyxy edges of the set pixels; of none zeros (MMDetection `BitmapMasks.get_bboxes`)."""
        rows, columns = self.window
        return np.float32([columns.start, rows.start, columns.stop, rows.stop] if self.bits.size else [0] * 4)

    def without(self, covered: np.ndarray) -> "Patch":
        """What is left where `covered`, (H, W) bool of the whole image, hides the rest."""
        return Patch.of(self.bits & ~covered[self.window], self.top, self.left)


NOTHING = Patch(0, 0, np.zeros((0, 0), bool))


def patches_of(masks: ObjectMasks, numbers: Sequence[int]) -> Iterator[Patch]:
    """Of each of these objects, which have masks."""
    for group in groups(numbers):
        layers = masks.layers(group)
        layers = widened(layers, -(-layers.shape[1] // 8) * 8)
        for bit, window in enumerate(extents(layers, len(group))):
            if window is None:
                yield NOTHING
            else:
                yield Patch.of(layers[window] & (1 << bit) != 0, window[0].start, window[1].start)


@dataclass(frozen=True)
class PatchMasks:
    """`ObjectMasks` of an image of (h, w) pixels whose objects have these patches, or None for no mask."""

    patches: Sequence[Patch | None]
    size: Size

    @property
    def drawn(self) -> list[bool]:
        return [patch is not None for patch in self.patches]

    def layers(self, numbers: Sequence[int]) -> np.ndarray:
        layers = np.zeros(self.size, np.uint8)
        for bit, number in enumerate(numbers):
            patch = self.patches[number]
            layers[patch.window] |= patch.bits.view(np.uint8) << np.uint8(bit)
        return layers


def seen_after(change: Transform, scene: Scene, has_masks: bool) -> Scene:
    """A changed scene as its change wants it: boxes of what is left of the masks, where there are any; no specks."""
    if change.recomputes_boxes and has_masks:
        numbers = np.flatnonzero(have_area(scene.boxes) & np.array(scene.masks.drawn, bool))
        patches: list[Patch | None] = [NOTHING if drawn else None for drawn in scene.masks.drawn]
        boxes = scene.boxes.copy()
        for number, patch in zip(numbers, patches_of(scene.masks, numbers)):
            patches[number], boxes[number] = patch, patch.box
        scene = replace(scene, boxes=boxes, masks=PatchMasks(patches, scene.size))
    if not change.least_side:
        return scene
    large = (scene.boxes[:, 2:] - scene.boxes[:, :2] >= change.least_side).all(axis=1)
    return scene.part(np.flatnonzero(large))
