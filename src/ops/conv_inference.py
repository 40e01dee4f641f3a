"""Convolutions of inference by oneDNN 3 on the CPU, with what follows them, from weights in its own layout."""

import ctypes
import gc
import itertools
import weakref

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore import dtype as mstype

from .conv_gradient import LIBRARY, conv_numbers, conv_output_shape
from .library import custom_op, file_of

_numbers = itertools.count(1)


class InferenceConv2D(nn.Cell):
    """Takes the place of `conv`, and of the ReLU after it where `relu` is true (conv_inference.cc).

    The library has a copy of the weights, the only one, in the layout that oneDNN asks for, as long as this cell lives.
    No parameters, no gradient.
    """

    function = "ConvInference"

    def __init__(self, conv: nn.Conv2d, relu: bool):
        super().__init__(auto_prefix=False)
        numbers = [*conv_numbers(conv), float(relu)]
        self.settings = Tensor(np.array(numbers, np.float32))
        # A parameter's value is no part of the graph, unlike a constant, which graphs that other processes keep have.
        self.layer = Parameter(Tensor([_keep(self, conv)], mstype.int64), f"{conv.weight.name}.layer", False)
        whole_shape, weight = conv_output_shape(conv), list(conv.weight.shape)

        def shape(x, *_):
            return whole_shape(x, weight)

        tag = "_".join(map(str, [*numbers, *weight]))
        self.convolve = custom_op(self.function, shape, mstype.float32, tag, library=str(file_of(LIBRARY)))

    def construct(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, h, w)."""
        return self.convolve(x, self.layer, self.settings)


class InferenceConvSum2D(InferenceConv2D):
    """The same for a convolution to whose result another map is added, before the ReLU."""

    function = "ConvSumInference"

    def construct(self, x: Tensor, added: Tensor) -> Tensor:
        """(B, I, H, W), (B, O, h, w) -> (B, O, h, w)."""
        return self.convolve(x, self.layer, self.settings, added)


def give_back() -> None:
    """Give the system the memory of layers that are gone: glibc keeps it otherwise, a copy of all weights."""
    gc.collect()  # cells are in circles
    ctypes.CDLL(None).malloc_trim(0)


def _keep(cell: nn.Cell, conv: nn.Conv2d) -> int:
    """Gives the library the weights of `conv` until `cell` is gone; their number there."""
    library, number = ctypes.CDLL(str(file_of(LIBRARY))), next(_numbers)
    weight = np.ascontiguousarray(conv.weight.asnumpy(), np.float32)
    bias = conv.bias.asnumpy() if conv.has_bias else np.zeros(len(weight))
    bias = np.ascontiguousarray(bias, np.float32)
    shape = (ctypes.c_int64 * 4)(*weight.shape)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (weight, bias))
    if library.KeepLayer(ctypes.c_int64(number), ctypes.c_int64(conv.group), shape, *pointers):
        raise MemoryError(f"no room for the weights {conv.weight.name}")
    weakref.finalize(cell, library.ReleaseLayer, ctypes.c_int64(number))
    return number
