"""The entries of a MindSpore checkpoint as arrays, every size checked before a byte is looked at.

MindSpore's own reader hands shape and bytes on to its tensors as they stand; where they disagree it reads and writes
beyond its memory.
"""

import binascii
import math
from pathlib import Path

import numpy as np

from .file_facts import CHECKSUM, SUM_BYTES

TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "<i2", "UInt16": "<u2", "Int32": "<i4", "UInt32": "<u4", "Int64": "<i8",
    "UInt64": "<u8", "Float16": "<f2", "Float32": "<f4", "Float64": "<f8", "Bool": "?", "BFloat16": "<u2",
}  # fmt: skip
LONGEST_NAME = 300
SHOWN = 60


def parse_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """All arrays by name; bfloat16 comes as float32. ValueError, in one line, for what is no whole checkpoint."""
    from mindspore.train.checkpoint_pb2 import Checkpoint

    content = memoryview(path.read_bytes())
    end = len(content) - len(CHECKSUM) - SUM_BYTES
    if end >= 0 and content[end : end + len(CHECKSUM)] == CHECKSUM:
        written = int.from_bytes(content[-SUM_BYTES:], "big")
        content = content[:end]
        if binascii.crc32(content) != written:
            raise ValueError("its checksum is not that of its content")
    checkpoint = Checkpoint()
    try:
        checkpoint.ParseFromString(bytes(content))
    except Exception as error:  # protobuf raises many kinds, all of which mean that the file is no good
        raise ValueError(f"it is no checkpoint: {str(error)[:SHOWN]}") from None
    found: dict[str, np.ndarray] = {}
    parts: list[bytes] = []
    for number, entry in enumerate(checkpoint.value, start=1):
        if not entry.HasField("tensor"):
            raise ValueError(f"its entry {_shown(entry.tag)} is no array")
        if not entry.tag.isprintable() or len(entry.tag) > LONGEST_NAME:
            raise ValueError(f"the name of its entry {_shown(entry.tag)} is none")
        parts.append(entry.tensor.tensor_content)
        if number < len(checkpoint.value) and checkpoint.value[number].tag == entry.tag:
            continue  # a large array stands in parts
        if entry.tag in found:
            raise ValueError(f"it has two entries {_shown(entry.tag)}")
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        found[entry.tag] = _array(entry.tag, entry.tensor.tensor_type, list(entry.tensor.dims), content)
        parts = []
    if not found:
        raise ValueError("it is empty")
    return found


def _array(name: str, kind: str, shape: list[int], content: bytes) -> np.ndarray:
    if kind not in TYPES:
        raise ValueError(f"its entry {_shown(name)} has the type {_shown(kind)}")
    shape = [] if shape == [0] and content else shape  # how a number is written
    dtype = np.dtype(TYPES[kind])
    if min(shape, default=0) < 0 or len(shape) > 32 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"its entry {_shown(name)} of shape {str(shape):.60} and type {kind} has {len(content)} bytes")
    values = np.frombuffer(content, dtype)
    if kind == "BFloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(shape)


def _shown(text: str) -> str:
    return repr(text[:SHOWN])
