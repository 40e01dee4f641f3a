"""The detectors MaskRCNN_resnet50 and pointrend of MindSpore's model zoo from the RPN's outputs on, plainly: with the
framework's own operators that they call (BoundingBoxDecode, NMSWithMask, ROIAlign), NumPy for the rest. One image.
"""

import numpy as np
from mindspore import Tensor
from mindspore.ops import operations as P

STRIDES = (4, 8, 16, 32, 64)
STDS = (0.1, 0.1, 0.2, 0.2)
ZEROS, ONES = (0.0,) * 4, (1.0,) * 4


def anchors(sizes, ratios=(0.5, 1.0, 2.0), scale=8):
    """A list of (h * w * 3, 4), the levels' anchors."""
    levels = []
    for (height, width), stride in zip(sizes, STRIDES):
        middle = 0.5 * (stride - 1)
        base = []
        for ratio in ratios:
            w, h = stride * scale / np.sqrt(ratio), stride * scale * np.sqrt(ratio)
            half = np.array([w - 1, h - 1]) / 2
            base.append(np.concatenate([middle - half, middle + half]))
        shifts = [[x * stride, y * stride] * 2 for y in range(height) for x in range(width)]
        levels.append((np.array(shifts)[:, None] + np.array(base).round()[None]).reshape(-1, 4).astype(np.float32))
    return levels


def decode(references, deltas, canvas, stds):
    run = P.BoundingBoxDecode(max_shape=canvas, means=ZEROS, stds=stds)
    return run(Tensor(np.float32(references)), Tensor(np.float32(deltas))).asnumpy()


def suppress(boxes, scores, threshold):
    """Boxes and scores by falling score, what is left of them, and where they stood."""
    order = np.argsort(-scores, kind="stable")
    rows = np.concatenate([boxes, scores[:, None]], 1)[order].astype(np.float32)
    kept, index, left = (x.asnumpy() for x in P.NMSWithMask(threshold)(Tensor(rows)))
    return kept[:, :4], kept[:, 4], left, order[index]


def proposals(sizes, logits, deltas, canvas, pre, most):
    """(most, 4) proposals and which of them count."""
    found, scores, left, start = [], [], [], 0
    for level in anchors(sizes):
        own = slice(start, start + len(level))
        score = 1 / (1 + np.exp(-logits[own].astype(np.float64)))
        best = np.argsort(-score, kind="stable")[:pre]
        boxes = decode(level[best], deltas[own][best], canvas, ONES)
        kept, kept_scores, is_left, _ = suppress(boxes, score[best].astype(np.float32), 0.7)
        found, scores, left = [*found, kept], [*scores, kept_scores], [*left, is_left]
        start += len(level)
    found, scores, left = np.concatenate(found), np.concatenate(scores), np.concatenate(left)
    best = np.argsort(-np.where(left, scores, -65536), kind="stable")[:most]
    return found[best], left[best]


def roi_features(pyramid, boxes, size):
    """(N, C, size, size) of the first four levels."""
    scale = np.sqrt(boxes[:, 2] - boxes[:, 0] + 1) * np.sqrt(boxes[:, 3] - boxes[:, 1] + 1)
    level = np.clip(np.floor(np.log2(scale / 56 + 1e-6)), 0, 3)
    rois = Tensor(np.concatenate([np.zeros((len(boxes), 1)), boxes], 1).astype(np.float32))
    pooled = [P.ROIAlign(size, size, 1 / STRIDES[k], 2, 0)(pyramid[k], rois).asnumpy() for k in range(4)]
    return np.choose(level.astype(int)[:, None, None, None], pooled)


def softmax(logits):
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def pointrend_detections(rois, logits, deltas, canvas, most=100):
    """boxes, scores, labels: logits (N, C + 1) with the background last, deltas (N, 4 * C)."""
    scores = softmax(logits)[:, :-1]
    boxes = np.stack([decode(rois, own, canvas, STDS) for own in deltas.reshape(len(rois), -1, 4).swapaxes(0, 1)], 1)
    row, label = np.nonzero(scores > 0.05)
    boxes, scores = boxes[row, label], scores[row, label]
    moved = boxes.astype(np.float64) + (label * (boxes.max() + 1.0))[:, None]
    x1, y1, x2, y2 = moved.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        width = np.maximum(np.minimum(x2[first], x2[rest]) - np.maximum(x1[first], x1[rest]), 0)
        height = np.maximum(np.minimum(y2[first], y2[rest]) - np.maximum(y1[first], y1[rest]), 0)
        shared = width * height
        order = rest[shared / (areas[first] + areas[rest] - shared) < 0.5]
    kept = kept[:most]
    return boxes[kept], scores[kept], label[kept]


def mask_rcnn_detections(rois, counts, logits, deltas, canvas, most=128):
    """boxes, scores, labels and the numbers of their proposals; deltas (N, 4 * (C + 1)), the background's last."""
    scores = softmax(logits)
    found = []
    for label in range(logits.shape[1] - 1):
        boxes = decode(rois, deltas[:, 4 * label : 4 * label + 4], canvas, STDS)
        passes = counts & (scores[:, label] > 0.05)
        boxes, score = np.where(passes[:, None], boxes, -1), np.where(passes, scores[:, label], 0)
        kept, kept_scores, left, index = suppress(boxes, score, 0.5)
        left &= passes[index]
        found += [(*box, s, label, i) for box, s, i in zip(kept[left], kept_scores[left], index[left])]
    found = np.array(sorted(found, key=lambda row: -row[4])[:most])
    return found[:, :4], found[:, 4], found[:, 5].astype(int), found[:, 6].astype(int)


def likeliest_boxes(rois, logits, deltas, canvas):
    """(N, 4): every RoI by the deltas of its likeliest class, the background's too."""
    own = deltas.reshape(len(rois), -1, 4)[np.arange(len(rois)), logits.argmax(1)]
    return decode(rois, own, canvas, STDS)
