"""Gradients of convolutions by oneDNN 3 on the CPU: faster than the framework's own, and without its scratchpads."""

import ctypes
import importlib.metadata
import platform
import sys
from collections.abc import Callable

import numpy as np
from mindspore import Tensor, get_context, nn, ops
from mindspore import dtype as mstype

from .build import ONEDNN, SHARED_OBJECT
from .build import RUNTIME as PACKAGE
from .half_precision import as_float32, as_type
from .library import custom_op, file_of, how_to_build, is_current, version_of

LIBRARY = ONEDNN
OLDEST = 302  # 100 * major + minor
SAME_PADDING = (-1,) * 4


class FastGradientConv2D(nn.Cell):
    """The framework's `Conv2D` of `conv`, whose gradient oneDNN works out (conv_gradient.cc). It has no parameters."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__(auto_prefix=False)
        self.convolve = _framework_conv(conv)
        numbers = conv_numbers(conv)
        self.settings = Tensor(np.array(numbers, np.float32))

        def input_shape(grad, weight, x, settings):
            return x

        def weight_shape(grad, x, weight, settings):
            return weight

        tag, library = "_".join(map(str, numbers)), str(file_of(LIBRARY))
        self.to_input = custom_op("ConvBackwardData", input_shape, mstype.float32, tag, library=library)
        self.to_weight = custom_op("ConvBackwardWeights", weight_shape, mstype.float32, tag, library=library)

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        """(B, I, H, W), (O, I / groups, y, x) -> (B, O, h, w)."""
        return self.convolve(x, weight)

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        return self.gradients(x, weight, grad)

    def gradients(self, x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """By two operators, so that the compiler drops the one whose result nobody needs. float16 is computed in
        float32, as the framework does on the CPU.
        """
        grad, full_x, full_weight = as_float32(grad), as_float32(x), as_float32(weight)
        to_input = self.to_input(grad, full_weight, full_x, self.settings)
        to_weight = self.to_weight(grad, full_x, full_weight, self.settings)
        return as_type(to_input, x.dtype), as_type(to_weight, weight.dtype)


class UsedRowsConv2D(FastGradientConv2D):
    """The convolution of those rows of a batch that are used, by oneDNN; what stands in the others means nothing.

    The gradient leaves out the rows whose own is zero, as `FastGradientConv2D` does. Of float16 the result is too, and
    it is computed in float32.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__(conv)
        whole_shape = conv_output_shape(conv)

        def output_shape(x, weight, used, settings):
            return whole_shape(x, weight)

        tag = "_".join(str(number) for number in self.settings.asnumpy())
        library = str(file_of(LIBRARY))
        self.convolve_rows = custom_op("ConvUsedRows", output_shape, mstype.float32, tag, library=library)

    def construct(self, x: Tensor, weight: Tensor, used: Tensor) -> Tensor:
        """(B, I, H, W), (O, I / groups, y, x), (B,) bool -> (B, O, h, w)."""
        y = self.convolve_rows(as_float32(x), as_float32(weight), used, self.settings)
        return as_type(y, x.dtype)

    def bprop(self, x: Tensor, weight: Tensor, used: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
        to_input, to_weight = self.gradients(x, weight, grad)
        return to_input, to_weight, ops.zeros_like(used)


def conv_numbers(conv: nn.Conv2d) -> list[int]:
    """What the operators' settings say of a convolution: groups, stride, dilation, padding (onednn.h)."""
    padding = SAME_PADDING if conv.pad_mode == "same" else _framework_conv(conv).padding
    return [conv.group, *conv.stride, *conv.dilation, *padding]


def conv_output_shape(conv: nn.Conv2d) -> Callable[[list[int], list[int]], list[int]]:
    """The shape of a convolution's result from those of its input and weight."""
    stride, dilation, padding = conv.stride, conv.dilation, _framework_conv(conv).padding
    is_same = conv.pad_mode == "same"

    def shape(x, weight):
        sides = []
        for axis in range(2):
            covered = dilation[axis] * (weight[2 + axis] - 1) + 1
            border = 0 if is_same else padding[2 * axis] + padding[2 * axis + 1]
            whole = x[2 + axis] + stride[axis] - 1 if is_same else x[2 + axis] + border - covered + stride[axis]
            sides.append(whole // stride[axis])
        return [x[0], weight[0], *sides]

    return shape


def _framework_conv(conv: nn.Conv2d):
    return getattr(conv.conv2d, "convolve", conv.conv2d)


def use_fast_gradients(network: nn.Cell) -> int:
    """Give every `nn.Conv2d` in `network` its gradient by oneDNN; how many there are.

    Those that `to_float` has set to half precision keep the framework's. Parameters, their names and the forward pass
    stay as they are, but for cells with `convolve_used_rows`, whose `conv` runs on RoI slots that are mostly unused:
    they get a convolution of the used ones for training. Only where `why_not_fast` has nothing against it.
    """
    shared: dict[str, FastGradientConv2D] = {}  # equal operators are one Cell, which is compiled in less time
    count = 0
    for _, conv in list(network.cells_and_names()):
        is_half = any(conv.get_flags().get(name) for name in ("fp16", "bf16"))
        if type(conv) is not nn.Conv2d or is_half or isinstance(conv.conv2d, nn.Cell):
            continue
        attributes = str(sorted(conv.conv2d.attrs.items()))
        if attributes not in shared:
            shared[attributes] = FastGradientConv2D(conv)
        conv.conv2d = shared[attributes]
        count += 1
    for _, cell in network.cells_and_names():
        if hasattr(cell, "convolve_used_rows") and isinstance(cell.conv.conv2d, FastGradientConv2D):
            cell.convolve_used_rows(UsedRowsConv2D(cell.conv))
    return count


def why_not_fast() -> str:
    """Why gradients must be the framework's own on this device and machine; empty where oneDNN is there.

    Loads oneDNN: the compiled operators name it without a path, and the loader takes what is loaded already.
    """
    device = get_context("device_target")
    if device != "CPU":
        return f"oneDNN is for the CPU, the device is {device}"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"{PACKAGE} is there for x86-64 Linux only"
    files = _package_files()
    if not files:
        return f"{PACKAGE} is not installed: pip install -r requirements.txt"
    try:
        ctypes.CDLL(files[0])
        path = file_of(LIBRARY)
        if not path.is_file():
            return f"{LIBRARY} is missing: {how_to_build()}"
        if ":" in str(path):
            return f"MindSpore loads no operators from a path with a colon: {path.parent}"
        if not is_current(path):
            return f"{LIBRARY} is of another version: {how_to_build()}"
        version = version_of(path, "OneDnnVersion")
    except OSError as error:
        return f"{LIBRARY} or oneDNN cannot be loaded ({error}): {how_to_build()}"
    if not version:
        return f"{LIBRARY} is another library: {how_to_build()}"
    return "" if version >= OLDEST else f"another oneDNN is loaded: {version // 100}.{version % 100}"


def _package_files() -> list[str]:
    """Paths of oneDNN's shared object in this environment."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [str(path.locate()) for path in files if path.name == SHARED_OBJECT]
