"""An ONNX graph that is put together node by node and from whole models."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .dense_onnx import IR_VERSION, OPSET

Value = str | np.ndarray | float | int | list  # the name of a tensor, or a constant


class GraphBuilder:
    """`g("Add", x, 1.0)` adds a node and gives the name of its output.

    Floats become float32 constants, integers and lists of them int64 constants.
    """

    def __init__(self, name: str):
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.constants: dict[tuple, str] = {}
        self.parts: dict[str, onnx.ModelProto] = {}
        self.calls = 0

    def __call__(self, kind: str, *inputs: Value, outputs: int = 1, **attributes) -> str | tuple[str, ...]:
        """Add a node of this operator; the names of its outputs (a single name where there is one)."""
        self.calls += 1
        names = [f"{kind}_{self.calls}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        values = [self._name_of(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, values, names, name=f"{kind}_{self.calls}", **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """An input of the graph; kind is a TensorProto type, texts in `shape` are free sizes."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, kind: int, shape: Sequence[int | str]) -> None:
        """`value` is an output of the graph under this name."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def part(self, name: str, export: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
        """The part of this name, exported when it is first asked for: MindSpore exports each cell once a process."""
        if name not in self.parts:
            self.parts[name] = export()
        return self.parts[name]

    def include(self, model: onnx.ModelProto, part: str, inputs: dict[str, str]) -> list[str]:
        """Add a whole model with its inputs joined to `inputs`; the names of its outputs.

        part: what its weights are called after; a part that is added again shares them.
        """
        self.calls += 1
        names = dict(inputs)
        for tensor in model.graph.initializer:
            names[tensor.name] = f"{part}.{tensor.name}"
            if names[tensor.name] not in self.initializers:
                copy = TensorProto()
                copy.CopyFrom(tensor)
                copy.name = names[tensor.name]
                self.initializers[copy.name] = copy
        for number, node in enumerate(model.graph.node):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for name in node.output:
                names[name] = f"{part}.{self.calls}.{name}"
            copy.name = f"{part}.{self.calls}.{number}"
            del copy.input[:], copy.output[:]
            copy.input.extend(names.get(name, name) for name in node.input)
            copy.output.extend(names[name] for name in node.output)
            self.nodes.append(copy)
        return [names[value.name] for value in model.graph.output]

    def build(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.initializers.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _name_of(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if not isinstance(value, np.ndarray):
            value = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = name
            self.initializers[name] = numpy_helper.from_array(value, name)
        return self.constants[key]
