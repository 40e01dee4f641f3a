"""Image files to pixels."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of the files that are taken for images, in lower case


class ImageFile(Protocol):
    """What is asked of an image file: a `pathlib.Path`, or one inside a MindRecord shard."""

    name: str

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...


def read_bgr(path: str | ImageFile, upright: bool = False) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR, or None where the file is missing, no image, or cut off.

    upright: turn the image as its EXIF entry says (photographs that people look at) instead of taking the pixels as
    they are stored (annotated data sets: label files count those).
    """
    try:
        content = (Path(path) if isinstance(path, str) else path).read_bytes()
    except OSError:
        return None
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")):
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
