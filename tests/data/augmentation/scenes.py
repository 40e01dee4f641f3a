"""Small scenes whose masks are arrays, for tests of what is made of several."""

from dataclasses import dataclass

import numpy as np

from src.data.augmentation.scene import Scene


@dataclass(frozen=True)
class Bitmaps:
    """`ObjectMasks` of (h, w) bitmaps; None for an object without a mask."""

    bitmaps: list

    @property
    def drawn(self):
        return [bitmap is not None for bitmap in self.bitmaps]

    def layers(self, numbers):
        return sum(self.bitmaps[number].astype(np.uint8) << bit for bit, number in enumerate(numbers)).astype(np.uint8)


def bitmap_of(masks, number: int) -> np.ndarray:
    return masks.layers([number]) == 1


def rectangle(size, left, top, right, bottom) -> np.ndarray:
    bitmap = np.zeros(size, bool)
    bitmap[top:bottom, left:right] = True
    return bitmap


def scene_of(size, boxes, value=10, labels=None, masks=None) -> Scene:
    """A plain image with these objects; masks fill the boxes unless others are given."""
    masks = [rectangle(size, *map(int, box)) for box in boxes] if masks is None else masks
    labels = np.int32(range(1, len(boxes) + 1) if labels is None else labels)
    return Scene(np.full((*size, 3), value, np.uint8), np.float32(boxes).reshape(-1, 4), labels, Bitmaps(masks))


def random_scene(rng: np.random.RandomState, size, count: int) -> Scene:
    """Random pixels and blobs; boxes that are those of the blobs but for a pixel or two."""
    boxes, masks = [], []
    for _ in range(count):
        left, top = rng.randint(0, size[1] - 8), rng.randint(0, size[0] - 8)
        right, bottom = rng.randint(left + 4, size[1] + 1), rng.randint(top + 4, size[0] + 1)
        bitmap = rectangle(size, left, top, right, bottom) & (rng.rand(*size) < 0.8)
        masks.append(bitmap)
        boxes.append(np.clip([left, top, right, bottom] + rng.uniform(-1, 1, 4), 0, [size[1], size[0]] * 2))
    scene = scene_of(size, boxes, labels=rng.randint(1, 9, count), masks=masks)
    scene.image[:] = rng.randint(0, 256, scene.image.shape)
    return scene
