"""Images of any size by windows: of a large TIFF its strips or tiles are decoded as they are needed, others as a whole.

The pixels are those that `read_bgr` and `labelled_bgr` give, turned as EXIF says, scaled, laid over a colour.
"""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..reading import read_start
from .decoding import (
    FLIPS,
    NO_RANGE,
    TRANSPOSED,
    USUAL_RULES,
    ImageRules,
    colours_of,
    decode,
    finite_range,
    is_own_range,
    look_at,
    problem_of,
    stored_numbers,
    turned,
)
from .formats.index import ImageRecord
from .images import MAX_PIXELS, SIZE_KEY, is_turned, labelled_bgr, read_bgr, tell_own_range, why_unreadable
from .pictures import ImageSource, Picture
from .tiff import MARKS
from .tiff_segments import NoSegments, Segment, TiffSegments

WHOLE = 2**24  # pixels of a TIFF that is decoded as a whole, as all others are
KEPT = 2**28  # bytes of decoded segments that are kept: neighbouring windows need the same ones


class Unreadable(Exception):
    """An image that cannot be read; the text says why, with its name."""


class Windows(Protocol):
    """size: (h, w) of the image."""

    size: tuple[int, int]

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 BGR of a part of the image. Unreadable where its file is damaged."""

    def close(self) -> None: ...


def open_windows(source: ImageSource, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES) -> Windows:
    """An image file, or a picture in memory, upright as the rules say. Unreadable where it is none.

    max_pixels: of what is decoded at once: a file, or a strip or tile of a large TIFF.
    """
    if isinstance(source, Picture):
        return ArrayWindows(source.bgr)
    found = _large_tiff(source, max_pixels)
    if isinstance(found, TiffSegments):
        return TiffWindows(source, found, rules.upright, rules)
    image = read_bgr(source, rules.upright, max_pixels, rules)
    if image is None:
        raise Unreadable(_why(source, max_pixels, found))
    return ArrayWindows(image)


def open_labelled(record: ImageRecord, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES) -> Windows | None:
    """An image whose labels count its pixels, as `labelled_bgr` reads it; None where that gives none.

    Unreadable for a TIFF whose beginning is damaged.
    """
    labels = record.height, record.width
    found = _large_tiff(record.path, max_pixels) if isinstance(record.path, str | Path) else None
    if isinstance(found, TiffSegments):
        windows = TiffWindows(record.path, found, False, rules)
        upright = is_turned(record.path, windows.header, labels, rules)
        if upright is None:
            windows.close()
            return None
        windows.turn(upright)
        return windows
    image = labelled_bgr(record.path, *labels, rules)
    return None if image is None else ArrayWindows(image)


class ArrayWindows:
    """Of an image in memory."""

    def __init__(self, image: np.ndarray):
        self.size, self._image = image.shape[:2], image

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        return np.ascontiguousarray(self._image[top : top + height, left : left + width])

    def close(self) -> None:
        self._image = np.zeros((0, 0, 3), np.uint8)


class TiffWindows:
    """Of a large TIFF, which it closes. header: that of the whole file. Unreadable where it is of an unknown kind.

    Windows that come line by line decode each segment once, as long as a line of them finds room in `KEPT` bytes.
    """

    def __init__(self, path: str | Path, segments: TiffSegments, upright: bool, rules: ImageRules):
        self.path, self.rules, self._segments = path, rules, segments
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._kept_bytes = 0
        try:
            first = look_at(segments.content(next(segments.segments(0, 0, 1, 1))))
            if first is None or first.kind == "unknown":
                raise Unreadable(f"{path} {'is no image, or cut off' if first is None else problem_of(first)}")
            self.header = replace(first, size=segments.size, orientation=segments.orientation)
            self.turn(upright)
            if is_own_range(self.header, rules):
                self.rules = replace(rules, window=self._own_range())
                tell_own_range(path)
        except BaseException:
            self.close()
            raise

    def turn(self, upright: bool) -> None:
        """Whether windows are those of the upright image, or of the stored one."""
        self._orientation = self.header.orientation if upright else 1
        self.size = self.header.upright_size if upright else self.header.size

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        flip = FLIPS.get(self._orientation)
        if flip in (1, -1):
            left = self.size[1] - left - width
        if flip in (0, -1):
            top = self.size[0] - top - height
        if self._orientation in TRANSPOSED:
            top, left, height, width = left, top, width, height
        return turned(self._stored(top, left, height, width), self._orientation)

    def close(self) -> None:
        self._segments.close()
        self._kept.clear()

    def _stored(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        image = np.empty((height, width, 3), np.uint8)
        for segment in self._segments.segments(top, left, height, width):
            y1, x1 = max(top, segment.top), max(left, segment.left)
            y2, x2 = min(top + height, segment.top + segment.height), min(left + width, segment.left + segment.width)
            part = self._decoded(segment)[y1 - segment.top : y2 - segment.top, x1 - segment.left : x2 - segment.left]
            image[y1 - top : y2 - top, x1 - left : x2 - left] = part
        return image

    def _decoded(self, segment: Segment) -> np.ndarray:
        key = segment.top, segment.left
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        content, header = self._segments.content(segment), self._header_of(segment)
        image = decode(content, header, upright=False, rules=self.rules)
        if image is None or image.shape[:2] != header.size:
            raise self._damaged(segment)
        self._kept[key] = image
        self._kept_bytes += image.nbytes
        while self._kept_bytes > KEPT and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return image

    def _own_range(self) -> tuple[float, float]:
        """The least and the largest number of the whole file: all of it is gone through once."""
        height, width = self.header.size
        ranges = []
        for segment in self._segments.segments(0, 0, height, width):
            stored = stored_numbers(self._segments.content(segment), self._header_of(segment))
            if stored is None:
                raise self._damaged(segment)
            inside = colours_of(stored)[: height - segment.top, : width - segment.left]
            ranges.append(finite_range(inside))
        found = [one for one in ranges if one is not None]
        return (min(low for low, _ in found), max(high for _, high in found)) if found else NO_RANGE

    def _header_of(self, segment: Segment):
        return replace(self.header, size=(segment.height, segment.width), orientation=1)

    def _damaged(self, segment: Segment) -> Unreadable:
        if (problem := problem_of(self.header)) == "is no image, or cut off":
            problem = f"is damaged in rows {segment.top} to {segment.top + segment.height - 1}"
        return Unreadable(f"{self.path} {problem}")


def _large_tiff(path: object, max_pixels: int) -> TiffSegments | str:
    """The segments of a TIFF of more than `WHOLE` pixels; for all else nothing, or why it has none."""
    if not isinstance(path, str | Path):
        return ""
    try:
        if read_start(path, 4) not in MARKS:
            return ""
        found = TiffSegments(path, max_pixels)
    except NoSegments as error:
        return str(error)
    except OSError:
        return ""
    if found.size[0] * found.size[1] > WHOLE:
        return found
    found.close()
    return ""


def _why(path: ImageSource, max_pixels: int, why_no_segments: str) -> str:
    reason = why_unreadable(path, max_pixels)
    if SIZE_KEY not in reason:
        return reason
    if why_no_segments:
        return f"{reason}; it cannot be read by windows: it {why_no_segments}"
    return f"{reason}; of this size TIFF alone can be read by windows"
