"""Half precision: its types, whether a device computes in them, and casts that add nothing to a graph of float32."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

HALF_TYPES = {"float16": mstype.float16, "bfloat16": mstype.bfloat16}


def as_type(x: Tensor, dtype: ms.Type) -> Tensor:
    """`x` in another type; itself where it has it already, so that no node is added."""
    return x if x.dtype == dtype else x.astype(dtype)


def as_float32(x: Tensor) -> Tensor:
    """`x` in float32, see `as_type`."""
    return as_type(x, mstype.float32)


def why_no_half(name: str) -> str:
    """Why the current device cannot compute in 'float16' or 'bfloat16'; empty where it can.

    On the CPU MindSpore has all operators in float16 and next to none in bfloat16; other devices are asked, by a
    convolution and a matrix product.
    """
    device = ms.get_context("device_target")
    if device == "CPU":
        return "" if name == "float16" else f"MindSpore's operators for the CPU do not compute in {name}"
    try:
        _Probe(HALF_TYPES[name])(Tensor(np.ones((1, 1, 4, 4), np.float32))).asnumpy()
    except (RuntimeError, TypeError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip(" -")]
        return f"{device} does not compute convolutions and matrix products in {name} ({''.join(lines[:1]):.150})"
    return ""


class _Probe(nn.Cell):
    def __init__(self, dtype: ms.Type):
        super().__init__()
        self.dtype = dtype
        self.convolve = ops.Conv2D(1, 3, pad_mode="pad", pad=1)
        self.kernel = Tensor(np.ones((1, 1, 3, 3), np.float32))

    def construct(self, x: Tensor) -> Tensor:
        y = self.convolve(x.astype(self.dtype), self.kernel.astype(self.dtype))[0, 0]
        return ops.matmul(y, y).astype(mstype.float32)
