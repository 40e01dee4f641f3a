"""RoIAlign over a feature pyramid: every RoI reads its own level, all levels in one call."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .half_precision import as_float32, as_type
from .library import custom_op, device_has_custom_ops, gradient_function, types_like

PORTABLE_SAMPLES = 2
INCLUSIVE = 2.0  # a flag beside `aligned` in the operator's settings
MAX_LEVELS = 5  # the compiled operator takes this many feature maps; unused ones are placeholders


class RoIAlign(nn.Cell):
    """Average-pooling RoIAlign (He et al., 2017) with the level rule of FPN; mmcv's `RoIAlign` and MMDetection's
    `SingleRoIExtractor` define the numbers.

    out_size: bins a side.
    strides: pixels a cell of each level, finest first.
    finest_scale: a RoI of scale sqrt(w * h) goes to level floor(log2(scale / finest_scale + 1e-6)), clamped.
    sampling_ratio: samples a bin and axis; 0 takes ceil(side / out_size).
    aligned: half-pixel shift and fractional sizes; False is the legacy form with sides of at least one cell.
    inclusive: the level follows from sides that count their last pixel, w = x2 - x1 + 1 (MMDetection 1.x).
    portable: use MindSpore's own operator (always so where this project has no compiled one, as on Ascend). It cannot
        sample adaptively as defined (it rounds the number of samples down, to none for small RoIs), so sampling_ratio
        0 becomes 2 there; fixed ratios agree within 1e-4.
    """

    def __init__(
        self,
        out_size: int,
        strides: Sequence[int],
        finest_scale: float = 56,
        sampling_ratio: int = 0,
        aligned: bool = True,
        portable: bool = False,
        inclusive: bool = False,
    ):
        super().__init__()
        self.out_size, self.finest_scale, self.aligned = out_size, finest_scale, aligned
        self.strides = tuple(strides)
        self.sampling_ratio = sampling_ratio  # what is really done
        if portable or not device_has_custom_ops():
            self.sampling_ratio = sampling_ratio or PORTABLE_SAMPLES
            kind = _PortableRoIAlign
        else:
            kind = _CustomRoIAlign
        self.takes_half = kind is _CustomRoIAlign and get_context("device_target") == "GPU"
        self.pool = kind(out_size, self.strides, finest_scale, sampling_ratio, aligned, inclusive)

    def construct(self, features: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """(B, C, H_l, W_l) for each stride, rois (N, 5) [image, x1, y1, x2, y2] in pixels -> (N, C, out, out).

        A row with a negative image number, or with corners that are not finite, gives zeros. No gradient to the RoIs.
        Features of half precision are read in float32; the result is of their type.
        """
        dtype = features[0].dtype
        if dtype == mstype.float32 or (self.takes_half and dtype == mstype.float16):
            return self.pool(features, ops.stop_gradient(rois))
        full = ()
        for feature in features:
            full += (as_float32(feature),)
        return as_type(self.pool(full, ops.stop_gradient(rois)), dtype)


class _CustomRoIAlign(nn.Cell):
    """The compiled operator (roi_align.cc, roi_align.cu)."""

    def __init__(
        self,
        out_size: int,
        strides: Sequence[int],
        finest_scale: float,
        sampling_ratio: int,
        aligned: bool,
        inclusive: bool,
    ):
        super().__init__()
        flags = float(aligned) + (INCLUSIVE if inclusive else 0)
        numbers = [out_size, sampling_ratio, flags, finest_scale, len(strides), *strides]
        self.settings = Tensor(np.array(numbers, np.float32))
        self.placeholders = tuple(Tensor(np.zeros((1, 1, 1, 1), np.float32)) for _ in range(MAX_LEVELS - len(strides)))

        def pooled_shape(rois, settings, f0, f1, f2, f3, f4):
            return [rois[0], f0[1], out_size, out_size]

        def feature_shapes(grad, rois, settings, f0, f1, f2, f3, f4):
            return f0, f1, f2, f3, f4

        tag = "_".join(map(str, numbers))
        backward = custom_op(gradient_function("RoiAlignBackward"), feature_shapes, types_like(0, MAX_LEVELS), tag)

        def gradient(rois, settings, f0, f1, f2, f3, f4, out, grad):
            grads = backward(grad, rois, settings, f0, f1, f2, f3, f4)
            return (ops.zeros_like(rois), ops.zeros_like(settings), *grads)

        self.forward = custom_op("RoiAlignForward", pooled_shape, types_like(2), tag, gradient)

    def construct(self, features: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        placeholders = ()
        for placeholder in self.placeholders:
            placeholders += (as_type(placeholder, features[0].dtype),)
        return self.forward(rois, self.settings, *features, *placeholders)


class _PortableRoIAlign(nn.Cell):
    """MindSpore's `ROIAlign` on every level, then the choice by level.

    Its mode 1 adds one pixel to the right and bottom edges, which is taken off before; its mode 0 has a wrong gradient.
    """

    def __init__(
        self,
        out_size: int,
        strides: Sequence[int],
        finest_scale: float,
        sampling_ratio: int,
        aligned: bool,
        inclusive: bool,
    ):
        super().__init__()
        self.inclusive = inclusive
        samples = sampling_ratio or PORTABLE_SAMPLES
        self.levels = [ops.ROIAlign(out_size, out_size, 1.0 / stride, samples, 1) for stride in strides]
        self.strides = tuple(float(stride) for stride in strides)
        self.finest_scale = finest_scale
        self.aligned = aligned
        self.adaptive = sampling_ratio == 0

    def construct(self, features: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        level = self._level_of(rois)
        usable = rois[:, 0] >= 0
        if self.adaptive and self.aligned:  # adaptive sampling takes no sample of a RoI without area
            usable = ops.logical_and(usable, ops.logical_and(rois[:, 3] > rois[:, 1], rois[:, 4] > rois[:, 2]))
        image = ops.where(usable, rois[:, 0], ops.zeros_like(rois[:, 0]))[:, None]
        total = None
        for k, feature in enumerate(features):
            own = ops.logical_and(usable, level == k)[:, None]
            corner = ops.where(own, rois[:, 1:3], ops.zeros_like(rois[:, 1:3]))
            side = ops.where(own, rois[:, 3:] - rois[:, 1:3], ops.full_like(corner, self.strides[k]))
            if self.aligned:
                corner = corner - 0.5 * self.strides[k]
            else:
                side = ops.maximum(side, self.strides[k])
            pooled = self.levels[k](feature, ops.concat((image, corner, corner + side - 1.0), 1))
            pooled = pooled * own[:, :, None, None].astype(feature.dtype)
            total = pooled if total is None else total + pooled
        return total

    def _level_of(self, rois: Tensor) -> Tensor:
        width, height = rois[:, 3] - rois[:, 1], rois[:, 4] - rois[:, 2]
        if self.inclusive:
            width, height = width + 1.0, height + 1.0
        area = ops.relu(width * height)
        level = ops.floor(ops.log2(ops.sqrt(area) / self.finest_scale + 1e-6))
        return ops.clamp(level, 0, len(self.levels) - 1).astype(mstype.int32)
