"""Box arithmetic on xyxy tensors in pixels; boxes are continuous (width = x2 - x1) unless their style is another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from ...ops.half_precision import as_float32

MAX_LOG_RATIO = abs(math.log(16 / 1000))
IOU_EPS = 1e-6


@dataclass(frozen=True)
class BoxStyle:
    """What the numbers of boxes mean.

    inclusive: x2 and y2 name the last pixel, so that a side is x2 - x1 + 1 long (MMDetection 1.x, and the MindSpore
        networks that grew from it).
    canvas: (height, width) that boxes are clipped to instead of their image's own size, and that no training anchor may
        leave.
    """

    inclusive: bool = False
    canvas: tuple[int, int] | None = None


CONTINUOUS = BoxStyle()


def pairwise_overlap(boxes_a: Tensor, boxes_b: Tensor, over_second: bool = False) -> Tensor:
    """IoU of (B, N, 4) against (B, M, 4) boxes -> (B, N, M) (MMDetection `bbox_overlaps`).

    over_second: divide the intersection by the area of the second box instead of the union ('iof').
    """
    ax1, ay1, ax2, ay2 = (boxes_a[:, :, None, k] for k in range(4))
    bx1, by1, bx2, by2 = (boxes_b[:, None, :, k] for k in range(4))
    width = ops.relu(ops.minimum(ax2, bx2) - ops.maximum(ax1, bx1))
    height = ops.relu(ops.minimum(ay2, by2) - ops.maximum(ay1, by1))
    intersection = width * height
    area_b = (bx2 - bx1) * (by2 - by1)
    if over_second:
        return intersection / ops.maximum(area_b, IOU_EPS)
    union = (ax2 - ax1) * (ay2 - ay1) + area_b - intersection
    return intersection / ops.maximum(union, IOU_EPS)


def take_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of (B, N, K) named by (B, S) int32 indices -> (B, S, K); indices are clamped to [0, N)."""
    index = ops.clamp(index, 0, table.shape[1] - 1)
    return ops.gather_elements(table, 1, ops.broadcast_to(index[:, :, None], (*index.shape, table.shape[2])))


def clip_boxes(boxes: Tensor, image_shape: Tensor, canvas: tuple[int, int] | None = None) -> Tensor:
    """Clip (B, N, 4) boxes to (B, 2) float image sizes (h, w), or all of them to a canvas of (h, w)."""
    if canvas is not None:
        image_shape = ops.zeros_like(image_shape) + Tensor(canvas, mstype.float32)
    limits = ops.gather(image_shape, Tensor([1, 0, 1, 0], mstype.int32), 1)[:, None]
    return ops.minimum(ops.maximum(boxes, ops.zeros_like(limits)), limits)


class DeltaBoxCoder(nn.Cell):
    """Boxes as (dx, dy, dw, dh) relative to reference boxes (R-CNN; MMDetection `DeltaXYWHBBoxCoder`).

    means, stds: normalisation of the four numbers. Growth in `decode` is limited to a factor of 1000 / 16.
    inclusive: see `BoxStyle` (MMDetection 1.x `bbox2delta`, `delta2bbox`).
    """

    def __init__(self, means: Sequence[float], stds: Sequence[float], inclusive: bool = False):
        super().__init__()
        self.inclusive = inclusive
        self.means = Tensor(means, mstype.float32)
        self.stds = Tensor(stds, mstype.float32)
        self.corners = ops.Split(-1, 2)

    def encode(self, references: Tensor, targets: Tensor) -> Tensor:
        """(..., 4) references and targets -> (..., 4) deltas; both need positive sides."""
        low, high = self.corners(references)
        target_low, target_high = self.corners(targets)
        size = self._size(low, high)
        shift = ((target_low + target_high) * 0.5 - (low + high) * 0.5) / size
        growth = ops.log(self._size(target_low, target_high) / size)
        return (ops.concat((shift, growth), -1) - self.means) / self.stds

    def encode_where(self, wanted: Tensor, references: Tensor, targets: Tensor) -> Tensor:
        """`encode` where `wanted` (...) is True, zeros elsewhere, whatever boxes stand there; no gradient flows."""
        unit = ops.zeros_like(references) + Tensor([0.0, 0.0, 1.0, 1.0], references.dtype)
        references = ops.where(wanted[..., None], references, unit)
        targets = ops.where(wanted[..., None], targets, unit)
        deltas = ops.stop_gradient(self.encode(references, targets))
        return deltas * wanted[..., None].astype(deltas.dtype)

    def decode(self, references: Tensor, deltas: Tensor) -> Tensor:
        """(..., 4) references and deltas -> (..., 4) boxes, not clipped to the image."""
        shift, growth = self.corners(as_float32(deltas) * self.stds + self.means)
        low, high = self.corners(references)
        size = self._size(low, high)
        centre = (low + high) * 0.5 + size * shift
        half = size * ops.exp(ops.clamp(growth, -MAX_LOG_RATIO, MAX_LOG_RATIO)) * 0.5
        if self.inclusive:
            half = half - 0.5
        return ops.concat((centre - half, centre + half), -1)

    def _size(self, low: Tensor, high: Tensor) -> Tensor:
        size = high - low
        return size + 1.0 if self.inclusive else size


def as_rois(boxes: Tensor, valid: Tensor) -> Tensor:
    """(B, N, 4) boxes -> (B * N, 5) [batch index, x1, y1, x2, y2]; rows that are not valid get batch index -1."""
    batch, count = valid.shape
    image = ops.broadcast_to(ops.arange(0, batch).astype(boxes.dtype)[:, None], (batch, count))
    image = ops.where(valid, image, ops.full_like(image, -1.0))
    return ops.concat((image[:, :, None], boxes), 2).reshape(batch * count, 5)
