"""NMS and max-IoU assignment: the compiled operators against MindSpore's own operators on the same inputs.

Sizes of a 1024 x 1024 image: 8768 RPN candidates, 80 classes x 1000 RoIs, 261,888 anchors against 100 objects.

    python benchmarks/detection_ops.py
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Tensor  # noqa: E402

from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.models.detection.anchors import AnchorSet  # noqa: E402
from src.models.detection.assign import MaxIoUAssigner  # noqa: E402
from src.models.detection.sample import BalancedSampler  # noqa: E402
from src.ops.nms import Nms  # noqa: E402

REPEATS = 5


def random_boxes(count: int, rng: np.random.RandomState) -> np.ndarray:
    corner, side = rng.rand(count, 2) * 900, np.exp(rng.uniform(2, 5.5, (count, 2)))
    return np.concatenate([corner, np.minimum(corner + side, 1024)], 1).astype(np.float32)


def cell_ms(cell, inputs) -> float:
    return median_ms(lambda: cell(*inputs)[0].asnumpy(), REPEATS)


def figure(name: str, ours: float, theirs: float) -> Figure:
    return Figure(name, ours, theirs, "ms", f"{versioned('mindspore', 'MindSpore')}'s operators")


def figures() -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    rng = np.random.RandomState(0)
    for name, count, groups, slots, share in (
        ("NMS, 8768 proposals of 5 levels, best 1000", 8768, 5, 1000, 1.0),
        ("NMS, 80 classes x 1000 RoIs, 2% above 0.05", 80000, 80, 100, 0.02),
    ):
        arrays = [random_boxes(count, rng)[None], rng.rand(1, count), rng.randint(0, groups, count)]
        arrays.append(rng.rand(1, count) < share)
        kinds = np.float32, np.float32, np.int32, bool
        inputs = [Tensor(array.astype(kind)) for array, kind in zip(arrays, kinds)]
        yield figure(name, *(cell_ms(Nms(0.6, slots, portable=portable), inputs) for portable in (False, True)))

    sizes = [(1024 // s, 1024 // s) for s in (4, 8, 16, 32, 64)]
    anchors = AnchorSet(sizes, (4, 8, 16, 32, 64), [8], [0.5, 1.0, 2.0]).boxes
    flags = np.ones((1, len(anchors)), bool), np.ones((1, 100), bool), np.zeros((1, 100), bool)
    inputs = [anchors[None], flags[0], random_boxes(100, rng)[None], flags[1], flags[2]]
    inputs = [Tensor(array) for array in inputs]
    times = [cell_ms(MaxIoUAssigner(0.7, 0.3, 0.3, portable=portable), inputs) for portable in (False, True)]
    yield figure(f"assignment, {len(anchors)} anchors x 100 objects", *times)

    assigned = np.int32(rng.choice([-1, 0, 1], (2, len(anchors)), p=[0.1, 0.89, 0.01]))
    inputs = [Tensor(assigned), Tensor(np.int32([1, 2]))]
    times = [cell_ms(BalancedSampler(256, 0.5, portable=portable), inputs) for portable in (False, True)]
    yield figure(f"choice of 256 among 2 x {len(anchors)} anchors", *times)


if __name__ == "__main__":
    run(figures, __doc__)
