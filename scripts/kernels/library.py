"""The compiled operators called by ctypes on PyTorch's tensors, as MindSpore calls them: no MindSpore is needed.

    int Name(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream, void* extra)

The same for the CPU's library and the GPU's: only where the pointers lead differs.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

NAMES = {
    torch.float32: b"float32", torch.float16: b"float16", torch.int32: b"int32", torch.bool: b"bool",
    torch.uint8: b"uint8",
}  # fmt: skip
UNSET = 0x7B  # every byte of an output before the call: what an operator does not write is seen


class KernelError(Exception):
    """An operator that is not there, or says that it failed."""


@dataclass(frozen=True)
class Output:
    """Shape and type of a tensor that an operator writes."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32


class Call:
    """One operator with its tensors, ready to be called any number of times."""

    def __init__(self, function, name: str, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]):
        tensors = [*inputs, *outputs]
        for tensor in tensors:
            if not tensor.is_contiguous():
                raise ValueError(f"{name}: a tensor of shape {tuple(tensor.shape)} is not contiguous")
        self.name, self.function, self.tensors, self.outputs = name, function, tensors, list(outputs)
        count = len(tensors)
        shapes = [(ctypes.c_int64 * max(tensor.dim(), 1))(*tensor.shape) for tensor in tensors]
        self.arguments = (
            count,
            (ctypes.c_void_p * count)(*(tensor.data_ptr() for tensor in tensors)),
            (ctypes.c_int * count)(*(tensor.dim() for tensor in tensors)),
            (ctypes.POINTER(ctypes.c_int64) * count)(*(ctypes.cast(s, ctypes.POINTER(ctypes.c_int64)) for s in shapes)),
            (ctypes.c_char_p * count)(*(NAMES[tensor.dtype] for tensor in tensors)),
        )
        self.shapes = shapes  # kept: the pointers lead there
        self.is_cuda = tensors[0].is_cuda

    def __call__(self) -> list[torch.Tensor]:
        """The outputs, which the next call writes again. KernelError for a status other than 0."""
        stream = torch.cuda.current_stream().cuda_stream if self.is_cuda else None
        status = self.function(*self.arguments, ctypes.c_void_p(stream), None)
        if status:
            raise KernelError(f"{self.name} has given status {status}")
        return self.outputs


class Library:
    """A compiled library. OSError where it cannot be loaded."""

    def __init__(self, path: Path):
        self.path = path
        self.library = ctypes.CDLL(str(path))

    def has(self, name: str) -> bool:
        return hasattr(self.library, name)

    def prepare(self, name: str, inputs: Sequence[torch.Tensor], outputs: Sequence[Output]) -> Call:
        """A call of `name`; its outputs lie where the first input lies. KernelError where there is no such operator."""
        if not self.has(name):
            raise KernelError(f"{self.path.name} has no {name}")
        device = inputs[0].device
        made = [torch.empty(output.shape, dtype=output.dtype, device=device) for output in outputs]
        for tensor in made:
            tensor.view(torch.uint8).fill_(UNSET)
        return Call(getattr(self.library, name), name, inputs, made)
