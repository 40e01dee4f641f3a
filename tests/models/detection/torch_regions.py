"""What a two-stage detector does with boxes, in PyTorch from MMDetection's definition: assignment, sampling in order,
suppression, RoIAlign, mask targets. One image at a time, and as many boxes as there are.
"""

import numpy as np
import torch


def iou(a, b):
    """(N, 4) and (M, 4) -> (N, M)."""
    sides = torch.min(a[:, None, 2:], b[None, :, 2:]) - torch.max(a[:, None, :2], b[None, :, :2])
    both = sides.clamp(min=0).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return both / (areas[0][:, None] + areas[1][None] - both).clamp(min=1e-6)


def assign(boxes, objects, positive, negative, least):
    """`MaxIoUAssigner` with low-quality matches: (N,) -1 left out, 0 background, k object k - 1."""
    if not len(objects):
        return torch.zeros(len(boxes), dtype=torch.long)
    overlap = iou(objects, boxes)
    best, which = overlap.max(0)
    assigned = torch.full((len(boxes),), -1)
    assigned[best < negative] = 0
    assigned[best >= positive] = which[best >= positive] + 1
    for number, row in enumerate(overlap, start=1):
        if row.max() >= least:
            assigned[row == row.max()] = number
    return assigned


def take_in_order(assigned, count, share):
    """`RandomSampler` whose choice is the first ones: numbers of positives and of background."""
    positive = (assigned > 0).nonzero()[:, 0][: int(count * share)]
    return positive, (assigned == 0).nonzero()[:, 0][: count - len(positive)]


def clip(boxes, shape):
    height, width = shape
    return torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height], dtype=boxes.dtype))


def suppress(boxes, scores, groups, threshold):
    """mmcv's `batched_nms`: groups are moved apart in float32. Numbers of the kept boxes, best first."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.long)
    order = scores.argsort(descending=True, stable=True)
    moved = boxes + groups.to(boxes.dtype)[:, None] * (boxes.max() + 1)
    rivals = (iou(moved[order], moved[order]) > threshold).numpy()
    stays = np.ones(len(order), bool)
    for k in range(len(order)):
        if stays[k]:
            stays[k + 1 :] &= ~rivals[k, k + 1 :]
    return order[torch.tensor(stays)]


def roi_align(levels, strides, boxes, size, finest=56):
    """`SingleRoIExtractor` with aligned, adaptive RoIAlign: levels (C, h, w), boxes (N, 4) -> (N, C, size, size)."""
    number = torch.log2((boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt() / finest + 1e-6).floor()
    number = number.clamp(0, len(levels) - 1)
    rows, pooled = [], []
    for k, (level, stride) in enumerate(zip(levels, strides)):
        own = (number == k).nonzero()[:, 0]
        rows.append(own)
        pooled.append(average(level[None].expand(len(own), -1, -1, -1), boxes[own] / stride - 0.5, size))
    return torch.cat(pooled)[torch.cat(rows).argsort()]


def crop_masks(masks, boxes, size):
    """`BitmapMasks.crop_and_resize`: masks (N, H, W) of 0 and 1, one a box -> (N, size, size) of 0 and 1."""
    return (average(masks[:, None], boxes - 0.5, size)[:, 0] >= 0.5).to(masks.dtype)


def average(maps, boxes, size):
    """Means of the bilinear samples in each of size x size bins: maps (N, C, h, w), boxes (N, 4) in cells of them."""
    down = bin_weights(boxes[:, 1], boxes[:, 3], size, maps.shape[2])
    across = bin_weights(boxes[:, 0], boxes[:, 2], size, maps.shape[3])
    return (down[:, None] @ maps) @ across[:, None].transpose(2, 3)


def bin_weights(low, high, bins, length):
    """(N, bins, length): what each cell along an axis adds to each bin's mean of ceil(side / bins) samples."""
    side = (high - low) / bins
    count = side.ceil().clamp(min=1)
    weights = torch.zeros(len(low), bins, length)
    for k in range(int(count.max()) if len(count) else 0):
        place = low[:, None] + (torch.arange(bins) + (k + 0.5) / count[:, None]) * side[:, None]
        counts = (place >= -1) & (place <= length) & (k < count[:, None])
        near = 1 - (place.clamp(0, length - 1)[..., None] - torch.arange(length)).abs()
        weights += near.clamp(min=0) * counts[..., None]
    return weights / count[:, None, None]
