"""Soft-NMS of 1,000 RoIs x 80 classes: against our hard NMS, and against PyTorch code of mmcv's definition, in one run.

    python benchmarks/soft_nms.py

The PyTorch code looks at all boxes at once for each pick and stops after as many picks as there are slots. Prints
milliseconds, and the ratios to ours. Stops if the picks or the lowered scores are not the same.
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

from benchmarks.detection_ops import random_boxes  # noqa: E402
from benchmarks.figures import Figure, run, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.ops.nms import Nms  # noqa: E402
from src.ops.soft_nms import METHODS, Decay, SoftNms  # noqa: E402

ROIS, CLASSES, SLOTS, THRESHOLD, SIGMA, MIN_SCORE = 1000, 80, 100, 0.5, 0.5, 0.001
REPEATS = 41


def in_pytorch(boxes, scores, groups, valid, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices and lowered scores of the picks."""
    places = torch.nonzero(valid)[:, 0]
    boxes, scores = boxes[places], scores[places].clone()
    boxes = boxes + (groups[places] * (boxes.max() + 1))[:, None]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    index, lowered = [], []
    while len(index) < SLOTS:
        best = int(scores.argmax())
        if scores[best] < MIN_SCORE:
            break
        index.append(int(places[best]))
        lowered.append(float(scores[best]))
        side = torch.min(boxes[best, 2:], boxes[:, 2:]) - torch.max(boxes[best, :2], boxes[:, :2])
        shared = side.clamp(min=0).prod(dim=1)
        iou = shared / (areas[best] + areas - shared)
        if method == "gaussian":
            scores *= torch.exp(-(iou * iou) / SIGMA)
        else:
            scores *= torch.where(iou >= THRESHOLD, 1 - iou, torch.ones_like(iou))
        scores[best] = -1
    return np.array(index), np.array(lowered)


def figures() -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    torch.set_num_threads(1)  # its rows are short: more threads wait for one another
    rng, count = np.random.RandomState(0), ROIS * CLASSES
    boxes, groups = random_boxes(count, rng), np.tile(np.arange(CLASSES), ROIS)
    for share in (0.02, 0.1):  # of the pairs of RoI and class whose score is above test_cfg.rcnn.score_thr
        scores, valid = rng.uniform(0.05, 1, count).astype(np.float32), rng.rand(count) < share
        arrays = boxes[None], scores[None], np.int32(groups), valid[None]
        inputs = [Tensor(array) for array in arrays]
        tensors = [torch.tensor(array) for array in (boxes, scores, groups.astype(np.float32), valid)]
        hard = Nms(THRESHOLD, SLOTS)
        hard_ms = median_ms(lambda cell=hard, inputs=inputs: cell(*inputs)[0].asnumpy(), REPEATS)
        for method in METHODS:
            soft = SoftNms(THRESHOLD, SLOTS, Decay(method, SIGMA, MIN_SCORE))
            index, keep, lowered = (x.asnumpy()[0] for x in soft(*inputs))
            theirs = in_pytorch(*tensors, method)
            if not np.array_equal(index[keep], theirs[0]) or not np.allclose(lowered[keep], theirs[1], rtol=1e-4):
                sys.exit(f"soft NMS, {method}: the picks differ from the definition's")
            soft_ms = median_ms(lambda cell=soft, inputs=inputs: cell(*inputs)[0].asnumpy(), REPEATS)
            torch_ms = median_ms(lambda tensors=tensors, method=method: in_pytorch(*tensors, method), 5)
            what = f"soft NMS, {method}, {valid.sum()} of {ROIS} RoIs x {CLASSES} classes, {SLOTS} slots"
            yield Figure(what, soft_ms, hard_ms, "ms", "our hard NMS")
            yield Figure(what, soft_ms, torch_ms, "ms", f"{versioned('torch', 'PyTorch')} code of mmcv's definition")


if __name__ == "__main__":
    run(figures, __doc__)
