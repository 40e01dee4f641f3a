"""Mask pasting of the MindSpore original of Mask R-CNN: boxes of whole pixels, by OpenCV's bilinear resizing."""

import cv2
import numpy as np
from pycocotools import mask as coco_mask


def paste_on_pixels(
    masks: np.ndarray, boxes: np.ndarray, height: int, width: int, threshold: float = 0.5
) -> list[dict]:
    """Compressed RLE `{'size': [height, width], 'counts': str}` of every mask; arguments as of `paste_masks`.

    A box's corners are cut to whole pixels, x2 and y2 are its last ones. The mask is resized to what of the box lies in
    the image (at its right and bottom it is squeezed, not cut); a pixel above `threshold` belongs to the object.
    """
    return [_paste(mask, box, height, width, threshold) for mask, box in zip(masks, np.asarray(boxes))]


def _paste(mask: np.ndarray, box: np.ndarray, height: int, width: int, threshold: float) -> dict:
    pixels = np.zeros((height, width), np.uint8, order="F")
    if np.isfinite(box).all():
        left, top, right, bottom = (int(side) for side in np.clip(box, 0, (width, height) * 2))
        columns, rows = min(max(right - left + 1, 1), width - left), min(max(bottom - top + 1, 1), height - top)
        if columns > 0 and rows > 0:
            resized = cv2.resize(np.asarray(mask, np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
            pixels[top : top + rows, left : left + columns] = resized > threshold
    code = coco_mask.encode(pixels)
    return {"size": [int(height), int(width)], "counts": code["counts"].decode("ascii")}
