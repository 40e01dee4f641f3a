"""Image files to pixels."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from ..files import write_bytes
from ..reading import is_file, read_bytes

logger = logging.getLogger(__name__)

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit raises and warns in the midst of things; `MAX_PIXELS` is before it
MAX_PIXELS = 200_000_000  # of an image, where the configuration says nothing
SIZE_KEY = "max_image_pixels"  # of the configuration
MOST_BYTES = 2**31 - 1  # of an image file: OpenCV takes no more
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of the files that are taken for images, in lower case
# Formats that Pillow is asked for: it knows some that run programs.
HEADERS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "SUN")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of JPEG and PNG


class ImageFile(Protocol):
    """What is asked of an image file: a `pathlib.Path`, or one inside a MindRecord shard."""

    name: str

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...


def read_bgr(path: str | ImageFile, upright: bool = False, max_pixels: int = MAX_PIXELS) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR, or None where the file is missing, no image, cut off, or by its header of more pixels than
    `max_pixels`; `why_unreadable` says which.

    upright: turn the image as its EXIF entry says (photographs that people look at) instead of taking the pixels as
    they are stored (annotated data sets: label files count those).
    """
    content = read_content(path)
    size = header_size(content)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    return _decoded(content, upright)


def why_unreadable(path: str | ImageFile, max_pixels: int = MAX_PIXELS) -> str:
    """Why `read_bgr` gave None, for a log line."""
    if not is_there(path):
        return f"{path} is missing"
    size = header_size(read_content(path))
    if size is not None and size[0] * size[1] > max_pixels:
        return f"{path} has {size[1]} x {size[0]} pixels, and {SIZE_KEY} is {max_pixels}"
    return f"{path} is no image, or cut off"


def log_if_too_large(path: str | ImageFile, max_pixels: int) -> None:
    """Say of an image that `read_bgr` did not give that this is for its size; whoever counts the others names them."""
    reason = why_unreadable(path, max_pixels)
    if SIZE_KEY in reason:
        logger.warning("%s", reason)


def read_content(path: str | ImageFile) -> bytes:
    """The bytes of an image file; none where it cannot be read, or is no regular file."""
    try:
        return read_bytes(path, MOST_BYTES) if isinstance(path, str | Path) else path.read_bytes()
    except OSError:
        return b""


def header_size(content: bytes) -> tuple[int, int] | None:
    """(h, w) that the header of an image file tells, nothing decoded; None where it is no image."""
    # Pillow's readers raise many kinds of errors.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=HEADERS) as header:
        return header.size[::-1]
    return None


def is_there(path: str | ImageFile) -> bool:
    """Whether an image's file is there."""
    return is_file(path) if isinstance(path, str | Path) else path.is_file()


def _decoded(content: bytes, upright: bool) -> np.ndarray | None:
    # OpenCV fills the missing part of a cut-off JPEG with grey.
    # A whole one has an end marker after its last scan header.
    if not content or (content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")):
        return None
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # it has limits of its own
        return None


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write (h, w) or (h, w, 3) uint8, BGR, in the format of the name's suffix, whole or not at all.

    UserError if it cannot be written.
    """
    _, content = cv2.imencode(path.suffix, image)
    write_bytes(path, content.tobytes())


def is_image(content: bytes) -> bool:
    """Whether bytes are those of an image: they decode, or begin as one that is cut off or damaged."""
    if content.startswith(BEGINNINGS) or content[:4] + content[8:12] == b"RIFFWEBP":
        return True
    size = header_size(content)
    return size is not None and size[0] * size[1] <= MAX_PIXELS and _decoded(content, upright=False) is not None


def labelled_bgr(path: ImageFile, height: int, width: int) -> np.ndarray | None:
    """(height, width, 3) uint8 BGR of an image whose labels count its pixels in this size.

    As stored, or turned as its EXIF entry says where that alone gives the size. None where the file is missing, no
    image, cut off, or of another size.
    """
    content = read_content(path)
    if header_size(content) not in ((height, width), (width, height)):
        return None
    image = _decoded(content, upright=False)
    if image is not None and image.shape[:2] == (width, height) and width != height:
        image = _decoded(content, upright=True)
    return None if image is None or image.shape[:2] != (height, width) else image


def differs_in_size(path: ImageFile, height: int, width: int) -> tuple[int, int] | None:
    """(h, w) of an image that `labelled_bgr` does not give because of its size; None for all others.

    The header alone is decoded where that has the size that is asked for, or far too many pixels.
    """
    content = read_content(path)
    size = header_size(content)
    if size is None or size == (height, width):
        return None
    if size[0] * size[1] > max(MAX_PIXELS, height * width):
        return size
    stored = _decoded(content, upright=False)
    return None if stored is None or labelled_bgr(path, height, width) is not None else stored.shape[:2]
