"""Convolutional networks and their parts as ONNX: MindSpore's exporter, brought to the opset that the rest needs."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import version_converter

from ..errors import UserError
from .any_path import plain_name

OPSET = 16  # the first with GridSample and with RoIAlign's half-pixel shift
IR_VERSION = 8  # the one that belongs to it
ROWS = 1021  # RoIs, or points, while a head is exported with free rows: a prime that is no other size


def cell_to_onnx(
    cell: nn.Cell, inputs: dict[str, np.ndarray], output_names: Sequence[str], free_rows: bool = False
) -> onnx.ModelProto:
    """`cell` in evaluation mode as an ONNX model whose inputs have these names, shapes and types.

    free_rows: the first axis of the inputs (RoIs, or points of RoIs) may then have any length, zero too. The number of
        rows given here must be one that is no other size in the network.
    MindSpore exports each cell to ONNX once a process only.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.onnx"
        tensors = [Tensor(array) for array in inputs.values()]
        with plain_name(path) as name:
            logging.disable(logging.ERROR)  # it logs that it could not write, and raises nothing
            try:
                ms.onnx.export(cell, *tensors, file_name=name, input_names=list(inputs))
            finally:
                logging.disable(logging.NOTSET)
        if not path.is_file():
            raise UserError(f"the network cannot be written as ONNX into {folder}: is its disk full?")
        model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "ConvTranspose":  # written with four values where ONNX has two; it follows from the rest
            _drop_attribute(node, "output_shape")
    if free_rows:
        _free_rows(model, next(iter(inputs.values())).shape[0])
    model = version_converter.convert_version(model, OPSET)
    model.ir_version = IR_VERSION
    _rename_outputs(model.graph, output_names)
    return model


def write_onnx(model: onnx.ModelProto, metadata: dict[str, str], path: Path) -> None:
    """Check the model against the standard and write it, weights inside, with its metadata."""
    model.producer_name = "mindspore-vision-zoo"
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _rename_outputs(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """The exporter's own renaming forgets the nodes inside that also read an output."""
    renamed = {value.name: name for value, name in zip(graph.output, names, strict=True)}
    for node in graph.node:
        for field in (node.input, node.output):
            for k, name in enumerate(field):
                field[k] = renamed.get(name, name)
    for value in graph.output:
        value.name = renamed[value.name]


def _drop_attribute(node: onnx.NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)


def _free_rows(model: onnx.ModelProto, rows: int) -> None:
    """Where a fixed shape begins with `rows`, let that number follow from the rest (which must then be known)."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    reshapes = {node.input[1]: sizes[node.output[0]] for node in graph.node if node.op_type == "Reshape"}
    constants = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    constants |= {tensor.name: tensor for tensor in model.graph.initializer}
    for name, shape in reshapes.items():
        if shape[0] == rows:
            shape = np.int64([-1, *shape[1:]])
            constants[name].CopyFrom(onnx.numpy_helper.from_array(shape, constants[name].name))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim[0].dim_value == rows:
            value.type.tensor_type.shape.dim[0].dim_param = "rows"
    del model.graph.value_info[:]
