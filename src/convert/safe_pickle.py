"""Pickles from outside, read without running anything that they name.

A pickle is a program: it names functions and asks for them to be called. Here a name is looked up in a closed table of
rebuilders that only make arrays, dicts and numbers. What else may be named depends on the reader:

- strict (Detectron2's .pkl): nothing.
- otherwise (training checkpoints carry configurations, loggers, schedulers): a class of some project becomes a
  placeholder that ignores whatever is done to it. Names of Python's own library, NumPy and PyTorch outside of the
  tables are refused with the whole file: a checkpoint has no use for `os.system`, and one that has it is not to be
  trusted.
"""

import math
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from .bounded_pickle import MOST_CLASSES, BoundedUnpickler, Refused

PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
GUARDED_PACKAGES = sys.stdlib_module_names | {"numpy", "torch"}
ALWAYS_PLACEHOLDERS = re.compile(  # of the guarded packages: met in honest checkpoints, and never needed for a tensor
    r"builtins\.(getattr|set|frozenset|list|dict|tuple|slice|range|complex|bytearray|object|int|float|str|bool)"
    r"|argparse\.Namespace|types\.SimpleNamespace|pathlib\.\w+|pathlib\._local\.\w+|datetime\.\w+|uuid\.UUID"
    r"|collections\.(defaultdict|deque|Counter)|copyreg\._reconstructor|functools\.partial|enum\.\w+"
    r"|torch\.(nn|optim|distributed|cuda\.amp|amp)\..+|torch\.(device|Size|Generator|dtype|strided|serialization\..+)"
    r"|torch\.(float|double|half|bfloat|complex|int|long|short|uint|bool)\w*|torch\.\w+Tensor"
    r"|numpy\.(dtypes\..+|random\..+|(float|int|uint|bool|str|complex)\w*)"
)
MOST_AXES = 32  # of an array, as in NumPy
LONGEST_SIDE = 2**48
PLAIN_DTYPE = re.compile(r"[<>|=]?(b1|\?|[iu][1248]|f[248]|c8|c16)")


def one_line(text: Any) -> str:
    """Text out of a file for a message: printable, and not too long."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:200])


class Placeholder:
    """Stands for an object of a class that is not loaded. `origin` names the class."""

    origin = ""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def _ignore(self, *args) -> None:
        """Whatever a pickle may ask of an instance."""

    __setstate__ = append = extend = add = __setitem__ = _ignore


class Rebuilder:
    """A function that a pickle may call. It cannot be altered from inside the pickle."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise Refused("it tries to change the reader itself")

    def __setstate__(self, state: Any) -> None:
        raise Refused("it tries to change the reader itself")


class PickledDtype:
    """NumPy's dtype as pickles make it: a code, then a state with the byte order."""

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code):
            shown = repr(code[:20]) if isinstance(code, str) else f"that is a {type(code).__name__}"
            raise Refused(f"it holds arrays of type {shown}, not of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refused("it holds an array type that cannot be read")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """NumPy's array as pickles make it: empty, then a state (version, shape, dtype, is_fortran, data)."""

    def __init__(self, *_: Any):
        self.values = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple) -> None:
        if not isinstance(state, tuple) or len(state) < 4:
            raise Refused("it holds an array that cannot be read")
        shape, dtype, is_fortran, data = state[-4:]
        self.values = _from_bytes(data, dtype, shape, "F" if is_fortran else "C")


def _from_bytes(data: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray:
    if isinstance(data, str):  # written by Python 2
        data = data.encode("latin1")
    if not isinstance(dtype, PickledDtype) or not isinstance(data, bytes | bytearray):
        raise Refused("it holds an array that is not of numbers")
    sides = shape if isinstance(shape, tuple | list) else (shape,)
    if not all(type(n) is int and 0 <= n < LONGEST_SIDE for n in sides) or len(sides) > MOST_AXES:
        raise Refused("it holds an array whose shape is none")
    if math.prod(sides) * dtype.dtype.itemsize != len(data):
        raise Refused(f"it holds an array of shape {list(sides)} with {len(data)} bytes")
    return np.frombuffer(data, dtype.dtype).reshape(sides, order="F" if order == "F" else "C")


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> PickledArray:
    array = PickledArray()
    array.values = _from_bytes(data, dtype, shape, "F" if order == "F" else "C")
    return array


def _number(dtype: Any, data: Any = b"") -> Any:
    return _from_bytes(data, dtype, ()).item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How Python 3 writes bytes in old protocols."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("it encodes something that is no text")
    return text.encode("latin1")


def _ordered_dict(*pairs: Any) -> OrderedDict:
    """Pickles of Python 2 hand over the pairs; later ones set them afterwards."""
    made = OrderedDict()
    for key, value in pairs[0] if pairs else ():
        if not isinstance(key, str):
            raise Refused("it holds a dict whose keys are no names")
        made[key] = value
    return made


ARRAYS = {
    ("collections", "OrderedDict"): Rebuilder(_ordered_dict),
    ("_codecs", "encode"): Rebuilder(_encode),
    ("numpy", "ndarray"): Rebuilder(PickledArray),
    ("numpy", "dtype"): Rebuilder(PickledDtype),
    **{
        (f"numpy.{core}.{module}", name): Rebuilder(function)
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", PickledArray),
            ("multiarray", "scalar", _number),
            ("numeric", "_frombuffer", _array_from_buffer),
        )
    },
}


class SafeUnpickler(BoundedUnpickler):
    """Reads one pickle from `file`, whose end is `size` bytes away.

    extra: rebuilders besides `ARRAYS`, by (module, name). persistent: makes objects of persistent ids.
    placeholders counts them by class after `load`.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        strict: bool,
        extra: dict[tuple[str, str], Any] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ):
        super().__init__(file, size, encoding="latin1")
        self.strict = strict
        self.known = {**ARRAYS, **(extra or {})}
        self.persistent = persistent
        self.placeholders: Counter[str] = Counter()
        self._stand_ins: dict[str, type[Placeholder]] = {}

    def find_class(self, module: str, name: str) -> Any:
        module = PYTHON2_MODULES.get(module, module)
        if (module, name) in self.known:
            return self.known[module, name]
        full = one_line(f"{module}.{name}")
        guarded = module.partition(".")[0] in GUARDED_PACKAGES
        if self.strict or (guarded and not ALWAYS_PLACEHOLDERS.fullmatch(full)):
            raise Refused(f"it asks for {full}, which no weights need; nothing of it was run")
        self.placeholders[full] += 1
        if len(self._stand_ins) == MOST_CLASSES:
            raise Refused(f"it holds objects of more than {MOST_CLASSES:,} classes")
        if full not in self._stand_ins:
            self._stand_ins[full] = type("StandIn", (Placeholder,), {"origin": full})
        return self._stand_ins[full]

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise Refused("it refers to data outside of the file")
        return self.persistent(pid)
