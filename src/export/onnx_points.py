"""PointRend's points in standard ONNX operators: GridSample reads them, MindSpore's exporter writes the point head."""

import numpy as np
import onnx
from mindspore import nn
from onnx import TensorProto

from ..models.layers import interpolation_matrix
from .dense_onnx import ROWS, cell_to_onnx
from .onnx_graph import GraphBuilder


def export_point_head(point_head: nn.Cell, fine: int, classes: int) -> onnx.ModelProto:
    """Rows of fine features and of the coarse prediction, of these widths -> logits."""
    shapes = {"fine": fine, "coarse": classes}
    inputs = {name: np.zeros((ROWS, width), np.float32) for name, width in shapes.items()}
    return cell_to_onnx(point_head, inputs, ["logits"], free_rows=True)


def sample(g: GraphBuilder, maps: str, points: str) -> str:
    """maps (M, C, H, W), points (M, A, B, 2) as shares of the map -> (M, C, A, B), zeros outside."""
    grid = g("Sub", g("Mul", points, 2.0), 1.0)
    return g("GridSample", maps, grid, mode="bilinear", padding_mode="zeros", align_corners=0)


def values_at(g: GraphBuilder, maps: str, points: str) -> str:
    """maps (N, C, H, W), points (N, P, 2) -> (N, P, C)."""
    values = g("Squeeze", sample(g, maps, g("Unsqueeze", points, [2])), [3])
    return g("Transpose", values, perm=[0, 2, 1])


def flat_rows(g: GraphBuilder, x: str) -> str:
    """(N, P, C) -> (N * P, C)."""
    return g("Reshape", x, g("Concat", [-1], g("Shape", x, start=2), axis=0))


def centres(g: GraphBuilder, index: str, height: int, width: int) -> str:
    """Cell numbers (N, K) of a map, row by row -> centres (N, K, 2) as shares."""
    parts = []
    for part, side in ((g("Mod", index, width), width), (g("Div", index, width), height)):
        centre = g("Div", g("Add", g("Cast", part, to=TensorProto.FLOAT), 0.5), float(side))
        parts.append(g("Unsqueeze", centre, [2]))
    return g("Concat", *parts, axis=2)


def doubled(g: GraphBuilder, maps: str, height: int, width: int) -> str:
    """(..., height, width) -> (..., 2 height, 2 width), bilinear as `resize_bilinear`: two matrix products."""
    down, across = (interpolation_matrix(side, 2 * side, align_corners=False) for side in (height, width))
    return g("MatMul", down, g("MatMul", maps, np.ascontiguousarray(across.T)))
