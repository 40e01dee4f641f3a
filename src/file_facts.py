"""What a checkpoint or an exported file says of itself, found without the framework and without reading its weights.

Both are protocol buffers: a chain of (field's number, length, content), so that whatever is not looked for is leapt
over. A file of gigabytes takes milliseconds.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .errors import UserError
from .reading import is_file, no_file, parse_json, why

CHECKSUM = b"crc_num"  # and ten bytes, at the end of a checkpoint that has one
SUM_BYTES = 10
FACTS_ENTRY = "state/facts"  # of a checkpoint: JSON as bytes, see `checkpoint.checkpoint_facts`
CONFIGURATION = "configuration"  # of an exported file's metadata: the keys that say what its network is
EXPORTED = {".onnx": "onnx", ".mindir": "mindir"}  # suffix: what runs such a file
MOST_BYTES = 2**23  # of facts: 100,000 class names, twice
MOST_FIELDS = 200_000  # in a row: of a network with its optimizer's state there are thousands
LONGEST_NAME = 300  # bytes of an entry's name
LONGEST_VARINT = 10  # bytes
VARINT, EIGHT, SIZED, FOUR = 0, 1, 2, 5  # kinds of fields
VALUES = 1  # field of a checkpoint: an entry (name 1, array 2), whose content is the array's field 3
NAME, ARRAY, CONTENT = 1, 2, 3
METADATA = 14  # field of an exported file, ONNX and MINDIR alike: a pair (key 1, value 2) of texts
FOREIGN = (b"PK", b"\x80")  # how files of PyTorch begin

Span = tuple[int, int]  # place in the file, size


def read_facts(path: str | Path) -> dict[str, Any]:
    """What training wrote beside the weights (task, class_names, config, ...), or what export.py did; empty where the
    file says nothing. UserError for one that is missing, cut off or damaged.
    """
    path = Path(path)
    if not is_file(path):
        raise UserError(f"checkpoint {path} {no_file(path)}")
    try:
        with open(path, "rb") as file:
            if path.suffix == ".ckpt":
                return _of_checkpoint(file)
            if path.suffix.lower() in EXPORTED:
                return _of_exported(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {why(error)}") from None
    except ValueError as error:
        kind = f"{path.suffix.upper()[1:]} file" if path.suffix.lower() in EXPORTED else "checkpoint"
        raise UserError(f"{path} cannot be read, it is cut off, damaged or no {kind} ({error})") from None
    return {}


def _of_checkpoint(file: BinaryIO) -> dict[str, Any]:
    if file.read(2).startswith(FOREIGN):
        return {}
    end = file.seek(0, os.SEEK_END)
    if end >= len(CHECKSUM) + SUM_BYTES:
        file.seek(end - len(CHECKSUM) - SUM_BYTES)
        end -= (len(CHECKSUM) + SUM_BYTES) * (file.read(len(CHECKSUM)) == CHECKSUM)
    content = b""
    for number, entry in _fields(file, (0, end)):
        parts = dict(_fields(file, entry)) if number == VALUES else {}
        if NAME in parts and ARRAY in parts and _text(file, parts[NAME], LONGEST_NAME) == FACTS_ENTRY:
            array = dict(_fields(file, parts[ARRAY]))
            content += _bytes(file, array.get(CONTENT, (0, 0)), MOST_BYTES - len(content))
    facts = parse_json(content) if content else {}
    if not isinstance(facts, dict):
        raise ValueError(f"its entry {FACTS_ENTRY} is no mapping")
    return facts


def _of_exported(file: BinaryIO) -> dict[str, Any]:
    """Values that are JSON as what they say; texts of other origin stay texts."""
    found: dict[str, Any] = {}
    left = MOST_BYTES
    for number, pair in _fields(file, (0, file.seek(0, os.SEEK_END))):
        if number != METADATA:
            continue
        parts = dict(_fields(file, pair))
        key, value = (_text(file, parts.get(part, (0, 0)), left) for part in (1, 2))
        left -= len(key) + len(value)
        try:
            found[key] = parse_json(value)
        except ValueError:
            found[key] = value
    return found


def _fields(file: BinaryIO, span: Span) -> Iterator[tuple[int, Span]]:
    """(number, place and size) of the fields that have a size, one after the other. ValueError for what is none."""
    place, end = span[0], sum(span)
    for _ in range(MOST_FIELDS):
        if place == end:
            return
        file.seek(place)
        key = _varint(file)
        kind = key & 7
        if not key >> 3:
            raise ValueError("a field of it has the number 0")
        if kind == VARINT:
            _varint(file)
            size = 0
        elif kind == SIZED:
            size = _varint(file)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
        else:
            raise ValueError(f"a field of it is of kind {kind}")
        start = file.tell()
        place = start + size
        if place > end:
            raise ValueError("a field of it is longer than what holds it")
        if kind == SIZED:
            yield key >> 3, (start, size)
    if place < end:
        raise ValueError(f"it has more than {MOST_FIELDS:,} fields in a row")


def _varint(file: BinaryIO) -> int:
    value = 0
    for place in range(LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << 7 * place
        if byte[0] < 0x80:
            return value
    raise ValueError("a number in it does not end")


def _text(file: BinaryIO, span: Span, most: int) -> str:
    return _bytes(file, span, most).decode("utf-8", "replace")


def _bytes(file: BinaryIO, span: Span, most: int) -> bytes:
    if span[1] > most:
        raise ValueError(f"what it says of itself is longer than {MOST_BYTES:,} bytes, or a name in it too long")
    file.seek(span[0])
    return file.read(span[1])
