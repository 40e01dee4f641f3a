"""Point arithmetic of PointRend (Detectron2 `point_features.py`). Points are (x, y) shares of their box or map."""

import numpy as np
from mindspore import Tensor, ops
from mindspore import dtype as mstype
from mindspore.ops import constexpr


@constexpr
def _grid(side: int) -> Tensor:
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return Tensor(np.stack([x, y], -1).reshape(1, side * side, 2))


def regular_grid(rows: int, side: int) -> Tensor:
    """(rows, side * side, 2): the cell centres of a side x side grid, row by row."""
    return ops.broadcast_to(_grid(side), (rows, side * side, 2))


def highest_cells(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` cells of (N, H, W) maps with the highest values, all where there are fewer.

    Numbers (N, K) int32, row by row, and centres (N, K, 2).
    """
    rows, height, width = values.shape
    _, index = ops.topk(values.reshape(rows, height * width), min(count, height * width))
    index = index.astype(mstype.int32)
    x = (ops.floor_mod(index, width).astype(mstype.float32) + 0.5) / width
    y = (ops.floor_div(index, width).astype(mstype.float32) + 0.5) / height
    return index, ops.stack((x, y), -1)


def highest_points(points: Tensor, values: Tensor, count: int) -> Tensor:
    """The `count` of the points (N, K, 2) with the highest values (N, K): (N, count, 2)."""
    _, index = ops.topk(values, count)
    index = ops.broadcast_to(index.astype(mstype.int32)[:, :, None], (points.shape[0], count, 2))
    return ops.gather_elements(points, 1, index)
