"""RoIAlign: the compiled operator against mmcv's and against MindSpore's `ops.ROIAlign`, forward and backward.

    python benchmarks/mmcv_operator.py       # compiles mmcv's, once
    python benchmarks/roi_align.py [--mindspore 1]

Four levels of 256 channels from a 1024 x 1024 image, each RoI on its FPN level; the two shapes that detectors use, with
adaptive sampling and with two samples a bin and axis. Ours is a compiled graph of the layer that the networks have,
mmcv's its operator on each level's RoIs; the sides take their turn. Stops where their numbers differ. `--mindspore 1`
adds MindSpore's operator, which knows one level: it pools every RoI on every level, and the right one is chosen.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

from src.process.threads import share_cores  # noqa: E402

share_cores()

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mindspore import Tensor, nn, ops  # noqa: E402

from benchmarks.figures import Figure, add_figures_option, show, versioned  # noqa: E402
from benchmarks.mmcv_operator import compiled  # noqa: E402
from src.ops.roi_align import RoIAlign  # noqa: E402

STRIDES, CHANNELS, IMAGE, FINEST = (4, 8, 16, 32), 256, 1024, 56
SHAPES = ((512, 7), (128, 14))  # RoIs, bins a side: box head, mask head
GOAL = 0.35
ROUNDS = 7


class Backward(nn.Cell):
    """Gradients of the four maps for a gradient of the pooled RoIs."""

    def __init__(self, pool: nn.Cell):
        super().__init__()
        self.pool = pool

        def pooled(f0, f1, f2, f3, rois):
            return pool((f0, f1, f2, f3), rois)

        self.gradient = ops.GradOperation(get_all=True, sens_param=True)(pooled)

    def construct(self, f0, f1, f2, f3, rois, grad):
        return self.gradient(f0, f1, f2, f3, rois, grad)[:4]


class Forward(nn.Cell):
    def __init__(self, pool: nn.Cell):
        super().__init__()
        self.pool = pool

    def construct(self, f0, f1, f2, f3, rois):
        return self.pool((f0, f1, f2, f3), rois)


def make_rois(count: int, rng: np.random.RandomState) -> np.ndarray:
    """(count, 5) RoIs of all scales in the image."""
    side = np.exp(rng.uniform(np.log(16), np.log(600), (count, 2)))
    corner = rng.rand(count, 2) * np.maximum(IMAGE - side, 1)
    return np.concatenate([np.zeros((count, 1)), corner, np.minimum(corner + side, IMAGE)], 1).astype(np.float32)


def mindspore_calls(pool: nn.Cell, features, rois, grad) -> dict[str, Callable]:
    inputs = [Tensor(array) for array in (*features, rois)]
    forward, backward, gradient = Forward(pool), Backward(pool), Tensor(grad)
    return {
        "forward": lambda: forward(*inputs).asnumpy(),
        "backward": lambda: [one.asnumpy() for one in backward(*inputs, gradient)],
    }


def mmcv_calls(operator, features, rois, grad, size: int, ratio: int) -> tuple[dict[str, Callable], np.ndarray]:
    """Calls on each level's RoIs, and the order in which their results stand."""
    forward, backward = operator
    scale = np.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
    level = np.clip(np.floor(np.log2(scale / FINEST + 1e-6)), 0, len(STRIDES) - 1)
    places = [np.flatnonzero(level == k) for k in range(len(STRIDES))]
    maps = [torch.from_numpy(feature) for feature in features]
    own_rois = [torch.from_numpy(rois[place]) for place in places]
    own_grads = [torch.from_numpy(grad[place]) for place in places]
    calls = {
        "forward": lambda: [
            forward(*pair, size, stride, ratio).numpy() for *pair, stride in zip(maps, own_rois, STRIDES)
        ],
        "backward": lambda: [
            backward(own_grad, own, size, stride, ratio, one.shape).numpy()
            for own_grad, own, stride, one in zip(own_grads, own_rois, STRIDES, maps)
        ],
    }
    return calls, np.concatenate(places)


def in_turn(sides: Mapping[str, Callable]) -> dict[str, float]:
    """Median milliseconds of each, after a call that is not counted."""
    for call in sides.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, call in sides.items():
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(own) for name, own in times.items()}


def figures(with_mindspore: bool) -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    reference, *operator = compiled()
    rng = np.random.RandomState(0)
    features = [rng.randn(1, CHANNELS, IMAGE // s, IMAGE // s).astype(np.float32) for s in STRIDES]
    for count, size in SHAPES:
        rois = make_rois(count, rng)
        grad = rng.randn(count, CHANNELS, size, size).astype(np.float32)
        for ratio, sampling in ((0, "adaptive"), (2, "2x2 samples")):
            ours = mindspore_calls(RoIAlign(size, STRIDES, FINEST, ratio), features, rois, grad)
            theirs, order = mmcv_calls(operator, features, rois, grad, size, ratio)
            compare(ours, theirs, order)
            sides = {name: {"ours": ours[name], reference: theirs[name]} for name in ours}
            if with_mindspore and ratio:
                pool = RoIAlign(size, STRIDES, FINEST, ratio, portable=True)
                for name, call in mindspore_calls(pool, features, rois, grad).items():
                    sides[name][f"{versioned('mindspore', 'MindSpore')} ROIAlign"] = call
            for name, calls in sides.items():
                times = in_turn(calls)
                own = times.pop("ours")
                for other, value in times.items():
                    what = f"RoIAlign {name}, {count} RoIs {size}x{size}, {sampling}"
                    yield Figure(what, own, value, "ms", other, GOAL if other == reference else None)


def compare(ours: Mapping[str, Callable], theirs: Mapping[str, Callable], order: np.ndarray) -> None:
    pairs = [(ours["forward"]()[order], np.concatenate(theirs["forward"]()))]
    pairs += zip(ours["backward"](), theirs["backward"]())
    for own, other in pairs:
        if not np.allclose(own, other, rtol=1e-4, atol=1e-4):
            raise SystemExit(f"error: ours differ from mmcv's by {np.abs(own - other).max()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mindspore", type=int, choices=(0, 1), default=0, help="MindSpore's own operator too")
    add_figures_option(parser)
    options = parser.parse_args()
    show(figures(bool(options.mindspore)), options.figures)


if __name__ == "__main__":
    main()
