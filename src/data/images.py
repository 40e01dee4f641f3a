"""Image files to pixels."""

import contextlib
import io
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from ..files import write_bytes

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
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")):
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write (h, w) or (h, w, 3) uint8, BGR, in the format of the name's suffix, whole or not at all.

    UserError if it cannot be written.
    """
    _, content = cv2.imencode(path.suffix, image)
    write_bytes(path, content.tobytes())


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
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    # Pillow's readers raise many kinds of errors; the decoding tells then.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as header:
        if header.size == (width, height):
            return None
    stored = read_bgr(path)
    return None if stored is None or labelled_bgr(path, height, width) is not None else stored.shape[:2]
