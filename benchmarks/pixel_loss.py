"""Segmentation loss with its gradient: ours against MindSpore's `ops.cross_entropy` and PyTorch's, on the CPU.

    python benchmarks/pixel_loss.py

Prints milliseconds of forward and backward, and the ratios to ours, in the same run.
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
from src.models.fused import fuse_for_training  # noqa: E402
from src.models.losses import OhemCrossEntropy, PixelCrossEntropy  # noqa: E402
from src.ops.conv_gradient import why_not_fast  # noqa: E402

SHAPES = ((8, 20, 96, 96), (2, 19, 256, 512))


def framework(logits: Tensor, labels: Tensor) -> Tensor:
    return ops.cross_entropy(logits, labels, ignore_index=255)


def compiled(loss):
    """Forward and backward as one graph."""
    both = ops.value_and_grad(loss, 0)

    @ms.jit
    def step(logits, labels):
        return both(logits, labels)

    return step


def figures() -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    if reason := why_not_fast():
        raise SystemExit(f"error: {reason}")
    for shape in SHAPES:
        rng = np.random.RandomState(0)
        logits, labels = rng.randn(*shape).astype(np.float32), rng.randint(0, shape[1], (shape[0], *shape[2:]))
        labels[rng.rand(*labels.shape) < 0.1] = 255
        tensors = Tensor(logits), Tensor(labels.astype(np.int32))
        leaf, wanted = torch.tensor(logits, requires_grad=True), torch.tensor(labels)

        def reference(leaf=leaf, wanted=wanted):
            leaf.grad = None
            torch.nn.functional.cross_entropy(leaf, wanted, ignore_index=255).backward()

        times = {}
        losses = {"cross entropy": PixelCrossEntropy(), "OHEM": OhemCrossEntropy(), "mindspore": framework}
        for loss in (losses["cross entropy"], losses["OHEM"]):
            fuse_for_training(loss.set_train())
        for name, loss in losses.items():
            step = compiled(loss)

            def call(step=step, tensors=tensors):
                step(*tensors)[1].asnumpy()

            times[name] = median_ms(call)
        others = {f"{versioned('mindspore', 'MindSpore')} cross_entropy": times.pop("mindspore")}
        others[f"{versioned('torch', 'PyTorch')} cross_entropy"] = median_ms(reference)
        for name, own in times.items():
            for other, theirs in others.items():
                what = f"{name} of logits {'x'.join(map(str, shape))}, forward and backward"
                yield Figure(what, own, theirs, "ms", other)


if __name__ == "__main__":
    run(figures, __doc__)
