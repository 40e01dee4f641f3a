"""Bilinear samples of feature maps at points (PointRend's `point_sample`, PyTorch's `grid_sample`)."""

from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .half_precision import as_float32
from .library import custom_op, gradient_function, takes_custom_op, types_like


class PointSample(nn.Cell):
    """`grid_sample` with align_corners False and zeros outside, in shares of the map's width and height.

    portable: use MindSpore's own operators (always so where ours, some ten times faster on the CPU, is not compiled):
        four gathers, since the gradient of its `grid_sample` is wrong for all but small maps on the CPU, and not
        published for Ascend; on a GPU that `grid_sample`.
    """

    def __init__(self, portable: bool = False):
        super().__init__()
        device = get_context("device_target")
        is_custom = takes_custom_op(portable)
        self.takes_half = is_custom and device == "GPU"
        if is_custom:
            self.sample = _CustomPointSample()
        else:
            self.sample = _GridSample() if device == "GPU" else _FourGathers()

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        """maps (M, C, H, W), points (N, P, 2) (x, y) in [0, 1], N a multiple of M -> (N, P, C) float32.

        Row n reads map n // (N / M). No gradient to the points.
        """
        if not (self.takes_half and maps.dtype == mstype.float16):
            maps = as_float32(maps)
        return self.sample(maps, ops.stop_gradient(points))


class _CustomPointSample(nn.Cell):
    """The compiled operator (point_sample.cc, point_sample.cu)."""

    def __init__(self):
        super().__init__()

        def sample_shape(maps, points):
            return [points[0], points[1], maps[1]]

        def map_shape(grad, points, maps):
            return maps

        backward = custom_op(gradient_function("PointSampleBackward"), map_shape, types_like(2), "")

        def gradient(maps, points, out, grad):
            return backward(grad, points, maps), ops.zeros_like(points)

        self.forward = custom_op("PointSampleForward", sample_shape, mstype.float32, "", gradient)

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        return self.forward(maps, points)


class _FourGathers(nn.Cell):
    """The four cells around each point, weighted; cells outside of the map count as zeros."""

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        count, channels, height, width = maps.shape
        cells = maps.transpose(0, 2, 3, 1).reshape(count * height * width, channels)
        rows = points.shape[0]
        own_map = ops.arange(0, rows).astype(mstype.int32)[:, None] // (rows // count)
        x, x_inside = _position(points[:, :, 0], width)
        y, y_inside = _position(points[:, :, 1], height)
        inside = ops.logical_and(x_inside, y_inside).astype(maps.dtype)
        left, top = ops.floor(x), ops.floor(y)
        total = 0.0
        for column, x_weight in ((left, left + 1.0 - x), (left + 1.0, x - left)):
            for row, y_weight in ((top, top + 1.0 - y), (top + 1.0, y - top)):
                there = ops.logical_and(_within(column, width), _within(row, height)).astype(maps.dtype)
                weight = x_weight * y_weight * there * inside
                place = ops.clamp(row, 0, height - 1) * width + ops.clamp(column, 0, width - 1)
                index = own_map * (height * width) + place.astype(mstype.int32)
                total = total + ops.gather(cells, index, 0) * weight[:, :, None]
        return total


def _position(share: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Shares of a side -> coordinates of cell centres, and whether a cell is near; 0 where none is, NaN among them."""
    position = share * size - 0.5
    near = ops.logical_and(position > -1, position < size)
    return ops.where(near, position, ops.zeros_like(position)), near


def _within(cell: Tensor, size: int) -> Tensor:
    return ops.logical_and(cell >= 0, cell < size)


class _GridSample(nn.Cell):
    """MindSpore's `grid_sample`, all points of a map in one call."""

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        rows, count, _ = points.shape
        grid = (2.0 * points - 1.0).reshape(maps.shape[0], rows // maps.shape[0] * count, 1, 2)
        samples = ops.grid_sample(maps, grid, "bilinear", "zeros", False)
        return samples[:, :, :, 0].transpose(0, 2, 1).reshape(rows, count, maps.shape[1])
