"""Bilinear resizing in inference: the compiled operator, the framework's matrix products and PyTorch's `interpolate`.

    python -m benchmarks.resize_bilinear

The cases are HRNet-W48's joined maps at 1024x512 and PointRend's masks. `memory` is what the graph of the products
keeps as long as it lives: the framework's kernel of a transposed map has a table of 8 bytes an element.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mindspore import Tensor  # noqa: E402

from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.models.layers import ResizeBilinear  # noqa: E402
from src.ops.resize import InferenceResizing  # noqa: E402

CASES = {  # maps before, size after
    "48 maps": ((1, 48, 64, 128), (128, 256)),
    "384 maps": ((1, 384, 16, 32), (128, 256)),
    "100 masks": ((100, 1, 112, 112), (224, 224)),
}


def resident() -> float:
    """MB of this process in memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def network(by_operator: bool) -> ResizeBilinear:
    resize = ResizeBilinear().set_train(False)
    resize.for_inference = InferenceResizing("half_pixel") if by_operator else None
    return resize


def figures() -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    small = Tensor(np.zeros((1, 1, 2, 2), np.float32)), Tensor(np.zeros((4, 4), np.int8))
    for by_operator in (True, False):
        network(by_operator)(*small)  # what the first graph of a process takes
    for name, (shape, size) in CASES.items():
        yield from compared(f"bilinear resizing, {name} {shape[2]}x{shape[3]} to {size[0]}x{size[1]}", shape, size)


def compared(what: str, shape: tuple[int, ...], size: tuple[int, int]) -> Iterator[Figure]:
    x = np.random.RandomState(0).randn(*shape).astype(np.float32)
    inputs, image = (Tensor(x), Tensor(np.zeros(size, np.int8))), torch.tensor(x)
    operator, products = network(True), network(False)
    kept = []
    for one in (operator, products):
        before = resident()
        one.compile(*inputs)
        kept.append(max(resident() - before, 0.1))
    ours = median_ms(lambda: operator(*inputs).asnumpy(), 15)
    theirs = median_ms(lambda: products(*inputs).asnumpy(), 15)
    torchs = median_ms(lambda: torch.nn.functional.interpolate(image, size, mode="bilinear"), 15)
    assert np.abs(operator(*inputs).asnumpy() - products(*inputs).asnumpy()).max() < 1e-6
    reference = f"{versioned('mindspore', 'MindSpore')} matrix products"
    yield Figure(what, ours, theirs, "ms", reference)
    yield Figure(what, ours, torchs, "ms", versioned("torch", "PyTorch"))
    yield Figure(f"{what}, memory", *kept, "MB", reference)


if __name__ == "__main__":
    run(figures, __doc__)
