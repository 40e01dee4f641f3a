"""Resizing of maps on the CPU: in training (resize.cc), where the framework's gradients are several times slower, from
maps of any type, computed in float32; and in inference (resize_bilinear.cc).
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .conv_gradient import LIBRARY
from .half_precision import as_float32, as_type
from .library import custom_op, file_of

COORDINATES = ("half_pixel", "align_corners", "asymmetric")  # resize_bilinear.cc counts them


class NearestUpsampling(nn.Cell):
    """Repeats each pixel `factor` times in both directions."""

    def __init__(self, factor: int):
        super().__init__(auto_prefix=False)

        def larger(x):
            return [x[0], x[1], x[2] * factor, x[3] * factor]

        def smaller(grad):
            return [grad[0], grad[1], grad[2] // factor, grad[3] // factor]

        tag, library = str(factor), str(file_of(LIBRARY))
        self.run = custom_op("UpsampleNearestForward", larger, mstype.float32, tag, library=library)
        self.differentiate = custom_op("UpsampleNearestBackward", smaller, mstype.float32, tag, library=library)

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h * factor, w * factor), of the same type."""
        return as_type(self.run(as_float32(x)), x.dtype)

    def bprop(self, x: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        return (as_type(self.differentiate(as_float32(grad)), x.dtype),)


class BilinearResizing(nn.Cell):
    """PyTorch's `interpolate(mode='bilinear')` to another tensor's size."""

    def __init__(self, align_corners: bool):
        super().__init__(auto_prefix=False)
        self.settings = Tensor(np.array([align_corners], np.float32))

        def like_size(x, like, settings):
            return [x[0], x[1], like[-2], like[-1]]

        def like_x(grad, x, settings):
            return x

        tag, library = str(align_corners), str(file_of(LIBRARY))
        self.run = custom_op("ResizeBilinearForward", like_size, mstype.float32, tag, library=library)
        self.differentiate = custom_op("ResizeBilinearBackward", like_x, mstype.float32, tag, library=library)

    def construct(self, x: Tensor, like: Tensor) -> Tensor:
        """(B, C, h, w), (..., height, width) -> (B, C, height, width), of x's type."""
        return as_type(self.run(as_float32(x), like, self.settings), x.dtype)

    def bprop(self, x: Tensor, like: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        to_x = self.differentiate(as_float32(grad), as_float32(x), self.settings)
        return as_type(to_x, x.dtype), ops.zeros_like(like)


class InferenceResizing(nn.Cell):
    """Bilinear resizing of float32 maps to another tensor's size, bit for bit as the two matrix products that
    `resize_bilinear` takes (for sides up to 384; longer ones: but for the last digit). No gradient.
    """

    def __init__(self, coordinates: str):
        super().__init__(auto_prefix=False)
        self.settings = Tensor(np.array([COORDINATES.index(coordinates)], np.float32))
        tag = f"{type(self).__name__} {coordinates}"
        self.run = custom_op("ResizeBilinear", self.output_shape, mstype.float32, tag)

    @staticmethod
    def output_shape(x: list[int], like: list[int], settings: list[int]) -> list[int]:
        return [x[0], x[1], like[-2], like[-1]]

    def construct(self, x: Tensor, like: Tensor) -> Tensor:
        """(B, C, h, w), (..., height, width) -> (B, C, height, width)."""
        return self.run(x, like, self.settings)


class InferenceDoubling(InferenceResizing):
    """The same to twice the size."""

    @staticmethod
    def output_shape(x: list[int], like: list[int], settings: list[int]) -> list[int]:
        return [x[0], x[1], 2 * x[2], 2 * x[3]]

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2 h, 2 w)."""
        return self.run(x, x, self.settings)
