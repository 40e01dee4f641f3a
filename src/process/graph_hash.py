"""What a compiled graph is made from, as one number: networks of equal hash compile to the same graph.

MindSpore bakes every attribute that is no Parameter into the graph. So the hash is over all of them, wherever they
hang: on cells, primitives, settings objects, in tuples and closures. A parameter counts by its name, shape, type and
whether it learns; its value is the graph's input.
"""

import contextlib
import enum
import functools
import hashlib
import re
import sys
import types
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn

PACKAGE = Path(__file__).parents[1]
FRAMEWORK = Path(ms.__file__).parent
# Of what MindSpore keeps on every cell: what the compiler reads. The rest are counters, times and caches.
READ_BY_COMPILER = {
    "_params", "_cells", "_buffers", "_params_list", "_primitives", "training", "requires_grad",
    "_recompute_cell", "mixed_precision_type", "_jit_config_dict", "_amp_level", "has_bprop", "grad_ops_label",
    "_has_config_recompute", "_in_strategy", "_out_strategy", "_lazy_forward_pre_hook", "_lazy_forward_hook",
    "_lazy_backward_pre_hook", "_lazy_backward_hook",
}  # fmt: skip
# Left on a cell by a compilation, by us (see compile_cache.py), or told again by other attributes.
LEFT_OUT = {"compile", "current_phase", "sequence_modified", "_cell_init_args", "enable_tuple_broaden"}
JIT_TIME = "hash_obj"  # in what `ms.jit` makes of a function: when it was made
PLAIN = {type(None), bool, int, float, complex, str, bytes}
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def graph_hash(network: nn.Cell, arguments: Sequence, named: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """32 hexadecimal digits over a network, the shapes and types of what it is called with, and further facts."""
    walk = _Walk()
    for part in (dict(facts), network, signature(arguments, named)):
        walk.add(part)
    return walk.digest()


def signature(arguments: Sequence, named: Mapping[str, Any]) -> tuple:
    """Shapes and types of tensors, other values as they are: what tells the graphs of one network apart."""
    return tuple(map(_argument, arguments)), tuple((name, _argument(value)) for name, value in sorted(named.items()))


def code_hash(folder: Path, pattern: str) -> str:
    """Over the names and bytes of all files below `folder`."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _argument(value: Any) -> Any:
    if isinstance(value, ms.Tensor):
        return "tensor", tuple(value.shape), str(value.dtype)
    return tuple(map(_argument, value)) if isinstance(value, list | tuple) else repr(value)


class _Walk:
    """Adds values to the hash, and what hangs on them. An object met again counts by its number, a container by what
    is in it: which of two equal ones it is means nothing.
    """

    def __init__(self):
        self.total = hashlib.sha256()
        self.numbers: dict[int, int] = {}
        self.met: list[Any] = []  # kept, so that no id is given twice
        self.inside: set[int] = set()  # containers that are being added: one of them in itself would never end
        self.files: dict[str, str] = {}
        self.classes: dict[type, list[str]] = {}

    def digest(self) -> str:
        return self.total.hexdigest()[:32]

    def add(self, value: Any) -> None:
        if type(value) in PLAIN or isinstance(value, np.generic):
            self._write(type(value).__name__, ADDRESS.sub("", repr(value)))
        elif isinstance(value, dict | set | frozenset | tuple | list):
            self._container(value)
        elif isinstance(value, ms.Parameter):
            self._write("parameter", value.name, tuple(value.shape), value.dtype, value.requires_grad)
        elif isinstance(value, ms.Tensor):
            self._array("tensor", value.asnumpy())
        elif isinstance(value, np.ndarray):
            self._array("array", value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._write("module", value.__name__)
        elif id(value) in self.numbers:
            self._write("again", self.numbers[id(value)])
        else:
            self.numbers[id(value)] = len(self.met)
            self.met.append(value)
            self._structure(value)

    def _container(self, value: Any) -> None:
        if id(value) in self.inside:
            self._write("in itself")
            return
        self.inside.add(id(value))
        self._write(type(value).__qualname__, len(value))
        if isinstance(value, set | frozenset):
            self._write(*sorted(ADDRESS.sub("", repr(item)) for item in value))
        elif isinstance(value, dict):
            for name, item in list(value.items()):
                self._parts(name, item)
        else:
            self._parts(*value)
        self.inside.remove(id(value))

    def _structure(self, value: Any) -> None:
        if isinstance(value, functools.partial):
            self._parts("partial", value.func, value.args, value.keywords)
        elif isinstance(value, types.MethodType):
            self._parts("method", value.__func__, value.__self__)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        else:
            self._object(value)

    def _function(self, function: types.FunctionType) -> None:
        self._write("function", function.__qualname__, self._source(function.__module__))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            with contextlib.suppress(ValueError):  # a name without a value yet
                self.add(None if name == JIT_TIME else cell.cell_contents)
        self._parts("defaults", function.__defaults__, function.__kwdefaults__)

    def _object(self, value: Any) -> None:
        self._class(type(value))
        if isinstance(value, nn.Cell):
            self._parts("cell", value.get_flags(), _cell_attributes(value))
        elif isinstance(value, ms.ops.Primitive):
            twice = ("attrs", "init_attrs")
            own = {name: item for name, item in vars(value).items() if name not in twice}
            self._parts("primitive", dict(value.attrs), own)
        elif isinstance(value, enum.Enum) or not hasattr(value, "__dict__"):
            slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
            self._parts("plain", ADDRESS.sub("", repr(value)), slots)
        else:
            self._parts("object", vars(value))

    def _class(self, kind: type) -> None:
        if kind not in self.classes:
            self.classes[kind] = [f"{base.__qualname__} {self._source(base.__module__)}" for base in kind.__mro__]
            self._write("class", *self.classes[kind])
        self._write(self.classes[kind][0])

    def _source(self, module: str) -> str:
        """A module's name; with its text where it is neither the framework's nor this project's, which are facts."""
        if module not in self.files:
            loaded = sys.modules.get(module)
            path = getattr(loaded, "__file__", None)
            text = ""
            if path and not any(Path(path).is_relative_to(known) for known in (PACKAGE, FRAMEWORK)):
                text = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            elif not path and module == "__main__":
                text = uuid.uuid4().hex  # typed in: it cannot be known to be the same
            self.files[module] = f"{module} {text}"
        return self.files[module]

    def _array(self, kind: str, array: np.ndarray) -> None:
        self._write(kind, array.shape, array.dtype)
        self.total.update(np.ascontiguousarray(array).tobytes())

    def _parts(self, *parts: Any) -> None:
        for part in parts:
            self.add(part)

    def _write(self, *words: Any) -> None:
        text = "\0".join(map(str, words))
        self.total.update(f"{len(text)}:{text}".encode())


def _cell_attributes(cell: nn.Cell) -> dict[str, Any]:
    """What its class has put there and what the compiler reads of the framework's; of the framework's own layers not
    the `weight_init` and the like, which give parameters their first values only.
    """
    own = type(cell).__module__.partition(".")[0] == "mindspore"
    return {
        name: value if not name.endswith("_hook") or value else None  # compiling makes empty ones
        for name, value in vars(cell).items()
        if name in READ_BY_COMPILER
        or name not in _bookkeeping() | LEFT_OUT
        and not (own and name.endswith("_init"))
        and not name.startswith("__")
    }


@functools.cache
def _bookkeeping() -> frozenset[str]:
    return frozenset(vars(nn.Cell()))
