"""What a detector says about one image, and the two JSON forms it is written in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.formats.fields import Id
from ..models.detection.detections import Detections
from .paste import paste_masks
from .paste_on_pixels import paste_on_pixels

UNKNOWN_CATEGORY = "unknown"


@dataclass
class ImagePrediction:
    """Detections of one image, best first; N = 0 is a normal result.

    height, width: the image's own size; boxes (N, 4) float32 xyxy in its pixels; labels (N,) 0-based classes;
    scores (N,); masks: N compressed RLE `{'size': [height, width], 'counts': str}`, None of a detector without masks.
    """

    height: int
    width: int
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    masks: list[dict] | None = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float | Sequence[float]) -> "ImagePrediction":
        """The detections whose score is `threshold` at least, or that of their class."""
        if not isinstance(threshold, float | int):
            threshold = np.asarray(threshold, np.float64)[self.labels]
        keep = np.flatnonzero(self.scores >= threshold)
        masks = None if self.masks is None else [self.masks[i] for i in keep]
        return ImagePrediction(
            self.height, self.width, self.boxes[keep], self.labels[keep], self.scores[keep], masks
        )


def to_prediction(
    slots: Detections,
    scale_factor: Sequence[float],
    orig_shape: Sequence[int],
    mask_threshold: float,
    style: str = "continuous",
) -> ImagePrediction:
    """One image's slots of a detector's output, in pixels of the image itself.

    scale_factor (w, h) = resized / original; orig_shape (h, w). style: how masks are pasted, and what a box's x2 is:
    'continuous'; or as the MindSpore originals have it, 'pixels' (Mask R-CNN: x2 is the last pixel) or 'points'
    (PointRend: as continuous, without what lies beside the image and pixels beside their box).
    """
    height, width = (int(side) for side in orig_shape)
    used = np.flatnonzero(slots.valid)
    boxes = slots.boxes[used].astype(np.float32) / np.tile(np.asarray(scale_factor, np.float32), 2)
    if style == "points":
        inside = np.clip(boxes, 0, np.float32([width, height] * 2))
        seen = (inside[:, 2:] > inside[:, :2]).all(axis=1)
        used, boxes = used[seen], boxes[seen]
    masks = None
    if slots.masks is not None and style == "pixels":
        masks = paste_on_pixels(slots.masks[used], boxes, height, width, mask_threshold)
    elif slots.masks is not None:
        masks = paste_masks(slots.masks[used], boxes, height, width, mask_threshold, inside=style == "points")
    if style == "pixels":
        boxes = boxes + np.float32([0, 0, 1, 1])
    return ImagePrediction(
        height,
        width,
        boxes,
        slots.labels[used].astype(np.int32),
        slots.scores[used].astype(np.float32),
        masks,
    )


def to_coco_results(prediction: ImagePrediction, image_id: Id, category_ids: Sequence[Id]) -> list[dict]:
    """COCO results: one dict a detection, ids as the data set has them; `category_ids[k]` is that of class k.

    Without masks they have no `segmentation`.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[label],
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
            **({} if mask is None else {"segmentation": mask}),
        }
        for (x1, y1, x2, y2), label, score, mask in _detections(prediction)
    ]


def to_json(prediction: ImagePrediction, class_names: Sequence[str], category_ids: Sequence[Id] | None) -> dict:
    """The inference file's entry of one image; without `category_ids` the category id is "unknown".

    Without masks its predictions have no `mask`.
    """
    predictions = [
        {
            "bbox": {"x_min": float(x1), "y_min": float(y1), "width": float(x2 - x1), "height": float(y2 - y1)},
            "class": {
                "label": int(label),
                "category_id": UNKNOWN_CATEGORY if category_ids is None else category_ids[label],
                "name": class_names[label],
            },
            **({} if mask is None else {"mask": mask}),
            "score": float(score),
        }
        for (x1, y1, x2, y2), label, score, mask in _detections(prediction)
    ]
    return {"height": prediction.height, "width": prediction.width, "predictions": predictions}


def _detections(prediction: ImagePrediction):
    masks = [None] * len(prediction) if prediction.masks is None else prediction.masks
    return zip(prediction.boxes, prediction.labels, prediction.scores, masks)
