"""Views of pixels as arrays of their own: OpenCV mirrors, for which numpy takes ten times as long and more."""

import cv2
import numpy as np


def contiguous(pixels: np.ndarray) -> np.ndarray:
    """(h, w) or (h, w, 3), maybe mirrored or a part of more: the same, contiguous."""
    if pixels.flags.c_contiguous:
        return pixels
    if pixels.strides[1] < 0:
        return cv2.flip(contiguous(pixels[:, ::-1]), 1)
    return np.ascontiguousarray(pixels)
