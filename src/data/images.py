"""Image files to pixels."""

from pathlib import Path

import cv2
import numpy as np


def read_bgr(path: str | Path, upright: bool = False) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR, or None where the file is missing, no image, or cut off.

    upright: turn the image as its EXIF entry says (photographs that people look at) instead of taking the pixels as
    they are stored (annotated data sets: label files count those).
    """
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")):
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
