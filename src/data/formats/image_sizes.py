"""Sizes of images by their headers, as people see them in annotation tools: turned as the EXIF entry says."""

import contextlib
import io
from pathlib import Path

from PIL import Image

from ...reading import read_start
from ..images import HEADERS, read_content

START = 2**16  # bytes; headers behind a long colour profile or preview lie further on
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # the EXIF entry, and its values that exchange width and height


def upright_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an image when it stands upright; None where no image can be read."""
    try:
        start = read_start(path, START)
    except OSError:
        return None
    return _size(start) or (_size(read_content(path)) if len(start) == START else None)


def _size(content: bytes) -> tuple[int, int] | None:
    # Pillow's readers raise many kinds of errors.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=HEADERS) as header:
        width, height = header.size
        return (height, width) if header.getexif().get(ORIENTATION) in TURNED else (width, height)
    return None
