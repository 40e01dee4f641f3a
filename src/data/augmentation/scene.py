"""An image with its objects, on its way to becoming a detector's training sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..formats.index import ImageRecord
from .object_masks import ChangedMasks, ChosenMasks, DrawnMasks, JoinedMasks, ObjectMasks
from .transform import Size, Transform

CROWD_LABEL = -1


@dataclass(frozen=True)
class Scene:
    """image (h, w, 3) uint8 BGR; boxes (N, 4) xyxy pixels of it; labels (N,) int32: 1, 2, ... or `CROWD_LABEL`; masks:
    of the same objects, none of them made yet.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: ObjectMasks

    @classmethod
    def of(cls, record: ImageRecord, image: np.ndarray, precision: type = np.float32) -> "Scene":
        """An annotated image as it is read. precision: of the boxes."""
        objects = record.objects
        boxes = np.array([item.box for item in objects], precision).reshape(-1, 4)
        labels = np.array([CROWD_LABEL if item.crowd else item.label + 1 for item in objects], np.int32)
        masks = DrawnMasks([item.segmentation for item in objects], (record.height, record.width))
        return cls(image, boxes, labels, masks)

    @classmethod
    def joined(cls, image: np.ndarray, scenes: Sequence["Scene"]) -> "Scene":
        """This image with the objects of several scenes, whose boxes and masks are of this image already."""
        boxes, labels = (np.concatenate([getattr(one, name) for one in scenes]) for name in ("boxes", "labels"))
        return cls(image, boxes, labels, JoinedMasks([one.masks for one in scenes]))

    @property
    def size(self) -> Size:
        return self.image.shape[:2]

    def changed(self, change: Transform) -> "Scene":
        """Image, boxes and masks after a change."""
        boxes = change.boxes(self.boxes, self.size)
        return Scene(change.image(self.image), boxes, self.labels, ChangedMasks(self.masks, change))

    def part(self, numbers: Sequence[int]) -> "Scene":
        """With these objects alone, in this order."""
        numbers = [int(number) for number in numbers]
        return Scene(self.image, self.boxes[numbers], self.labels[numbers], ChosenMasks(self.masks, numbers))


def have_area(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy -> (N,) bool: those of objects that are seen."""
    return (boxes[:, 2:] > boxes[:, :2]).all(axis=1)


def has_objects(scene: Scene) -> bool:
    """Whether there is something to find in it."""
    return bool((have_area(scene.boxes) & (scene.labels != CROWD_LABEL)).any())
