"""Building blocks that every network here shares: convolutions, normalisation, resizing, initialisers."""

import math
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.common.initializer import HeNormal, Initializer, Uniform
from mindspore.ops import constexpr

from ..ops.half_precision import as_float32, as_type


@dataclass(frozen=True)
class NormSettings:
    """How batch normalisation behaves.

    momentum: in PyTorch's sense (the share of the new value in the running mean).
    frozen: normalise with the running statistics in training too and leave them alone; weight and bias still learn
        (MMDetection's `norm_eval`).
    learns: weight and bias get gradients (MMDetection's `requires_grad`); frozen and not learning is Detectron2's
        `FrozenBN`.
    """

    momentum: float = 0.1
    eps: float = 1e-5
    frozen: bool = False
    learns: bool = True


def he_normal_fan_out() -> Initializer:
    """Normal with variance 2 / fan_out: mmengine's `Kaiming` layer initialiser for convolutions."""
    return HeNormal(mode="fan_out", nonlinearity="relu")


def caffe2_xavier(fan_in: int) -> Initializer:
    """Uniform with variance 1 / fan_in: mmengine's `Caffe2Xavier`."""
    return Uniform(math.sqrt(3.0 / fan_in))


def xavier_uniform(fan_in: int, fan_out: int) -> Initializer:
    """Uniform with variance 2 / (fan_in + fan_out)."""
    return Uniform(math.sqrt(6.0 / (fan_in + fan_out)))


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    bias: bool = False,
    weight_init: Initializer | None = None,
    padding: str = "symmetric",
    bias_init: Initializer | None = None,
) -> nn.Conv2d:
    """A convolution padded so that stride 1 keeps the size. Bias starts at zero, weights He-normal unless given.

    padding: 'symmetric', or 'same', which with a stride puts the odd pixel at the bottom and right (`same_border`).
    """
    is_same = padding == "same" and stride > 1
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        pad_mode="same" if is_same else "pad",
        padding=0 if is_same else kernel_size // 2,
        has_bias=bias,
        weight_init=he_normal_fan_out() if weight_init is None else weight_init,
        bias_init="zeros" if bias_init is None else bias_init,
    )


class BatchNorm2d(nn.BatchNorm2d):
    """The framework's without its branches for inputs of other ranks, which every instance would compile.

    Computed in float32, the result is of the input's type.
    """

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        normalise = self.bn_infer
        if self.training and self.use_batch_statistics is None:
            normalise = self.bn_train
        y = normalise(as_float32(x), self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return as_type(y, x.dtype)


def batch_norm(channels: int, norm: NormSettings) -> BatchNorm2d:
    """BatchNorm2d by `NormSettings`; MindSpore's momentum is the share of the old value."""
    cell = BatchNorm2d(
        channels,
        eps=norm.eps,
        momentum=1.0 - norm.momentum,
        use_batch_statistics=False if norm.frozen else None,
    )
    cell.gamma.requires_grad = norm.learns
    cell.beta.requires_grad = norm.learns
    return cell


class ConvNormAct(nn.Cell):
    """Convolution, then optional batch normalisation, then optional ReLU.

    The convolution has a bias exactly when there is no normalisation (MMDetection's `ConvModule` with bias 'auto').
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        norm: NormSettings | None = None,
        activation: bool = True,
        weight_init: Initializer | None = None,
    ):
        super().__init__()
        self.conv = conv2d(in_channels, out_channels, kernel_size, stride, bias=norm is None, weight_init=weight_init)
        self.bn = batch_norm(out_channels, norm) if norm is not None else nn.Identity()
        self.activation = nn.ReLU() if activation else nn.Identity()

    def construct(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))


class MatrixProduct(nn.Cell):
    """Products of matrices (B, M, K) and (B, K, N), float32: (B, M, N). half: the type in which they are computed, None
    for theirs.

    transpose_a, transpose_b: it takes (B, K, M), (B, N, K): on the CPU a large matrix that `ops.Transpose` has turned
    costs more time than the product, and 8 bytes an element for good.
    """

    def __init__(self, transpose_a: bool = False, transpose_b: bool = False):
        super().__init__()
        self.half = None
        self.multiply = ops.BatchMatMul(transpose_a, transpose_b)

    def construct(self, a: Tensor, b: Tensor) -> Tensor:
        if self.half is None:
            return self.multiply(a, b)
        return as_float32(self.multiply(as_type(a, self.half), as_type(b, self.half)))


class AddReLU(nn.Cell):
    """The end of a residual block."""

    def construct(self, x: Tensor, shortcut: Tensor) -> Tensor:
        return ops.relu(x + shortcut)


class MaxPool(nn.Cell):
    """PyTorch's `MaxPool2d(kernel_size, stride, padding=kernel_size // 2)` for inputs >= 0, as after a ReLU.

    padding: 'symmetric', or 'same' for TensorFlow's and MindSpore's: as many zeros as give ceil(side / stride) outputs,
        the odd one at the bottom and right (`same_border`).
    Zeros stand for minus infinity in the padding; MindSpore's own padded pooling does not export to ONNX.
    """

    def __init__(self, kernel_size: int, stride: int, padding: str = "symmetric"):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.pool = nn.MaxPool2d(kernel_size, stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        rows = columns = (self.kernel_size // 2, self.kernel_size // 2)
        if self.padding == "same":
            rows = same_border(x.shape[2], self.kernel_size, self.stride)
            columns = same_border(x.shape[3], self.kernel_size, self.stride)
        return self.pool(ops.Pad(((0, 0), (0, 0), rows, columns))(x))


def same_border(side: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Pixels before and after a side of that many for SAME padding: kernel 3, stride 2: 4 -> (0, 1), 5 -> (1, 1)."""
    border = max((-(-side // stride) - 1) * stride + kernel_size - side, 0)
    return border // 2, border - border // 2


def stop_learning(*cells: nn.Cell) -> None:
    """No parameter of these cells gets a gradient any more."""
    for cell in cells:
        for parameter in cell.get_parameters():
            parameter.requires_grad = False


def learns(cell: nn.Cell) -> bool:
    """Whether some parameter of it gets a gradient."""
    return any(parameter.requires_grad for parameter in cell.get_parameters())


def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H * factor, W * factor), each pixel repeated.

    Reshape and broadcast: several times faster on CPU than the resize operators, exact, and exportable to ONNX.
    """
    b, c, h, w = x.shape
    x = x.reshape(b, c, h, 1, w, 1)
    return ops.broadcast_to(x, (b, c, h, factor, w, factor)).reshape(b, c, h * factor, w * factor)


def interpolation_matrix(
    size_in: int, size_out: int, align_corners: bool, coordinates: str = "half_pixel"
) -> np.ndarray:
    """(size_out, size_in) float32: row i holds the weights of linear interpolation for output pixel i.

    coordinates: ONNX's word for where pixel i of the result lies in the input:
        'half_pixel': at (i + 0.5) * size_in / size_out - 0.5, as PyTorch;
        'asymmetric': at i * size_in / size_out, as MindSpore 1.x's `ResizeBilinear`: [0, 1] -> [0, 0.5, 1, 1];
        'align_corners': at i * (size_in - 1) / (size_out - 1), as PyTorch has it: [0, 1] -> [0, 1/3, 2/3, 1].
    align_corners: the same as the last of them.
    """
    out = np.arange(size_out, dtype=np.float64)
    if align_corners or coordinates == "align_corners":
        source = out * ((size_in - 1) / max(size_out - 1, 1))
    elif coordinates == "asymmetric":
        source = out * (size_in / size_out)
    else:
        source = np.maximum((out + 0.5) * (size_in / size_out) - 0.5, 0.0)
    low = np.minimum(np.floor(source).astype(np.int64), size_in - 1)
    high = np.minimum(low + 1, size_in - 1)
    fraction = source - low
    matrix = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    np.add.at(matrix, (rows, low), 1.0 - fraction)
    np.add.at(matrix, (rows, high), fraction)
    return matrix.astype(np.float32)


@constexpr
def _transposed_matrix(size_in: int, size_out: int, align_corners: bool, coordinates: str) -> Tensor:
    matrix = interpolation_matrix(size_in, size_out, align_corners, coordinates)
    return Tensor(np.ascontiguousarray(matrix.T), mstype.float32)


def resize_bilinear(
    x: Tensor, height: int, width: int, align_corners: bool = False, coordinates: str = "half_pixel"
) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width) as PyTorch's `interpolate(mode='bilinear')`.

    coordinates: 'half_pixel', 'asymmetric' or 'align_corners', see `interpolation_matrix`.
    Two matrix products, in the type of x: faster on CPU than the resize operator, exact, and exportable to ONNX, which
    it is not.
    """
    b, c, h, w = x.shape
    if w != width:
        matrix = as_type(_transposed_matrix(w, width, align_corners, coordinates), x.dtype)
        x = ops.matmul(x.reshape(b * c * h, w), matrix).reshape(b, c, h, width)
    if h != height:
        columns = x.transpose(0, 1, 3, 2).reshape(b * c * width, h)
        matrix = as_type(_transposed_matrix(h, height, align_corners, coordinates), x.dtype)
        columns = ops.matmul(columns, matrix)
        x = columns.reshape(b, c, width, height).transpose(0, 1, 3, 2)
    return x


class UpsampleNearest(nn.Cell):
    """`upsample_nearest` by `factor`. for_training: an operator in its place in training (`fuse_for_training`)."""

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor
        self.for_training = None

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H * factor, W * factor)."""
        if self.training and self.for_training is not None:
            return self.for_training(x)
        return upsample_nearest(x, self.factor)


class ResizeBilinear(nn.Cell):
    """`resize_bilinear` to another tensor's size, which gets no gradient by it. for_training: as `UpsampleNearest`;
    for_inference: likewise where it is not trained, of float32 (`set_resizing`).
    """

    def __init__(self, align_corners: bool = False, coordinates: str = "half_pixel"):
        super().__init__()
        self.align_corners = align_corners or coordinates == "align_corners"
        self.coordinates = coordinates
        self.for_training = None
        self.for_inference = None

    def construct(self, x: Tensor, like: Tensor) -> Tensor:
        """(B, C, H, W), (..., height, width) -> (B, C, height, width)."""
        height, width = like.shape[-2:]
        if x.shape[-2:] != (height, width):
            if self.training and self.for_training is not None:
                return self.for_training(x, ops.stop_gradient(like))
            if not self.training and self.for_inference is not None and x.dtype == mstype.float32:
                return self.for_inference(x, like)
        return resize_bilinear(x, height, width, self.align_corners, self.coordinates)


class DoubleBilinear(nn.Cell):
    """`resize_bilinear` to twice the size. for_inference: as `ResizeBilinear`."""

    def __init__(self, coordinates: str = "half_pixel"):
        super().__init__()
        self.coordinates = coordinates
        self.for_inference = None

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        if not self.training and self.for_inference is not None and x.dtype == mstype.float32:
            return self.for_inference(x)
        return resize_bilinear(x, 2 * x.shape[2], 2 * x.shape[3], coordinates=self.coordinates)
