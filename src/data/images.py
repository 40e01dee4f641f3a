"""Image files to pixels."""

import contextlib
import io
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of the files that are taken for images, in lower case
HEADERS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")  # that Pillow reads; it knows some that run programs
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of JPEG and PNG


class ImageFile(Protocol):
    """What is asked of an image file: a `pathlib.Path`, or one inside a MindRecord shard."""

    name: str

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...


def is_there(path: ImageFile) -> bool:
    """Whether it is a plain file; False for a pipe, a device, and a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_bgr(path: str | ImageFile, upright: bool = False) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR, or None where the file is missing, no image, or cut off.

    upright: turn the image as its EXIF entry says (photographs that people look at) instead of taking the pixels as
    they are stored (annotated data sets: label files count those).
    """
    path = Path(path) if isinstance(path, str) else path
    try:
        content = path.read_bytes() if is_there(path) else b""
    except OSError:
        return None
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")):
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def is_image(content: bytes) -> bool:
    """Whether bytes are those of an image: they decode, or begin as one that is cut off or damaged."""
    if content.startswith(BEGINNINGS) or content[:4] + content[8:12] == b"RIFFWEBP":
        return True
    return bool(content) and cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None


def labelled_bgr(path: ImageFile, height: int, width: int) -> np.ndarray | None:
    """(height, width, 3) uint8 BGR of an image whose labels count its pixels in this size.

    As stored, or turned as its EXIF entry says where that alone gives the size. None where the file is missing, no
    image, cut off, or of another size.
    """
    image = read_bgr(path)
    if image is not None and image.shape[:2] == (width, height) and width != height:
        image = read_bgr(path, upright=True)
    return None if image is None or image.shape[:2] != (height, width) else image


def differs_in_size(path: ImageFile, height: int, width: int) -> tuple[int, int] | None:
    """(h, w) of an image that `labelled_bgr` does not give because of its size; None for all others.

    Only the header is decoded where that has the size that is asked for.
    """
    try:
        content = path.read_bytes() if is_there(path) else b""
    except OSError:
        return None
    # Pillow's readers raise many kinds of errors; the decoding tells then.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=HEADERS) as header:
        if header.size == (width, height):
            return None
    stored = read_bgr(path)
    return None if stored is None or labelled_bgr(path, height, width) is not None else stored.shape[:2]
