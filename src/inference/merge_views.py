"""What a detector found in several views of one image becomes one result: MMDetection 3.3's `DetTTAModel`.

Boxes of mirrored views are turned back, x becomes w - x in pixels of the original image; the views' boxes stand one
after the other, scores as they are; one class-wise NMS over all of them, mmcv's `batched_nms`; the best stay.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class MergedViews(NamedTuple):
    """Detections of an image, best first. boxes (N, 4) float32 xyxy in its pixels; scores (N,) float32; labels (N,)
    0-based classes; index (N,): which of all the views' detections, one view after the other, each is.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    index: np.ndarray


def merge_views(
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    flipped: Sequence[bool],
    size: tuple[int, int],
    iou_threshold: float = 0.5,
    max_per_img: int = 100,
    class_agnostic: bool = False,
) -> MergedViews:
    """The detections of an image of size (height, width) from those of its views, in the views' order.

    Of each view: boxes (n, 4) xyxy in pixels of the image, at whatever scale it was seen, mirrored as the view is;
    scores (n,); labels (n,) 0-based classes; whether it is mirrored. A view may have found nothing, and there may be no
    view. iou_threshold: of two boxes of one class (class_agnostic: of any two) whose IoU is above this the better one
    stays, of equal scores the first; max_per_img: so many at most.

    A box [10, 5, 30, 25] of a mirrored view of an image 100 wide is [70, 5, 90, 25].
    """
    upright = [
        mirrored_boxes(own, size[1]) if is_flipped else np.asarray(own, np.float32).reshape(-1, 4)
        for own, is_flipped in zip(boxes, flipped, strict=True)
    ]
    all_boxes = np.concatenate([np.zeros((0, 4), np.float32), *upright])
    all_scores = _joined(scores, np.float32)
    all_labels = _joined(labels, np.int32)
    groups = np.zeros_like(all_labels) if class_agnostic else all_labels
    keep = batched_nms(all_boxes, all_scores, groups, iou_threshold, max_per_img)
    return MergedViews(all_boxes[keep], all_scores[keep], all_labels[keep], keep)


def mirrored_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """(N, 4) xyxy boxes in an image `width` pixels wide -> those in its mirror image, float32."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    x1, y1, x2, y2 = boxes.T
    return np.stack([np.float32(width) - x2, y1, np.float32(width) - x1, y2], axis=1)


def batched_nms(
    boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, iou_threshold: float, most: int
) -> np.ndarray:
    """(K,) indices of the boxes that stay, best first, `most` of them at most: mmcv's `batched_nms`, to the bit.

    boxes (N, 4) float32, scores (N,) float32, groups (N,) whole numbers. Groups are moved apart by group * (largest
    coordinate + 1) in float32, which rounds coordinates a little; a box goes when its IoU with a better one is above
    the threshold.
    """
    order = np.argsort(-scores, kind="stable")
    if not len(order):
        return order
    shifts = groups.astype(np.float32) * (boxes.max() + np.float32(1))
    x1, y1, x2, y2 = (boxes + shifts[:, None])[order].T
    areas, threshold = (x2 - x1) * (y2 - y1), np.float32(iou_threshold)
    free, keep = np.ones(len(order), bool), []
    for i in range(len(order)):
        if not free[i]:
            continue
        keep.append(order[i])
        if len(keep) == most:
            break
        rest = slice(i + 1, None)
        width = np.maximum(np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]), np.float32(0))
        height = np.maximum(np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]), np.float32(0))
        shared = width * height
        with np.errstate(divide="ignore", invalid="ignore"):  # two boxes without an area suppress nothing
            free[rest] &= ~(shared / (areas[i] + areas[rest] - shared) > threshold)
    return np.array(keep)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    """The views' numbers one after the other."""
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(part, dtype).reshape(-1) for part in parts)])
