"""Point arithmetic of PointRend's masks (Detectron2 `point_features.py`). Points are (x, y) shares of their box."""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import constexpr

from ..points import highest_cells, highest_points
from ..points import regular_grid as regular_grid  # which stood here


def in_image(points: Tensor, boxes: Tensor) -> Tensor:
    """(N, P, 2) shares of the boxes (N, 4) xyxy -> (N, P, 2) pixels of the image."""
    return boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])


def uncertain_of_grid(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` cells of (N, S, S) logits that are nearest to 0: indices (N, K) int32 and centres (N, K, 2)."""
    return highest_cells(-ops.abs(logits), count)


def most_uncertain(points: Tensor, logits: Tensor, count: int) -> Tensor:
    """The `count` of the points (N, K, 2) whose logits (N, K) are nearest to 0: (N, count, 2)."""
    return highest_points(points, -ops.abs(logits), count)


def packed_mask_values(packed_masks: Tensor, rows: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of bit-packed masks at points; zeros outside (`sample_point_labels`).

    packed_masks (R, H, W / 8) uint8 (numpy.packbits along rows), rows (N,) int32 number of each row's mask, points
    (N, P, 2) in pixels of the mask -> (N, P) float32 in [0, 1].
    """
    _, height, row_bytes = packed_masks.shape
    flat = packed_masks.reshape(-1)
    position = points - 0.5
    low = ops.floor(position)
    fraction = position - low
    total = None
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = low[:, :, 0] + dx, low[:, :, 1] + dy
        inside_x = ops.logical_and(x >= 0, x < row_bytes * 8)
        inside = ops.logical_and(inside_x, ops.logical_and(y >= 0, y < height))
        column = ops.clamp(x, 0, row_bytes * 8 - 1).astype(mstype.int32)
        line = rows[:, None] * height + ops.clamp(y, 0, height - 1).astype(mstype.int32)
        byte = ops.gather(flat, line * row_bytes + ops.floor_div(column, 8), 0).astype(mstype.int32)
        divisor = ops.gather(_bit_values(), ops.floor_mod(column, 8), 0)
        bit = ops.floor_mod(ops.floor_div(byte, divisor), 2).astype(mstype.float32)
        weight_x = fraction[:, :, 0] if dx else 1.0 - fraction[:, :, 0]
        weight_y = fraction[:, :, 1] if dy else 1.0 - fraction[:, :, 1]
        value = bit * inside.astype(mstype.float32) * weight_x * weight_y
        total = value if total is None else total + value
    return total


class MaskCropByPoints(nn.Cell):
    """`MaskCrop` as MindSpore's pointrend has it: RoIAlign with two samples a cell and axis, no half-pixel shift.

    A side is one pixel long at least.
    """

    def __init__(self, out_size: int):
        super().__init__()
        self.out_size = out_size

    def construct(self, packed_masks: Tensor, rois: Tensor, gt_index: Tensor) -> Tensor:
        """As `MaskCrop`; what stands in rows with a negative image number means nothing."""
        batch, objects, height, row_bytes = packed_masks.shape
        rois = ops.stop_gradient(rois)
        corner = rois[:, 1:3]
        boxes = ops.concat((corner, corner + ops.maximum(rois[:, 3:5] - corner, 1.0)), 1)
        points = in_image(regular_grid(rois.shape[0], 2 * self.out_size), boxes)
        x, y = ops.clamp(points[:, :, 0], 0, row_bytes * 8 - 1), ops.clamp(points[:, :, 1], 0, height - 1)
        rows = ops.maximum(rois[:, 0], 0.0).astype(mstype.int32) * objects + gt_index
        packed = packed_masks.reshape(batch * objects, height, row_bytes)
        values = packed_mask_values(packed, rows, ops.stack((x, y), -1) + 0.5)  # a pixel's number names its middle
        values = values.reshape(-1, self.out_size, 2, self.out_size, 2).sum(axis=(2, 4))
        return (values >= 2.0).astype(mstype.float32)


@constexpr
def _bit_values() -> Tensor:
    return Tensor(np.array([128, 64, 32, 16, 8, 4, 2, 1], np.int32))
