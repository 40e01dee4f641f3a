"""An ONNX file in 8-bit integers, by onnxruntime's own static quantisation, and how much of its arithmetic that is.

Convolutions, matrix products with weights, and what lies between them (sums, activations, concatenations, changes of
shape) take uint8 features and int8 weights, a scale a channel. The layers whose outputs are predictions (logits, box
deltas), and all that is computed from these (box arithmetic, suppression, masks), stay float32.

onnxruntime is imported when something is quantised.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..errors import UserError

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # operators that multiply and accumulate
BETWEEN = ("Add", "Relu", "Concat", "MaxPool", "Reshape", "Transpose")  # in int8 where they lie between those

Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Product:
    """A node that multiplies and accumulates: how often in one run, and whether its operands are 8-bit integers."""

    name: str
    kind: str
    count: int
    is_int8: bool


class Calibration:
    """Feeds of a network one after the other, as onnxruntime's calibration asks for them."""

    def __init__(self, feeds: Iterator[Feed]):
        self.feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def quantize_onnx(source: Path, target: Path, feeds: Iterator[Feed], predictions: Sequence[str]) -> None:
    """Write `source` as `target` in int8; ranges of features are the least and largest on `feeds`.

    predictions: beginnings of the names of layers that stay float32, as `models.precision.prediction_layers` gives
    them. UserError where it cannot be written.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = named(onnx.load(source))
    nodes = to_quantize(model.graph, predictions)
    calibration = Calibration(feeds)
    logging.disable(logging.ERROR)  # it recommends a preparation of its own, which folds what is folded here
    try:
        quantize_static(
            model,
            str(target),
            calibration,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*PRODUCTS, *BETWEEN],
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    except UserError:
        raise
    except Exception as error:  # onnxruntime's and onnx's own exceptions have no common base
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"quantize int8: the file cannot be quantised ({first})") from None
    finally:
        logging.disable(logging.NOTSET)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a name of its own at every node; nodes are chosen by their names."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}.{number}"
        seen.add(node.name)
    return model


def to_quantize(graph: onnx.GraphProto, predictions: Sequence[str] = ()) -> list[str]:
    """Names of the nodes to put into int8: products with weights but for the last layers, and what lies between them.

    A last layer is a product that `predictions` names, unless the next one is another of the same head: of a head all
    of whose layers follow the number of classes it is the last. Sums and the like that follow a last layer, up to the
    next product, stay float32; so does a product of two features.
    """
    weights = _weights(graph)
    products = {node.name: weights[node.name] for node in graph.node if node.name in weights}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    followers = {name: _until_products(node, readers, products) for name, node in _by_name(graph).items()
                 if name in products}  # fmt: skip
    head_of = {name: head for name, weight in products.items() if (head := _head_of(weight, predictions)) is not None}
    last = {name for name, head in head_of.items() if head not in {head_of.get(after) for after in followers[name][1]}}
    floating = last.union(*(followers[name][0] for name in last))
    behind = set().union(*(follower[0] for follower in followers.values()))  # what is computed from a product
    return [
        node.name
        for node in graph.node
        if node.name not in floating and (node.name in products or node.op_type in BETWEEN and node.name in behind)
    ]


def products_of(model: onnx.ModelProto, feed: Feed) -> list[Product]:
    """Every product of the model, counted on one run with `feed`: rows that come and go are counted as they are.

    A convolution of (B, C, h, w) to (B, K, h', w') by kernels (K, C / groups, r, s) counts B K h' w' (C / groups) r s;
    a matrix product (..., m, k) x (k, n) counts ... m k n.
    """
    import onnxruntime

    from_int8 = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    nodes = [node for node in model.graph.node if node.op_type in PRODUCTS]
    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    wanted = list(dict.fromkeys(name for node in nodes for name in (*node.input[:2], node.output[0])))
    places = {name: f"size_of_{number}" for number, name in enumerate(wanted)}
    for name, place in places.items():
        measured.graph.node.append(helper.make_node("Shape", [name], [place]))
        measured.graph.output.append(helper.make_tensor_value_info(place, TensorProto.INT64, None))
    session = onnxruntime.InferenceSession(measured.SerializeToString(), providers=["CPUExecutionProvider"])
    sizes = dict(zip(places, (found.tolist() for found in session.run(list(places.values()), feed))))
    return [
        Product(
            node.name,
            node.op_type,
            COUNTS[node.op_type](node, *(sizes[name] for name in (*node.input[:2], node.output[0]))),
            from_int8.issuperset(node.input[:2]),
        )
        for node in nodes
    ]


def int8_share(products: Sequence[Product]) -> float:
    """Share of the multiply-accumulates that are in int8."""
    total = sum(product.count for product in products)
    return sum(product.count for product in products if product.is_int8) / max(total, 1)


# --------------------------------------------------------------------------------------------------------- the counts


def _convolution(node: onnx.NodeProto, features: list[int], kernels: list[int], out: list[int]) -> int:
    return math.prod(out) * math.prod(kernels[1:])


def _transposed(node: onnx.NodeProto, features: list[int], kernels: list[int], out: list[int]) -> int:
    return math.prod(features) * math.prod(kernels[1:])


def _matrices(node: onnx.NodeProto, left: list[int], right: list[int], out: list[int]) -> int:
    return math.prod(out) * left[-1]


def _gemm(node: onnx.NodeProto, left: list[int], right: list[int], out: list[int]) -> int:
    is_turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(out) * left[0 if is_turned else 1]


COUNTS: dict[str, Callable[..., int]] = {
    "Conv": _convolution, "ConvTranspose": _transposed, "MatMul": _matrices, "Gemm": _gemm,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the graph


def _by_name(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {node.name: node for node in graph.node}


def _weights(graph: onnx.GraphProto) -> dict[str, str]:
    """Of each product with weights, by its node's name, the name of these."""
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    found = {}
    for node in graph.node:
        own = [name for name in node.input[:2] if name in constants]
        if node.op_type in PRODUCTS and own:
            found[node.name] = own[0]
    return found


def _until_products(
    start: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]], products: dict[str, str]
) -> tuple[set[str], set[str]]:
    """Names of the nodes that are computed from `start`, up to the next products; and of those products."""
    between, reached, waiting = set(), set(), [start]
    while waiting:
        for name in waiting.pop().output:
            for node in readers.get(name, ()):
                if node.name in products:
                    reached.add(node.name)
                elif node.name not in between:
                    between.add(node.name)
                    waiting.append(node)
    return between, reached


def _head_of(weight: str, layers: Sequence[str]) -> str | None:
    """The head of which a parameter's layer is one of these, 'bbox_head' of 'bbox_head.fc_cls.'; None if it is of none.

    Parts of a stitched graph stand before the names of their parameters.
    """
    own = next((layer for layer in layers if weight.startswith(layer) or f".{layer}" in weight), None)
    return None if own is None else own.rstrip(".").rpartition(".")[0]
