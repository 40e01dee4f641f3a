"""Image files to pixels: 8 bits a channel, BGR, turned as whoever labelled them saw them."""

import contextlib
import logging
import os
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ..files import write_bytes
from ..reading import ABSENT, is_file, no_file, read_bytes, read_start
from .decoding import TRANSPOSED, USUAL_RULES, Header, ImageRules, decode, is_own_range, look_at, problem_of
from .mask_checks import MOST_PIXELS
from .said import unsaid
from .tiff_segments import NoSegments, TiffSegments

logger = logging.getLogger(__name__)

MAX_PIXELS = 200_000_000  # of an image, where the configuration says nothing
SIZE_KEY = "max_image_pixels"  # of the configuration
LONG_TIFF = 2**26  # bytes of a TIFF that is not read as a whole for its size
MOST_BYTES = 2**31 - 1  # of an image file: OpenCV takes no more
# Of the files that are taken for images, in lower case: of every task, and of infer.py.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
HEADER_BYTES = 2**20  # behind so many bytes no header is looked for
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of JPEG and PNG


class ImageFile(Protocol):
    """What is asked of an image file: a `pathlib.Path`, or one inside a MindRecord shard."""

    name: str

    def is_file(self) -> bool: ...

    def read_bytes(self) -> bytes: ...


def read_bgr(
    path: str | ImageFile, upright: bool = False, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> np.ndarray | None:
    """(h, w, 3) uint8 BGR, or None where the file is missing, no image, cut off, or by its header of more pixels than
    `max_pixels`; `why_unreadable` says which.

    upright: turn the image as its EXIF entry says (photographs that people look at) instead of taking the pixels as
    they are stored. Where labels count pixels, `labelled_bgr` finds out which of both they mean.
    """
    content = read_content(path)
    header = look_at(content)
    if header is None or header.size[0] * header.size[1] > max_pixels:
        return None
    return _decoded(path, content, header, upright, rules)


def read_for_label(
    path: str | ImageFile, label: tuple[int, int] | None, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> np.ndarray | None:
    """The same of an image that has a label picture of (h, w), or none: turned as that is; whatever its own size is."""
    content = read_content(path)
    header = look_at(content)
    if header is None or header.size[0] * header.size[1] > max_pixels:
        return None
    upright = rules.upright if label is None else is_turned(path, header, label, rules)
    return _decoded(path, content, header, bool(upright), rules)


def why_unreadable(path: str | ImageFile, max_pixels: int = MAX_PIXELS) -> str:
    """Why `read_bgr` gave None, for a log line."""
    if not is_there(path):
        why = no_file(path) if isinstance(path, str | Path) else ABSENT
        return f"{path} is missing" if why == ABSENT else f"{path} {why}"
    header = look_at(read_content(path))
    if header is not None and header.size[0] * header.size[1] > max_pixels:
        return f"{path} has {header.size[1]} x {header.size[0]} pixels, and {SIZE_KEY} is {max_pixels}"
    return f"{path} {'is no image, or cut off' if header is None else problem_of(header)}"


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
    """(h, w) as stored that the header of an image file tells, nothing decoded; None where it is no image."""
    header = look_at(content)
    return None if header is None else header.size


def look_at_file(path: str | Path) -> Header | None:
    """The header of an image file, by its first bytes; None where it is none, or cannot be read."""
    try:
        return look_at(read_start(path, HEADER_BYTES))
    except OSError:
        return None


def is_there(path: str | ImageFile) -> bool:
    """Whether an image's file is there."""
    return is_file(path) if isinstance(path, str | Path) else path.is_file()


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
    header = look_at(content)
    if header is None or header.size[0] * header.size[1] > MAX_PIXELS:
        return False
    return decode(content, header, upright=False) is not None


def labelled_bgr(path: ImageFile, height: int, width: int, rules: ImageRules = USUAL_RULES) -> np.ndarray | None:
    """(height, width, 3) uint8 BGR of an image whose labels count its pixels in this size.

    Turned as its EXIF entry says where that gives the size, else as stored. Where both give it (a half turn, a square)
    it is turned, which is said, unless the rules say `stored`. None where the file is missing, no image, cut off, or of
    another size.
    """
    content = read_content(path)
    header = look_at(content)
    upright = None if header is None else is_turned(path, header, (height, width), rules)
    if upright is None:
        return None
    image = _decoded(path, content, header, upright, rules)
    return None if image is None or image.shape[:2] != (height, width) else image


def differs_in_size(path: ImageFile, height: int, width: int) -> tuple[int, int] | None:
    """(h, w), as stored, of an image that `labelled_bgr` does not give because of its size; None for all others.

    The header alone is decoded where that has the size that is asked for, or far too many pixels.
    """
    if (height, width) in _sizes_of_long_tiff(path):
        return None
    content = read_content(path)
    header = look_at(content)
    if header is None or (height, width) in (header.size, header.upright_size):
        return None
    if header.size[0] * header.size[1] > max(MAX_PIXELS, height * width):
        return header.size
    return None if decode(content, header, upright=False) is None else header.size


def _sizes_of_long_tiff(path: ImageFile) -> tuple[tuple[int, int], ...]:
    """(h, w) as stored and turned of a long TIFF, of which its beginning is read alone; none of other files."""
    with contextlib.suppress(OSError, ValueError, NoSegments):
        if isinstance(path, str | Path) and os.stat(path).st_size > LONG_TIFF:
            with contextlib.closing(TiffSegments(path, MOST_PIXELS)) as found:
                return found.size, found.size[::-1] if found.orientation in TRANSPOSED else found.size
    return ()


def is_turned(
    path: str | ImageFile, header: Header, labels: tuple[int, int], rules: ImageRules
) -> bool | None:
    """Whether labels that count pixels in (h, w) mean the upright image; None where they fit neither way."""
    fits_stored, fits_upright = header.size == labels, header.upright_size == labels
    if not (fits_stored and fits_upright):
        return fits_upright if fits_stored or fits_upright else None
    if header.orientation > 1:
        how = "upright; `exif: stored` takes them as stored" if rules.upright else "as stored"
        where = f"{path}, and maybe others, has an EXIF turn, and labels that fit both ways"
        _say_once("labels that fit both", f"{where}: taken {how}")
    return header.orientation > 1 and rules.upright


def _decoded(
    path: str | ImageFile, content: bytes, header: Header, upright: bool, rules: ImageRules
) -> np.ndarray | None:
    image = decode(content, header, upright, rules)
    if image is not None and is_own_range(header, rules):
        tell_own_range(path)
    return image


def tell_own_range(path: str | ImageFile) -> None:
    """Say once that files are scaled by their own range, for want of another."""
    where = f"{path}, and maybe others, has more than 8 bits a channel"
    how = "its own least and largest value become 0 and 255; `image_window: [LOW, HIGH]` sets them for all files"
    _say_once("own range", f"{where}: {how}")


def _say_once(kind: str, line: str) -> None:
    """One line for each kind, whatever files it is about."""
    if unsaid("images", [kind]):
        logger.warning("%s", line)
