"""Where the compiled operators are, and where they come from if they are not there."""

import ctypes
import functools
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
from mindspore import dtype as mstype
from mindspore import ops

from ..errors import UserError
from .build import CPU, GPU

BIN_FOLDER = Path(__file__).parent / "bin"
SCRIPT = "bash scripts/build_custom.sh"  # of the repository
VERSION = 6  # of the operators' inputs and outputs; a change of them raises it here and in version.cc
ELF_HEADER = 64  # bytes
LIBRARIES = {"CPU": CPU, "GPU": GPU}

Builder = Callable[[str, Path], Path]
_builders: list[Builder] = []  # at most one


def build_with(builder: Builder) -> None:
    """From now on a library that is missing, or of another version, is built by `builder(name, its usual path)`, which
    gives the path where it is; the usual one where it cannot be built, the reason for which is said there.
    """
    _builders[:] = [builder]


def file_of(name: str) -> Path:
    """Path of a library; it need not be there, see `why_no_library`."""
    path = BIN_FOLDER / name
    if not _builders or path.is_file() and not is_old(path):
        return path
    return _builders[0](name, path)


def how_to_build() -> str:
    """What to type for them."""
    is_repository = (Path(__file__).parents[2] / "scripts" / "build_custom.sh").is_file()
    return SCRIPT if is_repository else "install a C++17 compiler, and they are built at first use (or --portable 1)"


def device_has_custom_ops() -> bool:
    """Whether this project has custom operators for the current device at all (it has none for Ascend)."""
    return ms.get_context("device_target") in LIBRARIES


def takes_custom_op(portable: bool) -> bool:
    """Whether an operator that CPU and GPU both have compiled is to be used where MindSpore's own ones do too: on the
    CPU always, unless `portable`; on a GPU where its library is built.
    """
    if portable or not device_has_custom_ops():
        return False
    return ms.get_context("device_target") == "CPU" or not why_no_library()


def types_like(position: int, count: int = 1) -> ms.Type | tuple[ms.Type, ...] | Callable:
    """Types of an operator's outputs: on a GPU that of the input at this place, float16 too; on the CPU float32."""
    if ms.get_context("device_target") == "CPU":
        return mstype.float32 if count == 1 else (mstype.float32,) * count
    return lambda *kinds: kinds[position] if count == 1 else (kinds[position],) * count


def gradient_function(function: str) -> str:
    """The compiled gradient `function`, or on a GPU the one whose sums have a fixed order, where MindSpore's context
    asks for `deterministic`. The CPU's always have.
    """
    ordered = ms.get_context("device_target") == "GPU" and ms.get_context("deterministic") == "ON"
    return f"{function}Ordered" if ordered else function


def custom_op(
    function: str, shapes: Callable, dtypes, tag: str, bprop: Callable | None = None, library: str = ""
) -> ops.Custom:
    """The compiled `function` as an operator; `shapes` infers output shapes from input shapes.

    tag: tells apart operators of one function whose output shapes differ for the same inputs: the framework infers
    shapes once for operators that it takes to be equal, and it compares their attributes only.
    library: path of the compiled file; empty for the device's `library_path()`.
    """
    operator = ops.Custom(f"{library or library_path()}:{function}", shapes, dtypes, "aot", bprop=bprop)
    operator.add_prim_attr("tag", tag)
    return operator


def library_path() -> str:
    """Path of the compiled operators for the current device. UserError for `why_no_library`."""
    reason = why_no_library()
    if reason:
        raise UserError(reason)
    return str(_expected_path())


def why_no_library() -> str:
    """Why the current device's compiled operators cannot be used: they have not been built, or before a change of what
    they take, or cannot be loaded. Empty where they can.
    """
    path = _expected_path()
    if not path.is_file():
        how = how_to_build()
        script = f"build the custom operators with {how!r}, which needs a C++17 compiler (or --portable 1)"
        return f"{path} is missing: {script if how == SCRIPT else how}"
    if ":" in str(path):
        return f"{path}: MindSpore loads no operators from a path with a colon; move it, or --portable 1"
    try:
        if is_current(path):
            return ""
    except OSError as error:
        return f"{path} cannot be loaded ({error}): remove it and build it again: {how_to_build()}"
    return f"{path} is of another version: build the custom operators again: {how_to_build()}"


def _expected_path() -> Path:
    return file_of(LIBRARIES[ms.get_context("device_target")])


def is_old(path: Path) -> bool:
    """Whether a library can be loaded and is of another version."""
    try:
        facts = path.stat()
        return not _copy_is_current(path, facts.st_mtime_ns, facts.st_size)
    except OSError:  # which is said where it is used
        return False


@functools.lru_cache
def _copy_is_current(path: Path, *_: int) -> bool:
    """`is_current` of a copy: what a process has loaded from a path once is what it gets from there ever after."""
    with tempfile.TemporaryDirectory() as folder:
        return is_current(Path(shutil.copy(path, folder)))


def is_current(path: Path) -> bool:
    """Whether a compiled library takes and gives what this code expects. OSError if it cannot be loaded."""
    return version_of(path, "OperatorsVersion") == VERSION


def version_of(path: Path, function: str) -> int:
    """What this function of a compiled library returns, 0 where it has none. OSError if it cannot be loaded."""
    if _is_cut_off(path):  # the loader would map it and die by a signal
        raise OSError(f"{path}: cut off")
    found = getattr(ctypes.CDLL(str(path)), function, None)
    return 0 if found is None else found()


def _is_cut_off(path: Path) -> bool:
    """Whether an ELF file of 64 bits is shorter than its header says: at its end stands the table of its sections."""
    with path.open("rb") as file:
        header = file.read(ELF_HEADER)
    if len(header) < ELF_HEADER or not header.startswith(b"\x7fELF\x02\x01"):
        return False
    table, size, count = (*struct.unpack_from("<Q", header, 0x28), *struct.unpack_from("<2H", header, 0x3A))
    return path.stat().st_size < table + size * count
