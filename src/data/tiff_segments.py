"""The strips or tiles of a TIFF's first picture, each as a small TIFF: what decodes files decodes them too.

Format: TIFF 6.0 (Adobe, 1992) with its technical notes on tiles and JPEG, BigTIFF. Of the file there is never more in
memory than its directory and the segment in hand, and no number in it is trusted: what it promises is compared with
what a file of its length can hold before memory is taken.
"""

import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..reading import open_regular, why
from .mask_checks import MOST_PIXELS
from .tiff import BITS, HEIGHT, MARKS, MOST_TAGS, ORIENTATION, PHOTOMETRIC, PLANES, SAMPLES, WIDTH

COMPRESSION, PREDICTOR = 259, 317
STRIP_OFFSETS, STRIP_ROWS, STRIP_COUNTS = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
PLAIN, OLD_JPEG = 1, 6  # of COMPRESSION
YCBCR = 6  # of PHOTOMETRIC
SEPARATE = 2  # of PLANES
# What says how the numbers of a segment are to be read: with those above fill order, least and largest value, options
# of fax codes, colour map, inks, extra samples, sample format, JPEG tables, and what YCbCr is.
COPIED = (
    BITS, COMPRESSION, PHOTOMETRIC, 266, SAMPLES, 280, 281, PLANES, 292, 293, PREDICTOR, 320, 332, 334, 336, 338, 339,
    340, 341, 347, 529, 530, 531, 532,
)  # fmt: skip
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}
MOST_VALUE = 2**20  # bytes of a value that is copied
MOST_SAMPLES = 16
PIECE = 2**20  # pixels of a piece of a plain strip, which can be cut
GROWTH = 2  # times its numbers, and some, that a segment's code may take
AT_ONCE = 2**16  # places of segments that are looked at together


class NoSegments(Exception):
    """A TIFF that cannot be read by its segments; the text says why, to follow the file's name."""


@dataclass(frozen=True)
class Segment:
    """A part of the picture as stored: place and size in pixels (those of a tile may go beyond the picture), and where
    its code stands in the file, (place, bytes) of each plane.
    """

    top: int
    left: int
    height: int
    width: int
    codes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Entry:
    """Of the directory. place: of its first value in the file."""

    kind: int
    count: int
    place: int


class TiffSegments:
    """size: (h, w) as stored; orientation: EXIF's number. Close it.

    NoSegments for what is no TIFF, is cut off, or has segments of more than `most` pixels. OSError as `read_bytes`.
    """

    def __init__(self, path: str | Path, most: int):
        self._file: BinaryIO = open_regular(path, None)
        try:
            self._length = os.fstat(self._file.fileno()).st_size
            self._entries = self._directory()
            self._lay_out()
            self._check(most)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def segments(self, top: int, left: int, height: int, width: int) -> Iterator[Segment]:
        """Those that a window meets, line by line."""
        segment_height, segment_width = self._sides
        for row in range(top // segment_height, (top + height - 1) // segment_height + 1):
            for column in range(left // segment_width, (left + width - 1) // segment_width + 1):
                yield from self._pieces(row, column, top, top + height)

    def content(self, segment: Segment) -> bytes:
        """A TIFF file of the segment alone."""
        codes = [self._read(place, count) for place, count in segment.codes]
        values = [(tag, entry.kind, entry.count, self._value(entry)) for tag, entry in self._copied()]
        long = 16 if self._is_big else 4
        sides = {WIDTH: [segment.width], HEIGHT: [segment.height]}
        if self._is_tiled:
            sides |= {TILE_WIDTH: [segment.width], TILE_HEIGHT: [segment.height]}
            names = TILE_OFFSETS, TILE_COUNTS
        else:
            sides |= {STRIP_ROWS: [segment.height]}
            names = STRIP_OFFSETS, STRIP_COUNTS
        sides |= {name: [0] * len(codes) for name in names}
        form = self._order + FORMS[long]
        own = [(tag, long, len(one), struct.pack(f"{form[0]}{len(one)}{form[1]}", *one)) for tag, one in sides.items()]
        return self._written(sorted(values + own), names, codes)

    # ------------------------------------------------------------------------------------------------- the directory

    def _directory(self) -> dict[int, _Entry]:
        start = self._read(0, 16)
        if start[:4] not in MARKS:
            raise NoSegments("is no TIFF")
        self._mark, self._order, self._is_big = start[:4], "<" if start[:2] == b"II" else ">", b"+" in start[:4]
        head, size, count_form = (8, 20, "Q") if self._is_big else (2, 12, "H")
        (first,) = self._unpacked("Q" if self._is_big else "I", 8 if self._is_big else 4, 1)
        (count,) = self._unpacked(count_form, first, 1)
        content = self._read(first + head, min(count, MOST_TAGS) * size)
        found = {}
        room = 8 if self._is_big else 4
        for at in range(0, len(content) - size + 1, size):
            tag, kind, number = struct.unpack_from(f"{self._order}HH{'Q' if self._is_big else 'I'}", content, at)
            if kind not in SIZES or tag in found:
                continue
            place = first + head + at + size - room
            if number * SIZES[kind] > room:
                (place,) = struct.unpack_from(f"{self._order}{'Q' if self._is_big else 'I'}", content, at + size - room)
            found[tag] = _Entry(kind, number, place)
        return found

    def _numbers(self, tag: int, default: Sequence[int] = (), first: int = 0, count: int = MOST_SAMPLES) -> list[int]:
        """Whole numbers of a tag, from the first-th on."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in FORMS:
            return list(default)
        count = max(min(count, entry.count - first), 0)
        return self._unpacked(FORMS[entry.kind], entry.place + first * SIZES[entry.kind], count)

    def _number(self, tag: int, default: int = 0) -> int:
        return (self._numbers(tag, (default,), count=1) or [default])[0]

    def _unpacked(self, form: str, place: int, count: int) -> list[int]:
        form = f"{self._order}{count}{form}"
        content = self._read(place, struct.calcsize(form))
        if len(content) < struct.calcsize(form):
            raise NoSegments("is cut off")
        return list(struct.unpack(form, content))

    def _read(self, place: int, count: int) -> bytes:
        """Fewer bytes where the file has ended."""
        try:
            return os.pread(self._file.fileno(), max(min(count, self._length - place), 0), min(place, self._length))
        except OSError as error:
            raise NoSegments(f"cannot be read ({why(error)})") from None

    # ---------------------------------------------------------------------------------------------------- the layout

    def _lay_out(self) -> None:
        height, width = self.size = self._number(HEIGHT), self._number(WIDTH)
        if not 0 < height * width <= MOST_PIXELS:
            raise NoSegments(f"has {width} x {height} pixels, and at most {MOST_PIXELS} can be")
        self.orientation = value if 1 <= (value := self._number(ORIENTATION, 1)) <= 8 else 1
        self._is_tiled = TILE_WIDTH in self._entries
        if self._is_tiled:
            self._sides = self._number(TILE_HEIGHT), self._number(TILE_WIDTH)
            self._places, self._counts = TILE_OFFSETS, TILE_COUNTS
        else:
            self._sides = min(self._number(STRIP_ROWS, height) or height, height), width
            self._places, self._counts = STRIP_OFFSETS, STRIP_COUNTS
        if min(self._sides) < 1:
            raise NoSegments("has tiles without pixels")
        self._down, self._across = (math.ceil(whole / side) for whole, side in zip(self.size, self._sides))
        samples = self._number(SAMPLES, 1)
        bits = self._numbers(BITS, (1,)) or [1]
        if not 1 <= samples <= MOST_SAMPLES or max(bits) > 64:
            raise NoSegments(f"has {samples} numbers a pixel of {max(bits)} bits")
        self._planes = samples if self._number(PLANES, 1) == SEPARATE else 1
        self._bits_of_pixel = max(bits) * samples
        self._row_bytes = math.ceil(self._sides[1] * self._bits_of_pixel / self._planes / 8)
        compression = self._number(COMPRESSION, PLAIN)
        if compression == OLD_JPEG:
            raise NoSegments("has the JPEG compression that TIFF 6.0 had and nobody reads by parts")
        is_plain = compression == PLAIN and self._number(PREDICTOR, 1) == 1 and self._number(PHOTOMETRIC) != YCBCR
        is_plain &= not self._is_tiled and len(set(bits)) == 1 and self._sides[0] * self._sides[1] > PIECE
        self._piece = max(PIECE // width, 1) if is_plain else self._sides[0]

    def _check(self, most: int) -> None:
        pixels = self._piece * self._sides[1]
        if pixels > most:
            kind = "tiles" if self._is_tiled else "strips"
            raise NoSegments(f"has {kind} of {pixels} pixels, each of which is decoded as a whole")
        if any(self._entries[tag].count * SIZES[self._entries[tag].kind] > MOST_VALUE for tag, _ in self._copied()):
            raise NoSegments("has a directory of more than a megabyte")
        wanted = self._down * self._across * self._planes
        for tag in (self._places, self._counts):
            if tag not in self._entries or self._entries[tag].count < wanted:
                raise NoSegments("does not say where all its pixels are")
        largest = GROWTH * math.ceil(self._sides[0] * self._sides[1] * self._bits_of_pixel / self._planes / 8) + 2**16
        for first in range(0, wanted, AT_ONCE):
            count = min(AT_ONCE, wanted - first)
            places, sizes = (self._numbers(tag, first=first, count=count) for tag in (self._places, self._counts))
            if len(places) < count or len(sizes) < count or max(map(sum, zip(places, sizes))) > self._length:
                raise NoSegments("is cut off")
            if min(sizes) == 0 or max(sizes) > largest:
                raise NoSegments("has a part without code, or with far too much of it")

    def _pieces(self, row: int, column: int, top: int, bottom: int) -> Iterator[Segment]:
        """The segment at a place of the layout, or where it is a plain strip the pieces of it between two rows."""
        number = row * self._across + column
        codes = []
        for plane in range(self._planes):
            first = plane * self._down * self._across + number
            (place,), (count,) = (self._numbers(tag, first=first, count=1) for tag in (self._places, self._counts))
            codes.append((place, count))
        (height, width), start = self._sides, row * self._sides[0]
        if not self._is_tiled:
            height = min(height, self.size[0] - start)
        if self._piece >= height:
            yield Segment(start, column * width, height, width, tuple(codes))
            return
        first, last = max(top - start, 0) // self._piece, (min(bottom - start, height) - 1) // self._piece
        for piece in range(first, last + 1):
            above, rows = piece * self._piece, min(self._piece, height - piece * self._piece)
            own = [
                (place + above * self._row_bytes, min(rows * self._row_bytes, max(count - above * self._row_bytes, 0)))
                for place, count in codes
            ]
            yield Segment(start + above, 0, rows, width, tuple(own))

    # --------------------------------------------------------------------------------------------------- a file of it

    def _copied(self) -> list[tuple[int, _Entry]]:
        return [(tag, self._entries[tag]) for tag in COPIED if tag in self._entries]

    def _value(self, entry: _Entry) -> bytes:
        return self._read(entry.place, entry.count * SIZES[entry.kind])

    def _written(self, entries: list[tuple[int, int, int, bytes]], names: tuple[int, int], codes: list[bytes]) -> bytes:
        """A file of directory entries (tag, kind, count, value); of the two `names` the values are filled in."""
        long, room, head, start = ("Q", 8, 8, 16) if self._is_big else ("I", 4, 2, 8)
        data = start + head + len(entries) * (4 + 2 * room) + room  # where the values begin that find no room within
        extra: list[bytes] = []
        places = data + sum(len(value) + len(value) % 2 for _, _, _, value in entries if len(value) > room)
        offsets = [places + sum(map(len, codes[:k])) for k in range(len(codes))]
        filled = dict(zip(names, (offsets, [len(code) for code in codes])))
        lines = []
        for tag, kind, count, value in entries:
            if tag in filled:
                value = struct.pack(f"{self._order}{len(codes)}{long}", *filled[tag])
            if len(value) > room:
                at = data + sum(map(len, extra))
                extra.append(value + bytes(len(value) % 2))
                value = struct.pack(self._order + long, at)
            lines.append(struct.pack(f"{self._order}HH{long}", tag, kind, count) + value.ljust(room, b"\0"))
        begin = struct.pack(f"{self._order}HHQ", 8, 0, 16) if self._is_big else struct.pack(f"{self._order}I", 8)
        number = struct.pack(self._order + ("Q" if self._is_big else "H"), len(entries))
        return b"".join([self._mark, begin, number, *lines, bytes(room), *extra, *codes])
