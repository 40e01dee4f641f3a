"""Sizes of images by their headers, as people see them in annotation tools: turned as the EXIF entry says."""

from pathlib import Path

from ...reading import read_start
from ..decoding import look_at
from ..images import read_content

START = 2**16  # bytes; headers behind a long colour profile or preview lie further on


def upright_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an image when it stands upright; None where no image can be read."""
    try:
        start = read_start(path, START)
    except OSError:
        return None
    header = look_at(start) or (look_at(read_content(path)) if len(start) == START else None)
    return None if header is None else header.upright_size[::-1]
