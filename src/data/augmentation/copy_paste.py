"""Objects of one image on another one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...config import Config
from ...errors import UserError
from ..contiguous import contiguous
from ..formats.index import DetectionIndex
from ..network_input import ImageSettings
from .combination import Combination
from .geometry import blank
from .patch import Patch, PatchMasks, patches_of
from .scene import CROWD_LABEL, Scene, have_area
from .transform import Size


@dataclass(frozen=True)
class CopyPaste(Combination):
    """Objects of another training image on this one, where they stand there, with probability `copy_paste` (Ghiasi et
    al., arXiv:2012.07177; MMDetection `CopyPaste`).

    Both images stand at the top left of a canvas of the network's (h, w) `size` of this BGR `colour`. Of the other
    one's objects that have a mask and are no crowds a random number is taken, at most `most` - 1, or all of them
    without `selected`, but no more than fit into the `slots`. What they cover of the objects below is cut from their
    masks, and these objects' boxes are made anew from what is left: an object stays if no side of its box has moved
    by more than `box_shift` pixels, or if more than `least_pixels` of it are left. The others are gone, and where
    nothing is pasted all stays as it is.

    An object without a mask is taken for a mask that fills its box, but that its box only ever becomes smaller:
    whatever is left of it lies within the part of the box that is left.
    """

    size: Size
    colour: Sequence[float]
    most: int = 100
    selected: bool = True
    box_shift: float = 10
    least_pixels: int = 300
    slots: int = 100

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "CopyPaste | None":
        if not rng.rand() < cfg.copy_paste:
            return None
        return cls(
            (cfg.img_height, cfg.img_width),
            ImageSettings.for_training(cfg).padding_colour,
            cfg.copy_paste_max,
            cfg.copy_paste_selected,
            cfg.copy_paste_box_shift,
            cfg.copy_paste_least_pixels,
            cfg.num_gts,
        )

    @classmethod
    def most_objects(cls, cfg: Config, own: int, other: int) -> int:
        if not cfg.copy_paste:
            return own
        return own + (min(other, cfg.copy_paste_max - 1) if cfg.copy_paste_selected else other)

    @classmethod
    def check(cls, cfg: Config, dataset: DetectionIndex) -> None:
        if cfg.copy_paste and not dataset.has_masks:
            raise UserError(
                f"{dataset.annotation_file}: copy_paste cuts objects out by their masks, and no object has one; set it "
                "to 0"
            )

    def combine(self, scene: Scene, partners: Sequence[Scene], rng: np.random.RandomState) -> Scene:
        (source,) = partners
        pasted = self._pasted(source, self.slots - int(have_area(scene.boxes).sum()), rng)
        if not pasted:
            return scene
        covered = np.zeros(self.size, bool)
        image = blank(self.size, self.colour)
        image[: scene.size[0], : scene.size[1]] = contiguous(scene.image)
        pixels = contiguous(source.image)
        for _, patch in pasted:
            covered[patch.window] |= patch.bits
            cv2.copyTo(pixels[patch.window], patch.bits.view(np.uint8), image[patch.window])
        above = source.part([k for k, _ in pasted])
        above = replace(above, masks=PatchMasks([patch for _, patch in pasted], self.size))
        return Scene.joined(image, [self._what_is_left(scene, covered), above])

    def _pasted(self, source: Scene, free: int, rng: np.random.RandomState) -> list[tuple[int, Patch]]:
        """Number and mask of the objects that are taken, in the order in which they were drawn."""
        usable = have_area(source.boxes) & (source.labels != CROWD_LABEL) & np.array(source.masks.drawn, bool)
        numbers = np.flatnonzero(usable)
        if self.selected:
            count = rng.randint(min(len(numbers) + 1, self.most))
            numbers = rng.permutation(numbers)[:count]
        numbers = numbers[: max(free, 0)]
        return [(k, patch) for k, patch in zip(numbers, patches_of(source.masks, numbers)) if patch.bits.size]

    def _what_is_left(self, scene: Scene, covered: np.ndarray) -> Scene:
        """The objects of which enough is seen, with the boxes and masks of that."""
        drawn = np.array(scene.masks.drawn, bool)
        patches, boxes, stay = dict(self._patches(scene)), scene.boxes.copy(), []
        for k, patch in patches.items():
            seen = patches[k] = patch.without(covered)
            boxes[k] = seen.box if drawn[k] else _inside(boxes[k], seen.box)
            shift = np.abs(boxes[k] - scene.boxes[k]).max()
            if shift <= self.box_shift or np.count_nonzero(seen.bits) > self.least_pixels:
                stay.append(k)
        masks = PatchMasks([patches[k] if drawn[k] and k in patches else None for k in range(len(boxes))], self.size)
        return Scene(scene.image, boxes, scene.labels, masks).part(stay)

    def _patches(self, scene: Scene) -> list[tuple[int, Patch]]:
        """Number of each object that is seen, and its mask, or the whole of its box."""
        seen, drawn = have_area(scene.boxes), np.array(scene.masks.drawn, bool)
        numbers = np.flatnonzero(seen & drawn)
        filled = [(k, self._filled(scene.boxes[k])) for k in np.flatnonzero(seen & ~drawn)]
        return sorted([*zip(numbers, patches_of(scene.masks, numbers)), *filled], key=lambda pair: pair[0])

    def _filled(self, box: np.ndarray) -> Patch:
        """All pixels that a box touches."""
        left, top = (max(math.floor(edge), 0) for edge in box[:2])
        right, bottom = (min(math.ceil(edge), most) for edge, most in zip(box[2:], self.size[::-1]))
        return Patch(top, left, np.ones((bottom - top, right - left), bool))


def _inside(box: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(4,) xyxy: what of a box lies within another one; zeros where they have nothing in common."""
    common = np.concatenate([np.maximum(box[:2], bounds[:2]), np.minimum(box[2:], bounds[2:])])
    return common if (common[2:] > common[:2]).all() else np.zeros_like(box)
