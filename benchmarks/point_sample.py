"""Point sampling: the compiled operator against MindSpore's and PyTorch's grid_sample, forward and backward.

    python benchmarks/point_sample.py

PointRend's own cases: fine features in training (128 RoIs of two images, 196 points each), in a subdivision step (100
masks of one image, 784 points each), and coarse logits of 80 classes. MindSpore's gradient is left out: it is wrong at
these sizes (its kernel logs that it failed to copy, and goes on).
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
from mindspore import Tensor, ops  # noqa: E402

from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.ops.point_sample import PointSample  # noqa: E402

CASES = {
    "training, fine features": ((2, 256, 192, 320), (256, 196)),
    "subdivision, fine features": ((1, 256, 192, 320), (100, 784)),
    "training, coarse logits": ((128, 80, 7, 7), (128, 196)),
}


def mindspore_times(portable: bool, maps: np.ndarray, points: np.ndarray) -> list[float]:
    """Milliseconds of the forward pass and, for ours, of forward and backward."""
    sample = PointSample(portable=portable)
    inputs = Tensor(maps), Tensor(points)

    def energy(maps, points):
        return (sample(maps, points) ** 2).sum()

    gradient = ms.jit(ops.grad(energy, 0))
    times = [median_ms(lambda: sample(*inputs).asnumpy())]
    return times if portable else [*times, median_ms(lambda: gradient(*inputs).asnumpy())]


def torch_times(maps: np.ndarray, points: np.ndarray) -> list[float]:
    leaf = torch.tensor(maps, requires_grad=True)
    grid = torch.tensor(points).reshape(maps.shape[0], -1, 1, 2) * 2 - 1

    def forward():
        return torch.nn.functional.grid_sample(leaf, grid, align_corners=False)

    def backward():
        leaf.grad = None
        (forward() ** 2).sum().backward()

    return [median_ms(forward), median_ms(backward)]


def figures() -> Iterator[Figure]:
    """Against PyTorch; MindSpore's own operator has no right backward to compare with."""
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    rng = np.random.RandomState(0)
    for name, (shape, count) in CASES.items():
        maps, points = rng.randn(*shape).astype(np.float32), rng.rand(*count, 2).astype(np.float32)
        ours = mindspore_times(False, maps, points)
        framework = mindspore_times(True, maps, points)
        reference = torch_times(maps, points)
        for k, passes in enumerate(("forward", "forward + backward")):
            what = f"point sampling, {name}, {passes}"
            if k < len(framework):
                yield Figure(what, ours[k], framework[k], "ms", f"{versioned('mindspore', 'MindSpore')} grid_sample")
            yield Figure(what, ours[k], reference[k], "ms", f"{versioned('torch', 'PyTorch')} grid_sample")


if __name__ == "__main__":
    run(figures, __doc__)
