"""The few facts that are read of a TIFF file's first picture, or of an EXIF block, which is made like one.

Format: TIFF 6.0 (Adobe, 1992), BigTIFF, EXIF 2.3. Nothing is decoded, and no number in the file is trusted.
"""

import struct
from collections.abc import Collection

WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANES = 256, 257, 258, 262, 274, 277, 284
MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic, and BigTIFF
KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # whole numbers without sign
MOST_TAGS, MOST_VALUES = 4096, 16

Tags = dict[int, tuple[tuple[int, ...], int, str]]  # by tag: values, where in the file they stand, and in which form


def read_tags(content: bytes, wanted: Collection[int]) -> Tags:
    """The wanted tags of the first directory, as far as they are there and hold whole numbers."""
    found: Tags = {}
    if content[:4] not in MARKS:
        return found
    order, is_big = "<" if content[:2] == b"II" else ">", content[2:4] in (b"+\0", b"\0+")
    (start,) = _numbers(content, 8 if is_big else 4, f"{order}{'Q' if is_big else 'I'}") or (len(content),)
    (count,) = _numbers(content, start, f"{order}{'Q' if is_big else 'H'}") or (0,)
    first, size, room = (start + 8, 20, 8) if is_big else (start + 2, 12, 4)
    for place in range(first, first + min(count, MOST_TAGS) * size, size):
        entry = _numbers(content, place, f"{order}HH{'Q' if is_big else 'I'}")
        if entry is None:
            break
        tag, kind, number = entry
        if tag not in wanted or kind not in KINDS or not 1 <= number <= MOST_VALUES:
            continue
        form = f"{order}{number}{KINDS[kind]}"
        at = place + size - room
        if struct.calcsize(form) > room:
            (at,) = _numbers(content, at, f"{order}{'Q' if is_big else 'I'}") or (len(content),)
        if (values := _numbers(content, at, form)) is not None:
            found[tag] = values, at, form
    return found


def orientation_of(tags: Tags) -> int:
    """How the picture is to be turned, EXIF's 1 to 8; 1, not at all, where nothing or nonsense is said."""
    value = tags[ORIENTATION][0][0] if ORIENTATION in tags else 1
    return value if 1 <= value <= 8 else 1


def as_stored(content: bytes, tags: Tags) -> bytes:
    """The file, saying of itself that it is not to be turned: some readers turn TIFF by themselves, others do not."""
    if orientation_of(tags) == 1:
        return content
    values, place, form = tags[ORIENTATION]
    changed = bytearray(content)
    struct.pack_into(form, changed, place, 1, *values[1:])
    return bytes(changed)


def _numbers(content: bytes, place: int, form: str) -> tuple[int, ...] | None:
    """The numbers at a place, None where the file has ended before."""
    return struct.unpack_from(form, content, place) if place + struct.calcsize(form) <= len(content) else None
