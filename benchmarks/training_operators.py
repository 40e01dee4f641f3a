"""The fused operators of training (normalisation, sum and ReLU; resizing) against MindSpore's own and PyTorch's.

    python benchmarks/training_operators.py

Forward and backward of a row of eight equal layers in one graph, at sizes of HRNet-W18's and ResNet-50's stages.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

from src.process.threads import share_cores  # noqa: E402

share_cores()

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mindspore import Tensor, nn, ops  # noqa: E402

from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.models.fused import fuse_for_training  # noqa: E402
from src.models.layers import AddReLU, NormSettings, ResizeBilinear, UpsampleNearest, batch_norm  # noqa: E402
from src.ops.conv_gradient import why_not_fast  # noqa: E402

LAYERS = 8
SIZES = [(2, 32, 256, 256), (2, 18, 128, 128), (2, 256, 64, 64), (2, 144, 16, 16)]
FACTOR = 4


class NormReLU(nn.Cell):
    def __init__(self, channels: int):
        super().__init__()
        self.bn1, self.relu1 = batch_norm(channels, NormSettings()), nn.ReLU()

    def construct(self, x):
        return self.relu1(self.bn1(x))


class NormSumReLU(nn.Cell):
    def __init__(self, channels: int):
        super().__init__()
        self.bn1, self.add_relu = batch_norm(channels, NormSettings()), AddReLU()

    def construct(self, x):
        return self.add_relu(self.bn1(x), x)


class Resize(nn.Cell):
    def __init__(self, channels: int, bilinear: bool):
        super().__init__()
        self.resize = ResizeBilinear() if bilinear else UpsampleNearest(FACTOR)
        self.bilinear = bilinear

    def construct(self, x):
        if self.bilinear:
            return self.resize(x, ops.zeros((x.shape[2] * FACTOR, x.shape[3] * FACTOR)))
        return self.resize(x)


class TorchLayer(torch.nn.Module):
    def __init__(self, kind: str, channels: int):
        super().__init__()
        self.kind, self.norm = kind, torch.nn.BatchNorm2d(channels)

    def forward(self, x):
        if self.kind in ("nearest", "bilinear"):
            return torch.nn.functional.interpolate(x, scale_factor=FACTOR, mode=self.kind)
        result = self.norm(x)
        return torch.relu_(result + x if "sum" in self.kind else result)


LAYER = {
    "norm, ReLU": NormReLU,
    "norm, sum, ReLU": NormSumReLU,
    "nearest": lambda channels: Resize(channels, False),
    "bilinear": lambda channels: Resize(channels, True),
}


def energy(layers, x, in_a_row: bool):
    """Of layers one after the other, or each of x."""
    total = 0
    for layer in layers:
        y = layer(x)
        total = total + (y.sum() if not in_a_row else 0)
        x = y if in_a_row else x
    return x.sum() if in_a_row else total


class Energy(nn.Cell):
    def __init__(self, kind: str, channels: int, fused: bool):
        super().__init__()
        self.layers = nn.CellList([LAYER[kind](channels) for _ in range(LAYERS)])
        self.in_a_row = kind.startswith("norm")
        if fused:
            fuse_for_training(self)

    def construct(self, x):
        return energy(self.layers, x, self.in_a_row)


def mindspore_ms(kind: str, x: np.ndarray, fused: bool) -> float:
    network, image = Energy(kind, x.shape[1], fused).set_train(), Tensor(x)
    gradient = ms.jit(ops.value_and_grad(network, 0))
    return median_ms(lambda: gradient(image)[0].asnumpy()) / LAYERS


def torch_ms(kind: str, x: np.ndarray) -> float:
    layers, leaf = [TorchLayer(kind, x.shape[1]) for _ in range(LAYERS)], torch.tensor(x, requires_grad=True)
    return median_ms(lambda: energy(layers, leaf, kind.startswith("norm")).backward()) / LAYERS


def figures() -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    if why_not_fast():
        raise SystemExit(f"error: no fused operators here: {why_not_fast()}")
    for kind in LAYER:
        for size in SIZES:
            if not kind.startswith("norm"):
                size = (*size[:2], size[2] // FACTOR, size[3] // FACTOR)
            x = np.random.RandomState(0).randn(*size).astype(np.float32)
            ours, framework, reference = mindspore_ms(kind, x, True), mindspore_ms(kind, x, False), torch_ms(kind, x)
            what = f"{kind}, {'x'.join(map(str, size))}, forward and backward"
            yield Figure(what, ours, framework, "ms", versioned("mindspore", "MindSpore"))
            yield Figure(what, ours, reference, "ms", versioned("torch", "PyTorch"))


if __name__ == "__main__":
    run(figures, __doc__)
