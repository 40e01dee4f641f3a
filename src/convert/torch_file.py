"""PyTorch's two file formats, read without PyTorch: the zip archive, and the row of pickles from before 1.6.

Both hold a pickle whose tensors refer to storages (flat arrays) by key. Tensors are views: offset, size and stride.
"""

import io
import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .bounded_pickle import BoundedFile, Refused
from .safe_pickle import LONGEST_SIDE, MOST_AXES, Rebuilder, SafeUnpickler

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
STORAGE_TYPES = {  # NumPy's code; bfloat16 has none and comes as its upper half of a float32
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "u2",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?", "ComplexDoubleStorage": "c16", "ComplexFloatStorage": "c8",
}  # fmt: skip


class StorageType:
    """`torch.FloatStorage` and its like, as a persistent id names it."""

    __slots__ = ("code", "is_bfloat16")

    def __init__(self, name: str):
        object.__setattr__(self, "code", STORAGE_TYPES[name])
        object.__setattr__(self, "is_bfloat16", name == "BFloat16Storage")

    def __setattr__(self, name: str, value: Any) -> None:
        raise Refused("it tries to change the reader itself")


class Unalterable:
    """What a pickle has made and the reader has checked: the pickle may not set its attributes afterwards (BUILD)."""

    def __setstate__(self, state: Any) -> None:
        raise Refused("it tries to change the reader itself")


class Storage(Unalterable):
    """A flat array that tensors look at; `values` is there once its bytes have been read."""

    def __init__(self, kind: StorageType, count: int, byte_order: str):
        self.dtype = np.dtype(byte_order + kind.code)
        self.is_bfloat16 = kind.is_bfloat16
        self.count = count
        self.values: np.ndarray | None = None

    def fill(self, data: bytes) -> None:
        if len(data) != self.count * self.dtype.itemsize:
            raise Refused(f"a storage of {self.count} numbers has {len(data)} bytes; the file is cut off or damaged")
        self.values = np.frombuffer(data, self.dtype)


class StoredTensor(Unalterable):
    """A tensor as the pickle describes it; `array()` checks and reads it."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any):
        if not (isinstance(storage, Storage) and isinstance(size, tuple | list) and isinstance(stride, tuple | list)):
            raise Refused("it holds a tensor that cannot be read")
        if len(size) != len(stride) or len(size) > MOST_AXES:
            raise Refused("it holds a tensor whose size and stride differ in length")
        if not all(type(n) is int and 0 <= n < LONGEST_SIDE for n in (offset, *size, *stride)):
            raise Refused("it holds a tensor that cannot be read")
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

    @property
    def bytes(self) -> int:
        """What `array()` takes."""
        return math.prod(self.size) * (4 if self.storage.is_bfloat16 else self.storage.dtype.itemsize)

    def array(self) -> np.ndarray:
        """A contiguous copy in the machine's byte order; bfloat16 comes as float32."""
        values, count = self.storage.values, math.prod(self.size)
        if values is None:
            raise Refused("a tensor's storage is missing")
        if count == 0:
            return np.zeros(self.size, self.storage.dtype.newbyteorder("="))
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride))
        if last >= len(values):
            raise Refused(f"a tensor of size {list(self.size)} reaches beyond its storage of {len(values)} numbers")
        steps = [step * values.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.size, steps)
        if self.storage.is_bfloat16:
            return (view.astype(np.uint32, order="C") << 16).view(np.float32)
        return view.astype(self.storage.dtype.newbyteorder("="), order="C")


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _from_type(function: Any, kind: Any, args: Any, *_: Any) -> Any:
    """A tensor of a subclass: the subclass does not matter here."""
    if not isinstance(function, Rebuilder):
        raise Refused("it rebuilds a tensor in an unknown way")
    return function(*args)


TENSORS = {
    ("torch._utils", "_rebuild_tensor"): Rebuilder(StoredTensor),
    ("torch._utils", "_rebuild_tensor_v2"): Rebuilder(StoredTensor),
    ("torch._utils", "_rebuild_parameter"): Rebuilder(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Rebuilder(_parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): Rebuilder(_from_type),
    **{("torch", name): StorageType(name) for name in STORAGE_TYPES},
}


class _Storages:
    """Storages by key, shared by the tensors that look at them."""

    def __init__(self, byte_order: str):
        self.byte_order = byte_order
        self.by_key: dict[str, Storage] = {}

    def load(self, pid: Any) -> Storage:
        """('storage', type, key, device, count[, view]) -> the storage; older files know views of storages."""
        well_formed = isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"
        well_formed = well_formed and isinstance(pid[1], StorageType) and isinstance(pid[2], str)
        if well_formed and type(pid[4]) is int and 0 <= pid[4] < LONGEST_SIDE:
            if len(pid) > 5 and pid[5] is not None:
                raise Refused("it holds views of storages; save it again with a newer PyTorch")
            storage = self.by_key.setdefault(pid[2], Storage(pid[1], pid[4], self.byte_order))
            if storage.dtype.itemsize * storage.count != np.dtype(pid[1].code).itemsize * pid[4]:
                raise Refused("two tensors disagree about the storage that they share")
            return storage
        if isinstance(pid, tuple) and pid and pid[0] == "module":
            raise Refused("it holds a whole module; save its state_dict()")
        raise Refused("it refers to data in an unknown way")


def is_torch_archive(path: Path) -> bool:
    """Whether it is a zip archive (the format since PyTorch 1.6)."""
    return zipfile.is_zipfile(path)


def read_archive(path: Path) -> tuple[Any, Counter[str]]:
    """The pickled object of a zip archive, and how many objects of which classes were not loaded."""
    with zipfile.ZipFile(path) as archive:
        names = dict.fromkeys(archive.namelist())
        pickles = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise Refused("it is a zip archive without data.pkl, not a PyTorch checkpoint")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names:
            raise Refused("it is a TorchScript archive; save the module's state_dict()")
        size = path.stat().st_size
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise Refused("it is a compressed archive, not a PyTorch checkpoint")
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise Refused("the entries of its archive are longer together than the file")
        order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in names else b"little"
        storages = _Storages(">" if order == b"big" else "<")
        content = archive.read(pickles[0])
        unpickler = SafeUnpickler(
            io.BytesIO(content), len(content), strict=False, extra=TENSORS, persistent=storages.load
        )
        loaded = unpickler.load()
        for key, storage in storages.by_key.items():
            if f"{folder}data/{key}" not in names:
                raise Refused(f"its storage {key[:20]!r} is missing")
            storage.fill(archive.read(f"{folder}data/{key}"))
    return loaded, unpickler.placeholders


def is_legacy_file(head: bytes) -> bool:
    """Whether a file's first bytes pickle PyTorch's magic number (the format before 1.6)."""
    return LEGACY_MAGIC.to_bytes(10, "little") in head


def read_legacy(file: BinaryIO, size: int) -> tuple[Any, Counter[str]]:
    """Magic number, version, system, the object, the storages' keys, each a pickle, then each storage's bytes.

    size: of the file, which is read from where it stands.
    """

    def plain() -> Any:
        return SafeUnpickler(file, size - file.tell(), strict=True).load()

    if [plain() for _ in range(2)] != [LEGACY_MAGIC, LEGACY_VERSION]:
        raise Refused("it has an unknown version of PyTorch's format")
    system = plain()
    storages = _Storages("<" if system["little_endian"] else ">")
    unpickler = SafeUnpickler(file, size - file.tell(), strict=False, extra=TENSORS, persistent=storages.load)
    loaded, keys = unpickler.load(), plain()
    rest = BoundedFile(file, size - file.tell())
    for key in keys:
        storage = storages.by_key[key]
        count = int.from_bytes(rest.read(8), "little" if storages.byte_order == "<" else "big")
        if count != storage.count:
            raise Refused("a storage has another length than its tensors say; the file is damaged")
        storage.fill(rest.read(count * storage.dtype.itemsize))
    return loaded, unpickler.placeholders
