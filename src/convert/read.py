"""Weights of another project's file as NumPy arrays by name: .pth and .pt, Detectron2's .pkl, .safetensors,
MindSpore's .ckpt, Paddle's .pdparams.

The content decides about the format, not the name. Nothing that a file names is ever run, see `safe_pickle`.
"""

import os
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import is_own, read_mindspore
from ..errors import UserError
from ..reading import is_file, no_file
from .bounded_pickle import Refused
from .safe_pickle import PickledArray, Placeholder, SafeUnpickler, one_line
from .torch_file import StoredTensor, is_legacy_file, is_torch_archive, read_archive, read_legacy

# Where checkpoints keep their weights, the plain ones before their moving averages.
CONTAINERS = (
    "state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights", "params", "module", "blobs",
    "ema", "model_ema", "state_dict_ema", "ema_state_dict", "params_ema",
)  # fmt: skip
AVERAGE = "ema."  # what the names of MindCV's moving averages begin with
MAX_NESTING = 3
LONGEST_NAME = 300  # characters of a tensor's name
MOST_TENSORS = 100_000
SHARED, ALLOWANCE = 4, 2**28  # bytes that the tensors may take together: times those of the file, and so many more
HEAD = 32  # bytes that tell the formats apart
SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1",
    "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip


@dataclass
class ForeignFile:
    """tensors: arrays by the file's own names. entry: where in the file they lie, '' for its top.

    others: entries besides it that hold weights too. not_tensors: names in it that hold no tensor. metadata: the top's
    other entries. placeholders: classes of objects that were not loaded, with their numbers.
    """

    tensors: dict[str, np.ndarray]
    entry: str = ""
    others: list[str] = field(default_factory=list)
    not_tensors: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    placeholders: Counter[str] = field(default_factory=Counter)


def read_foreign(path: str | Path, entry: str = "") -> ForeignFile:
    """Read the weights of a file; `entry` (dotted) names the dict that holds them where it is not a usual one.

    Raises UserError, one line, for a missing, cut-off, damaged, foreign or malicious file.
    """
    path = Path(path)
    if not is_file(path):
        raise UserError(f"{path} {no_file(path)}")
    try:
        if _is_mindspore(path):
            return _of_mindspore(read_mindspore(path), entry, path)
        content, placeholders = _load(path)
        found = _find_weights(content, entry, path.stat().st_size)
        found.placeholders = placeholders
        return found
    except UserError:
        raise
    except Refused as error:
        raise UserError(f"{path} is refused: {one_line(error)}") from None
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} cannot be read, it is cut off or damaged ({one_line(error)})") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # a damaged pickle raises nearly anything, all of which mean that the file is no good
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{path} cannot be read, it is cut off, damaged or no checkpoint ({reason})") from None


def _is_mindspore(path: Path) -> bool:
    """Whether the file begins as MindSpore's do: the first field of a protocol buffer, which is a message."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return head[:1] == b"\n" and head[5:9] != b"\0\0\0{"  # and is no header of a safetensors file


def _of_mindspore(values: dict[str, np.ndarray], entry: str, path: Path) -> ForeignFile:
    """MindSpore's checkpoints are flat; a moving average of the weights has their names with `ema.` in front."""
    if is_own(values):
        raise UserError(f"{path} is a checkpoint of this project already: it needs no conversion")
    averages = {name.removeprefix(AVERAGE): value for name, value in values.items() if name.startswith(AVERAGE)}
    if not entry:
        return ForeignFile(values, others=[AVERAGE[:-1]] if averages else [])
    if entry != AVERAGE[:-1] or not averages:
        there = f"there is {AVERAGE[:-1]}" if averages else "MindSpore's files are flat"
        raise Refused(f"it has no entry {one_line(entry)}; {there}")
    plain = {name: value for name, value in values.items() if not name.startswith(AVERAGE) and name not in averages}
    return ForeignFile({**plain, **averages}, entry)


def _load(path: Path) -> tuple[Any, Counter[str]]:
    with open(path, "rb") as file:
        head = file.read(HEAD)
        if not head:
            raise Refused("it is empty")
        if head[:2] == b"PK":
            if not is_torch_archive(path):
                raise zipfile.BadZipFile("the archive has no end")
            return read_archive(path)
        if head[5:9] == b"\0\0\0{":  # the length of the header, then the header, in JSON
            return _read_safetensors(path), Counter()
        if head[:1] not in (b"\x80", b"(", b"c", b"}"):
            raise Refused("it is no file of PyTorch, MindSpore or Paddle, no pickle and no safetensors file")
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if is_legacy_file(head):
            return read_legacy(file, size)
        unpickler = SafeUnpickler(file, size, strict=True)
        return unpickler.load(), unpickler.placeholders


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError:
        raise UserError(f"{path}: reading it needs the package safetensors; pip install safetensors") from None
    try:
        entries = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise Refused(f"it is no whole safetensors file ({error})") from None
    arrays = {}
    for name, entry in entries:
        kind, shape = entry["dtype"], entry["shape"]
        if kind == "BF16":
            upper = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
            arrays[name] = (upper << 16).view(np.float32).reshape(shape)
        elif kind in SAFETENSORS_TYPES:
            arrays[name] = np.frombuffer(entry["data"], SAFETENSORS_TYPES[kind]).reshape(shape)
        else:
            raise Refused(f"tensor {name} has the type {kind}, which is not known here")
    return arrays


def _find_weights(content: Any, entry: str, size: int) -> ForeignFile:
    """size: bytes of the file, which bound those of its tensors together."""
    if isinstance(content, Placeholder):
        raise Refused(f"it holds an object of class {content.origin} instead of a dict; save its state_dict()")
    if not isinstance(content, Mapping):
        raise Refused(f"it holds a {type(content).__name__} instead of a dict of tensors")
    if entry:
        place, others = _entry(content, entry), []
    else:
        entry, place, others = _usual_place(content)
    stored = {name: value for name, value in place.items() if _is_tensor(name, value)}
    _check_sum(stored, size)
    tensors = {name: _array(value) for name, value in stored.items()}
    if not tensors:
        known = [_name(name) for name in list(place)[:8]]
        raise Refused(f"{'entry ' + entry if entry else 'it'} holds no tensors, but {', '.join(known) or 'nothing'}")
    top = entry.partition(".")[0]
    metadata = {name: value for name, value in content.items() if isinstance(name, str) and name != top and entry}
    return ForeignFile(tensors, entry, others, [_name(name) for name in place if name not in tensors], metadata)


def _check_sum(stored: Mapping[str, StoredTensor | PickledArray | np.ndarray], size: int) -> None:
    """`Refused` where the arrays would take far more than the file: tensors may share numbers, and repeat them."""
    if len(stored) > MOST_TENSORS:
        raise Refused(f"it holds {len(stored):,} tensors, more than any network")
    sizes = {name: _bytes_and_shape(value) for name, value in stored.items()}
    total = sum(count for count, _ in sizes.values())
    if total > SHARED * size + ALLOWANCE:
        name, (_, shape) = max(sizes.items(), key=lambda item: item[1][0])
        raise Refused(
            f"its {len(stored)} tensors would take {total:,} bytes, the file has {size:,}; the largest is "
            f"{_name(name)} {list(shape)}"
        )


def _bytes_and_shape(value: StoredTensor | PickledArray | np.ndarray) -> tuple[int, tuple[int, ...]]:
    if isinstance(value, StoredTensor):
        return value.bytes, value.size
    array = value.values if isinstance(value, PickledArray) else value
    return array.nbytes, array.shape


def _name(name: Any) -> str:
    """A key for a message."""
    return one_line(name[:40]) if isinstance(name, str) else f"({type(name).__name__})"


def _entry(content: Mapping, dotted: str) -> Mapping:
    place = content
    for name in dotted.split("."):
        known = ", ".join(_name(key) for key in list(place)[:8])
        place = place.get(name)
        if not isinstance(place, Mapping):
            raise Refused(f"it has no dict {dotted}; there are {known}")
    return place


def _usual_place(content: Mapping) -> tuple[str, Mapping, list[str]]:
    """Descend into the usual containers as long as there are some."""
    path, place, others = [], content, []
    for _ in range(MAX_NESTING):
        found = [name for name in CONTAINERS if isinstance(place.get(name), Mapping) and _has_tensors(place[name])]
        if not found:
            break
        others += [".".join([*path, name]) for name in found[1:]]
        path.append(found[0])
        place = place[found[0]]
    for name in CONTAINERS:
        if not path and isinstance(place.get(name), Placeholder):
            raise Refused(f"its {name!r} is an object of class {place[name].origin}; save its state_dict() instead")
    return ".".join(path), place, others


def _has_tensors(place: Mapping, depth: int = 0) -> bool:
    if any(_is_tensor(name, value) for name, value in place.items()):
        return True
    inner = [place[name] for name in CONTAINERS if isinstance(place.get(name), Mapping)]
    return depth < MAX_NESTING and any(_has_tensors(value, depth + 1) for value in inner)


def _is_tensor(name: Any, value: Any) -> bool:
    kinds = StoredTensor | PickledArray | np.ndarray
    return isinstance(name, str) and len(name) <= LONGEST_NAME and name.isprintable() and isinstance(value, kinds)


def _array(value: StoredTensor | PickledArray | np.ndarray) -> np.ndarray:
    if isinstance(value, StoredTensor):
        return value.array()
    values = value.values if isinstance(value, PickledArray) else value
    return values.astype(values.dtype.newbyteorder("="))
