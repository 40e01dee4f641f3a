"""PointRend's mask head in standard ONNX operators: GridSample reads the points, the subdivision steps are unrolled."""

from functools import partial

import numpy as np
import onnx

from ..models.detection.pointrend import PointRendMaskHead
from .dense_onnx import ROWS, cell_to_onnx
from .onnx_boxes import columns, own_class
from .onnx_graph import GraphBuilder
from .onnx_points import centres, doubled, export_point_head, flat_rows, sample, values_at


def pointrend_masks(
    g: GraphBuilder, head: PointRendMaskHead, pyramid: list[str], boxes: str, labels: str, image_size: tuple[int, int],
    part: str,
) -> tuple[str, int]:  # fmt: skip
    """Mask probabilities (N, M, M) of boxes (N, 4) with labels (N,), and M, as `PointRendMaskHead.construct`.

    part is not used: there is one such head in a detector.
    """
    sampler = _FineSampler(g, pyramid[0], boxes, image_size)
    coarse = _coarse_logits(g, head, sampler)
    classes = head.coarse_head.num_classes
    point_head = g.part("point_head", lambda: export_point_head(head.point_head, _width(head), classes))
    size = head.first_size
    points = g("Expand", _grid(size), g("Concat", g("Shape", labels), [1, 1], axis=0))  # (N, size^2, 2)
    logits = _point_logits(g, point_head, sampler, coarse, points, labels)
    for _ in range(head.steps):
        size = 2 * size
        finer = _doubled(g, logits, size)
        count = min(head.subdivision_num_points, size * size)
        _, index = g("TopK", g("Neg", g("Abs", finer)), [count], outputs=2)
        values = _point_logits(g, point_head, sampler, coarse, centres(g, index, size, size), labels)
        logits = g("ScatterElements", finer, index, values, axis=1)
    return g("Reshape", g("Sigmoid", logits), [-1, size, size]), size


class _FineSampler:
    """Reads the finest feature map at points of the boxes, as `PointRendMaskHead._fine`."""

    def __init__(self, g: GraphBuilder, feature: str, boxes: str, image_size: tuple[int, int]):
        self.g, self.feature = g, feature
        self.low = g("Unsqueeze", columns(g, boxes, 0, 2), [1])
        self.side = g("Sub", g("Unsqueeze", columns(g, boxes, 2, 4), [1]), self.low)
        self.extent = np.float32(image_size[::-1])

    def __call__(self, points: str) -> str:
        """(N, P, 2) or (1, P, 2) shares of the boxes -> (C, N, P)."""
        g = self.g
        shares = g("Div", g("Add", self.low, g("Mul", points, self.side)), self.extent)
        samples = sample(g, self.feature, g("Unsqueeze", shares, [0]))
        return g("Squeeze", samples, [0])


def _coarse_logits(g: GraphBuilder, head: PointRendMaskHead, sampler: _FineSampler) -> str:
    """(N, num_classes, s, s)."""
    side = head.grid_size
    features = g("Transpose", sampler(g("Identity", _grid(side))), perm=[1, 0, 2])
    rows = np.zeros((ROWS, _width(head), side, side), np.float32)
    export = partial(cell_to_onnx, head.coarse_head, {"features": rows}, ["logits"], free_rows=True)
    exported = g.part("coarse_head", export)
    (logits,) = g.include(exported, "coarse_head", {"features": g("Reshape", features, [0, 0, side, side])})
    return logits


def _point_logits(
    g: GraphBuilder, point_head: onnx.ModelProto, sampler: _FineSampler, coarse: str, points: str, labels: str
) -> str:
    """Own-class logits (N, P) of points (N, P, 2)."""
    classes = point_head.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    fine = g("Transpose", sampler(points), perm=[1, 2, 0])  # (N, P, C)
    inputs = {"fine": flat_rows(g, fine), "coarse": flat_rows(g, values_at(g, coarse, points))}
    (flat,) = g.include(point_head, "point_head", inputs)
    shape = g("Concat", g("Shape", points, start=0, end=2), [classes], axis=0)
    return own_class(g, g("Transpose", g("Reshape", flat, shape, allowzero=1), perm=[0, 2, 1]), labels)


def _doubled(g: GraphBuilder, logits: str, size: int) -> str:
    """(N, (size / 2)^2) -> (N, size^2)."""
    square = g("Reshape", logits, [-1, size // 2, size // 2])
    return g("Reshape", doubled(g, square, size // 2, size // 2), [-1, size * size])


def _grid(side: int) -> np.ndarray:
    """(1, side * side, 2): the cell centres, row by row."""
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return np.stack([x, y], -1).reshape(1, side * side, 2).astype(np.float32)


def _width(head: PointRendMaskHead) -> int:
    """Channels of the feature map."""
    first = head.point_head.fcs[0].weight.shape[1]
    return first - head.coarse_head.num_classes
