"""Bilinear samples of feature maps at points (PointRend's `point_sample`, PyTorch's `grid_sample`)."""

from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .library import custom_op


class PointSample(nn.Cell):
    """`grid_sample` with align_corners False and zeros outside, in shares of the map's width and height.

    portable: use MindSpore's own operator (always so on devices other than the CPU, where ours is some ten times
        faster and where the framework's gradient is wrong for all but small maps).
    """

    def __init__(self, portable: bool = False):
        super().__init__()
        if portable or get_context("device_target") != "CPU":
            self.sample = _PortablePointSample()
        else:
            self.sample = _CustomPointSample()

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        """maps (M, C, H, W) float32, points (N, P, 2) (x, y) in [0, 1], N a multiple of M -> (N, P, C).

        Row n reads map n // (N / M). No gradient to the points.
        """
        return self.sample(maps, ops.stop_gradient(points))


class _CustomPointSample(nn.Cell):
    """The compiled operator (point_sample.cc)."""

    def __init__(self):
        super().__init__()

        def sample_shape(maps, points):
            return [points[0], points[1], maps[1]]

        def map_shape(grad, points, maps):
            return maps

        backward = custom_op("PointSampleBackward", map_shape, mstype.float32, "")

        def gradient(maps, points, out, grad):
            return backward(grad, points, maps), ops.zeros_like(points)

        self.forward = custom_op("PointSampleForward", sample_shape, mstype.float32, "", gradient)

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        return self.forward(maps, points)


class _PortablePointSample(nn.Cell):
    """MindSpore's `grid_sample`, all points of a map in one call."""

    def construct(self, maps: Tensor, points: Tensor) -> Tensor:
        rows, count, _ = points.shape
        grid = (2.0 * points - 1.0).reshape(maps.shape[0], rows // maps.shape[0] * count, 1, 2)
        samples = ops.grid_sample(maps, grid, "bilinear", "zeros", False)
        return samples[:, :, :, 0].transpose(0, 2, 1).reshape(rows, count, maps.shape[1])
