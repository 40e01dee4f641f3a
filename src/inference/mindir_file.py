"""MINDIR files of unknown origin: what is read is checked, and a copy of what was checked is what is loaded.

A MINDIR graph is a program. It can name a library to load, Python to run, files to read. Here it is held to what an
exported network is made of: MindSpore's operators on tensors, and this project's own compiled ones, known by their
function's name. These are called from this project's library, whatever path the file names.
"""

import functools
import inspect
import math
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..ops.functions import is_known, library_of

LARGEST = 2**31  # bytes: a protobuf message cannot be longer
MOST_ELEMENTS = 2**33  # of a tensor
MOST_AXES = 16
CUSTOM = "Custom"
FUNCTION, KIND, UNIQUE_NAME = "func_name", "func_type", "uniq_name"
# Attributes that custom operators have here; with any other one an operator might be found in another way.
CUSTOM_ATTRIBUTES = {FUNCTION, KIND, UNIQUE_NAME, "tag", "autodiff", "multi_output", "imply_path", "input_names",
                     "output_names"}  # fmt: skip
ONLY_CUSTOM = {FUNCTION, KIND, UNIQUE_NAME, "imply_path", "fn_id", "infer_func_id", "prim_py_func", "func_source_str",
               "func_compile_attrs", "reg_op_name", "custom_callback_func"}  # fmt: skip
OPERATOR_MODULES = re.compile(  # of MindSpore, whose operators take tensors and give tensors
    r"mindspore\.ops\.(auto_generate\.gen_ops_prim|deprecated|operations\.((array|math|nn|image|random|sparse|spectral"
    r"|control|_sequence)_ops|manually_defined\.(ops_def|_inner)))"
)
NOT_OPERATORS = re.compile(  # of these modules: they talk to other processes, or act outside of the graph
    r"(Dist|Inner)Comm.*|.*(AllReduce|AllGather|ReduceScatter|AllToAll).*|Moe.*|Dump.*|(Get|Set)Data|GetNext|ForiLoop"
    r"|WhileLoop|Scan|Primitive.*"
)
STRUCTURE = {  # of a graph, and operators on tensors that stand in modules with others
    "MakeTuple", "TupleGetItem", "RealMakeTuple", "RealTupleGetItem", "MakeList", "make_list", "ListGetItem", "Return",
    "Switch", "Partial", "Depend", "Load", "UpdateState", "StopGradient", "TensorMove", "ConfusionMatrix", "CheckValid",
    "BoundingBoxDecode", "BoundingBoxEncode", "IOU", "Randperm",
}  # fmt: skip


def read_mindir(path: Path) -> Any:
    """The file's ModelProto, checked. UserError, in one line, for what is no exported network.

    Paths of libraries are as the file has them, see `load_graph`.
    """
    from mindspore.train.mind_ir_pb2 import ModelProto

    model = ModelProto()
    try:
        if path.stat().st_size >= LARGEST:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes, more than a MINDIR file can have")
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UserError:
        raise
    except Exception as error:  # protobuf raises many kinds, all of which mean that the file is no good
        raise UserError(f"{path} is no MINDIR model, or damaged ({_shown(error)})") from None
    if problem := _problem(model):
        raise UserError(f"{path} is refused: {problem}")
    return model


def load_graph(model: Any, path: Path) -> Any:
    """MindSpore's graph of a model that `read_mindir` gave for `path`; `model` is changed.

    What is loaded is a private copy in which operators are called from this project's library. UserError where that
    library cannot be used, or the graph cannot be loaded.
    """
    import mindspore as ms

    for owner in _custom_operators(model):
        _set_library(owner, lambda function: _usable_library(function, path))
    model.DiscardUnknownFields()
    for one in ("preprocessor", "parallel"):  # for other programs
        model.ClearField(one)
    for graph in (model.graph, *model.functions):
        graph.ClearField("bprop_filepath")
    try:
        with tempfile.TemporaryDirectory(prefix="ms_vision_zoo-") as folder:  # for this user alone
            copy = Path(folder) / "checked.mindir"
            copy.write_bytes(model.SerializeToString())
            return ms.load(str(copy))
    except OSError as error:
        where = tempfile.gettempdir()
        raise UserError(f"{path}: a private copy cannot be written to {where} ({error.strerror})") from None
    except Exception as error:  # MindSpore raises many kinds, all of which mean that the file is no good
        raise UserError(f"{path} is no MINDIR model, or damaged ({_shown(error)})") from None


def name_libraries_only(model: Any) -> None:
    """Take the folders out of the paths of libraries: a file tells nothing of the machine that wrote it."""
    for owner in _custom_operators(model):
        _set_library(owner, lambda function: Path(_split(owner)[0]).name)  # noqa: B023  called at once


# ------------------------------------------------------------------------------------------------------- what is in it


def _problem(model: Any) -> str:
    """Why the model is no network that may be loaded, or nothing."""
    from mindspore.train.mind_ir_pb2 import AttributeProto as Attribute

    plain = {number for number in Attribute.AttributeType.values() if number <= Attribute.UNIONFUNCCLOSURE}
    plain = (plain | {Attribute.TYPE_NULL, Attribute.SCALAR}) - {Attribute.GRAPH}
    known = {primitive.name for primitive in model.primitives}
    for kind, part in _parts(model):
        problem = ""
        if kind == "AttributeProto":
            if part.type not in plain:
                name = _type_name(Attribute, part.type)
                problem = f"its attribute {_shown(part.name)!r} is a {name}, which no exported network has"
            elif part.type == Attribute.PRIMITIVECLOSURE and _text(part.s) not in known:
                problem = f"it calls {_shown(_text(part.s))!r}, which it does not describe"
        elif kind == "PrimitiveProto":
            problem = _problem_of_operator(part.op_type, part.attribute)
        elif kind == "NodeProto":
            problem = _problem_of_node(part)
        elif kind == "TensorProto":
            problem = _problem_of_tensor(part)
        elif kind in ("MapTensorProto", "FunctorProto", "ScalarGraphHolderProto"):
            problem = f"it has a {kind}, which no exported network has"
        if problem:
            return problem
    missing = [tensor.name for tensor in model.graph.parameter if not tensor.raw_data and 0 not in tensor.dims]
    return f"its parameter {_shown(missing[0])!r} has no values" if missing else ""


def _parts(model: Any) -> Iterator[tuple[str, Any]]:
    """Every message in the model, whatever it lies in, with its type's name."""
    waiting = [model]
    while waiting:
        part = waiting.pop()
        yield type(part).__name__, part
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _problem_of_operator(name: str, attributes: Any) -> str:
    if name != CUSTOM:
        odd = [one for one in attributes if one.name in ONLY_CUSTOM]
        odd += [one for one in attributes if one.name == "cust_aicpu" and _text(one.s) != name]  # a library of Ascend's
        if odd:
            return f"its operator {_shown(name)!r} has the attribute {_shown(odd[0].name)!r}"
        return "" if name in _operators() else f"it calls {_shown(name)!r}, which is no operator on tensors"
    odd = [one.name for one in attributes if one.name not in CUSTOM_ATTRIBUTES or one.name == "imply_path" and one.s]
    if odd:
        return f"a custom operator of it has the attribute {_shown(odd[0])!r}"
    kinds = {_text(one.s) for one in attributes if one.name == KIND}
    if kinds != {"aot"}:
        return f"a custom operator of it is of kind {_shown(', '.join(sorted(kinds)))!r}, not compiled"
    functions = [_text(one.s).rpartition(":")[2] for one in attributes if one.name == FUNCTION]
    unknown = [function for function in functions if not is_known(function)]
    if unknown or not functions:
        return f"it calls the function {_shown(*unknown[:1])!r}, which is none of this project's"
    return ""


def _problem_of_node(node: Any) -> str:
    """Nodes refer to operators; those that are operators themselves, as of old, are none of this project's."""
    attributes = [*node.attribute, *node.node_attr, *node.primal_attr]
    if odd := [one.name for one in attributes if one.name in ONLY_CUSTOM]:
        return f"a node of it has the attribute {_shown(odd[0])!r}"
    if node.op_type == "Constant" or node.op_type.startswith("REF::") or node.op_type in _operators():
        return ""
    return f"it calls {_shown(node.op_type)!r}, which is no operator on tensors"


def _problem_of_tensor(tensor: Any) -> str:
    from mindspore.train.mind_ir_pb2 import TensorProto

    name = _shown(tensor.name)
    if tensor.HasField("external_data"):
        return f"it keeps the values of {name!r} in another file"
    if tensor.compression_type != TensorProto.NO_COMPRESSION or tensor.quant_params:
        return f"its tensor {name!r} is compressed"
    dims = list(tensor.dims)
    if len(dims) > MOST_AXES or any(not -2 <= n < 2**31 for n in dims) or math.prod(map(abs, dims)) > MOST_ELEMENTS:
        return f"its tensor {name!r} has the shape {_shown(dims)}"
    if tensor.raw_data:
        size = _sizes().get(tensor.data_type)
        if size is None or min(dims, default=0) < 0 or len(tensor.raw_data) != size * math.prod(dims):
            return f"its tensor {name!r} of shape {_shown(dims)} has {len(tensor.raw_data):,} bytes"
    return ""


@functools.cache
def _sizes() -> dict[int, int]:
    """Bytes of an element by the number of its type."""
    from mindspore.train.mind_ir_pb2 import TensorProto as T

    return {
        **dict.fromkeys((T.UINT8, T.INT8, T.BOOL), 1),
        **dict.fromkeys((T.UINT16, T.INT16, T.FLOAT16, T.BFLOAT16), 2),
        **dict.fromkeys((T.FLOAT, T.UINT32, T.INT32), 4),
        **dict.fromkeys((T.DOUBLE, T.FLOAT64, T.UINT64, T.INT64, T.COMPLEX64), 8),
        T.COMPLEX128: 16,
    }


@functools.cache
def _operators() -> frozenset[str]:
    """Names of the operators that a network may be made of."""
    from mindspore.ops import auto_generate, operations

    found = {
        name
        for module in (operations, auto_generate)
        for name, one in vars(module).items()
        if inspect.isclass(one) and OPERATOR_MODULES.fullmatch(one.__module__) and not NOT_OPERATORS.fullmatch(name)
    }
    return frozenset(found | STRUCTURE)


# ------------------------------------------------------------------------------------------- libraries of the operators


def _custom_operators(model: Any) -> list[Any]:
    return [part for _, part in _parts(model) if getattr(part, "op_type", "") == CUSTOM]


def _split(owner: Any) -> tuple[str, str]:
    """(library's path, function) of a custom operator."""
    path, _, function = next(_text(one.s) for one in owner.attribute if one.name == FUNCTION).rpartition(":")
    return path, function


def _set_library(owner: Any, library_for: Any) -> None:
    for one in owner.attribute:
        if one.name == FUNCTION:
            function = _text(one.s).rpartition(":")[2]
            one.s = f"{library_for(function)}:{function}".encode()
    for one in owner.attribute:
        if one.name == UNIQUE_NAME:
            one.s = f"{CUSTOM}__{':'.join(_split(owner))}".encode()


def _usable_library(function: str, path: Path) -> str:
    try:
        return library_of(function)
    except UserError as error:
        raise UserError(f"{path} needs compiled operators ({error}); --portable 1 exports a file without") from None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _type_name(attribute: Any, number: int) -> str:
    return attribute.AttributeType.Name(number) if number in attribute.AttributeType.values() else str(number)


def _shown(value: object = "") -> str:
    """A text out of the file, or an error's first line, for a message."""
    text = (str(value).strip().splitlines() or [type(value).__name__ if isinstance(value, Exception) else ""])[0]
    return "".join(c if c.isprintable() else "?" for c in text[:120])
