"""RoIAlign: the compiled operator against MindSpore's `ops.ROIAlign` and against PyTorch, forward and backward.

Four levels of 256 channels from a 1024 x 1024 image. MindSpore's operator knows one level, so it pools every RoI on
every level and the right one is chosen afterwards. PyTorch has no RoIAlign without torchvision: the same samples are
taken by grid_sample, level by level, and averaged (fixed sampling ratio 2 everywhere).

    python benchmarks/roi_align.py
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Tensor, nn, ops  # noqa: E402

from benchmarks.timing import median_ms  # noqa: E402
from src.ops.roi_align import RoIAlign  # noqa: E402

STRIDES, CHANNELS, IMAGE = (4, 8, 16, 32), 256, 1024


class Gradient(nn.Cell):
    """Forward and backward of a pooling cell."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

        def total(f0, f1, f2, f3, rois):
            return (pool((f0, f1, f2, f3), rois) ** 2).sum()

        self.gradient = ops.value_and_grad(total, (0, 1, 2, 3))

    def construct(self, f0, f1, f2, f3, rois):
        return self.gradient(f0, f1, f2, f3, rois)


class Forward(nn.Cell):
    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def construct(self, f0, f1, f2, f3, rois):
        return self.pool((f0, f1, f2, f3), rois)


def make_rois(count: int, rng: np.random.RandomState) -> np.ndarray:
    """(count, 5) RoIs of all scales in the image."""
    side = np.exp(rng.uniform(np.log(16), np.log(600), (count, 2)))
    corner = rng.rand(count, 2) * np.maximum(IMAGE - side, 1)
    return np.concatenate([np.zeros((count, 1)), corner, np.minimum(corner + side, IMAGE)], 1).astype(np.float32)


def mindspore_ms(pool, features, rois) -> tuple[float, float]:
    inputs = [Tensor(feature) for feature in features] + [Tensor(rois)]
    forward, gradient = Forward(pool), Gradient(pool)
    return (
        median_ms(lambda: forward(*inputs).asnumpy()),
        median_ms(lambda: gradient(*inputs)[0].asnumpy()),
    )


def torch_ms(features, rois, size: int) -> tuple[float, float] | None:
    try:
        import torch
    except ImportError:
        return None
    tensors = [torch.tensor(feature, requires_grad=True) for feature in features]
    boxes = torch.tensor(rois[:, 1:])
    scale = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    level = torch.floor(torch.log2(scale / 56 + 1e-6)).clamp(0, 3).long()
    fraction = (torch.arange(2 * size) + 0.5) / (2 * size)

    def pool():
        out = torch.zeros(len(boxes), CHANNELS, size, size)
        for k, (tensor, stride) in enumerate(zip(tensors, STRIDES)):
            own = (level == k).nonzero()[:, 0]
            if not len(own):
                continue
            low, high = boxes[own, :2] / stride - 0.5, boxes[own, 2:] / stride - 0.5
            points = low[:, None] + (high - low)[:, None] * fraction[None, :, None]  # cell coordinates (x, y)
            limit = torch.tensor([tensor.shape[3], tensor.shape[2]])
            points = (2 * points + 1) / limit - 1
            grid = torch.stack(
                [points[:, None, :, 0].expand(-1, 2 * size, -1), points[:, :, None, 1].expand(-1, -1, 2 * size)], -1
            )
            flat = grid.reshape(1, -1, 2 * size, 2)
            sampled = torch.nn.functional.grid_sample(tensor, flat, align_corners=False, padding_mode="border")
            sampled = sampled.reshape(CHANNELS, len(own), 2 * size, 2 * size).transpose(0, 1)
            out[own] = torch.nn.functional.avg_pool2d(sampled, 2)
        return out

    def step():
        for tensor in tensors:
            tensor.grad = None
        (pool() ** 2).sum().backward()

    with torch.no_grad():
        forward = median_ms(pool)
    return forward, median_ms(step)


def main() -> None:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    rng = np.random.RandomState(0)
    features = [rng.randn(1, CHANNELS, IMAGE // s, IMAGE // s).astype(np.float32) for s in STRIDES]
    for count, size in ((512, 7), (128, 14)):
        rois = make_rois(count, rng)
        ours = mindspore_ms(RoIAlign(size, STRIDES, 56, 2), features, rois)
        adaptive = mindspore_ms(RoIAlign(size, STRIDES, 56, 0), features, rois)
        theirs = mindspore_ms(RoIAlign(size, STRIDES, 56, 2, portable=True), features, rois)
        torch_times = torch_ms(features, rois, size)
        print(f"{count} RoIs {size}x{size}: ms forward / forward + backward")
        print(f"  ours, sampling ratio 2     {ours[0]:8.1f} / {ours[1]:8.1f}")
        print(f"  ours, adaptive             {adaptive[0]:8.1f} / {adaptive[1]:8.1f}")
        print(f"  MindSpore ops.ROIAlign x 4 {theirs[0]:8.1f} / {theirs[1]:8.1f}")
        print(f"  ratio to MindSpore         {theirs[0] / ours[0]:8.1f} / {theirs[1] / ours[1]:8.1f}  (times faster)")
        if torch_times is None:
            print("  PyTorch: not installed (requirements-dev.txt)")
        else:
            print(f"  PyTorch grid_sample        {torch_times[0]:8.1f} / {torch_times[1]:8.1f}")
            print(f"  ratio to PyTorch           {torch_times[0] / ours[0]:8.1f} / {torch_times[1] / ours[1]:8.1f}")


if __name__ == "__main__":
    main()
