"""Batch normalisation by a batch's own statistics with what follows it, and its gradient, as one operator each."""

import mindspore.ops.signature as sig
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .conv_gradient import LIBRARY
from .half_precision import as_float32, as_type
from .library import custom_op, file_of

BITS = 32  # of a word of the ReLU's mask
INPUTS = ("x", "gamma", "beta", "moving_mean", "moving_variance", "settings")
CHANGED = ("moving_mean", "moving_variance")


class FusedBatchNorm(nn.Cell):
    """[relu](batch_norm(x)) in training on the CPU (batch_norm.cc), computed in float32 from maps of any type.

    It has no parameters: they are arguments of `construct`, which changes the running statistics among them, the
    variance as the unbiased one. share: of the new value in the running statistics (PyTorch's momentum).
    """

    def __init__(self, eps: float, share: float, relu: bool):
        super().__init__(auto_prefix=False)
        self.settings = Tensor(np.array([eps, share, relu], np.float32))
        self.passes = Tensor(np.array([relu], np.float32))
        self._make_operators(relu, has_sum=False)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) and four times (C,) -> the result (B, C, H, W), and three tensors for the gradient."""
        return self._of_type(x, self.run(as_float32(x), gamma, beta, mean, variance, self.settings))

    def bprop(self, x, gamma, beta, mean, variance, out, grad):
        """None to the running statistics."""
        to_x, to_gamma, to_beta = self._gradients(x, gamma, out, grad)
        return as_type(to_x, x.dtype), to_gamma, to_beta, ops.zeros_like(mean), ops.zeros_like(variance)

    def _gradients(self, x, gamma, out, grad) -> tuple[Tensor, ...]:
        grad, x = as_float32(grad[0]), as_float32(x)
        return self.differentiate(grad, x, gamma, out[1], out[2], out[3], self.passes)

    def _of_type(self, x, out) -> tuple[Tensor, ...]:
        return as_type(out[0], x.dtype), out[1], out[2], out[3]

    def _make_operators(self, relu: bool, has_sum: bool) -> None:
        def outputs(x, gamma, *_):
            words = (x[2] * x[3] + BITS - 1) // BITS if relu else 0
            return x, gamma, gamma, [x[0], x[1], words]

        def gradients(grad, x, gamma, *_):
            return (x, gamma, gamma, x) if has_sum else (x, gamma, gamma)

        floats, tag, library = (mstype.float32,) * 3, f"{relu:d}{has_sum:d}", str(file_of(LIBRARY))
        self.run = custom_op("BatchNormForward", outputs, (*floats, mstype.int32), tag, library=library)
        self.run.add_prim_attr("side_effect_mem", True)
        names = (*INPUTS, "added") if has_sum else INPUTS
        modes = [sig.sig_rw.RW_WRITE if name in CHANGED else sig.sig_rw.RW_READ for name in names]
        self.run.set_signatures([sig.make_sig(name, mode) for name, mode in zip(names, modes)])
        types = (*floats, mstype.float32) if has_sum else floats
        self.differentiate = custom_op("BatchNormBackward", gradients, types, tag, library=library)


class FusedBatchNormSum(FusedBatchNorm):
    """relu(batch_norm(x) + added): the end of a residual block."""

    def __init__(self, eps: float, share: float):
        super().__init__(eps, share, relu=True)
        self._make_operators(relu=True, has_sum=True)

    def construct(self, x, gamma, beta, mean, variance, added) -> tuple[Tensor, ...]:
        """(B, C, H, W), four times (C,) and (B, C, H, W) -> as `FusedBatchNorm`."""
        out = self.run(as_float32(x), gamma, beta, mean, variance, self.settings, as_float32(added))
        return self._of_type(x, out)

    def bprop(self, x, gamma, beta, mean, variance, added, out, grad):
        """None to the running statistics."""
        to_x, to_gamma, to_beta, to_added = self._gradients(x, gamma, out, grad)
        to_x, to_added = as_type(to_x, x.dtype), as_type(to_added, added.dtype)
        return to_x, to_gamma, to_beta, ops.zeros_like(mean), ops.zeros_like(variance), to_added
