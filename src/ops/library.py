"""Where the compiled operators are."""

from collections.abc import Callable
from pathlib import Path

import mindspore as ms
from mindspore import ops

from ..errors import UserError

BIN_FOLDER = Path(__file__).parent / "bin"
LIBRARIES = {"CPU": "custom_ops_cpu.so", "GPU": "custom_ops_gpu.so"}


def device_has_custom_ops() -> bool:
    """Whether this project has custom operators for the current device at all (it has none for Ascend)."""
    return ms.get_context("device_target") in LIBRARIES


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
    """Path of the compiled operators for the current device. UserError if they have not been built."""
    path = BIN_FOLDER / LIBRARIES[ms.get_context("device_target")]
    if not path.is_file():
        raise UserError(f"{path} is missing: build the custom operators with 'bash scripts/build_custom.sh'")
    return str(path)
