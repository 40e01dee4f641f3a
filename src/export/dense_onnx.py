"""Convolutional networks and their parts as ONNX: MindSpore's exporter, brought to the opset that the rest needs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor, nn
from onnx import version_converter

OPSET = 16  # the first with GridSample and with RoIAlign's half-pixel shift
IR_VERSION = 8  # the one that belongs to it


def cell_to_onnx(
    cell: nn.Cell, inputs: dict[str, np.ndarray], output_names: Sequence[str]
) -> onnx.ModelProto:
    """`cell` in evaluation mode as an ONNX model whose inputs have these names, shapes and types.

    MindSpore exports each cell to ONNX once a process only.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.onnx"
        tensors = [Tensor(array) for array in inputs.values()]
        names = {"input_names": list(inputs), "output_names": list(output_names)}
        ms.onnx.export(cell, *tensors, file_name=str(path), **names)
        model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "ConvTranspose":  # written with four values where ONNX has two; it follows from the rest
            _drop_attribute(node, "output_shape")
    model = version_converter.convert_version(model, OPSET)
    model.ir_version = IR_VERSION
    return model


def write_onnx(model: onnx.ModelProto, metadata: dict[str, str], path: Path) -> None:
    """Check the model against the standard and write it, weights inside, with its metadata."""
    model.producer_name = "mindspore-vision-zoo"
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _drop_attribute(node: onnx.NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
