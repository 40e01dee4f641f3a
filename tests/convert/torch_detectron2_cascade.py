"""Detectron2's Cascade R-CNN with masks in PyTorch, from its definition: its weights, and what it detects with them."""

import math

import numpy as np
import torch
from torch import nn

from tests.convert.torch_detectron2 import BoxHead, BoxPredictor, Detectron2, grid_anchors

BOX_WEIGHTS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))  # `ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS`
LARGEST = math.log(1000 / 16)  # of a decoded side's logarithm


class Detectron2Cascade(Detectron2):
    """`CascadeROIHeads`: lists of box heads with one box for all classes, one mask head."""

    def __init__(self, base, width, fc, classes):
        super().__init__(base, width, fc, classes)
        heads = self.roi_heads
        heads.box_head = nn.ModuleList(BoxHead(width, fc) for _ in BOX_WEIGHTS)
        heads.box_predictor = nn.ModuleList(BoxPredictor(fc, classes) for _ in BOX_WEIGHTS)
        for predictor in heads.box_predictor:
            predictor.bbox_pred = nn.Linear(fc, 4)


@torch.no_grad()
def detect(model, image, shape, before, after, most, least_score=0.05):
    """Boxes (N, 4), scores (N,), classes (N,), masks (N, 28, 28) of an image (1, 3, H, W) of this (h, w), best first.

    before, after: proposals of each level before NMS, of all after it; most: detections.
    """
    pyramid, logits, deltas = model.dense(image)
    boxes = proposals(pyramid, logits[0], deltas[0], shape, before, after)
    stages, heads = [], model.roi_heads
    for weights, head, predictor in zip(BOX_WEIGHTS, heads.box_head, heads.box_predictor):
        logits, deltas = predictor(head(pool(pyramid[:4], boxes, 7)))
        stages.append(torch.softmax(logits, -1))
        boxes = clip(decode(boxes, deltas, weights), shape)
    scores = sum(stages)[:, :-1] * (1 / len(stages))
    row, label = torch.nonzero(scores > least_score, as_tuple=True)
    kept = batched_nms(boxes[row], scores[row, label], label, 0.5)[:most]
    row, label = row[kept], label[kept]
    masks = torch.sigmoid(heads.mask_head(pool(pyramid[:4], boxes[row], 14)))
    return boxes[row], scores[row, label], label, masks[torch.arange(len(label)), label]


def proposals(pyramid, logits, deltas, shape, before, after):
    """`find_top_rpn_proposals` of one image."""
    boxes, scores, levels, start = [], [], [], 0
    for k, level in enumerate(pyramid):
        anchors = torch.tensor(grid_anchors(level.shape[2:], 4 * 2**k, (32 * 2**k,), (0.5, 1, 2)), dtype=torch.float32)
        best, index = logits[start : start + len(anchors)].topk(min(before, len(anchors)))
        boxes.append(decode(anchors[index], deltas[start : start + len(anchors)][index], (1, 1, 1, 1)))
        scores.append(best)
        levels.append(torch.full_like(index, k))
        start += len(anchors)
    boxes, scores, levels = clip(torch.cat(boxes), shape), torch.cat(scores), torch.cat(levels)
    real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    boxes, scores, levels = boxes[real], scores[real], levels[real]
    return boxes[batched_nms(boxes, scores, levels, 0.7)[:after]]


def decode(boxes, deltas, weights):
    """`Box2BoxTransform.apply_deltas`."""
    sides, centres = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    deltas = deltas / torch.tensor(weights)
    centres = centres + deltas[:, :2] * sides
    sides = sides * torch.exp(deltas[:, 2:].clamp(max=LARGEST))
    return torch.cat([centres - sides / 2, centres + sides / 2], 1)


def clip(boxes, shape):
    height, width = shape
    return torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height], dtype=boxes.dtype))


def batched_nms(boxes, scores, groups, threshold):
    """Greedy suppression inside each group; the kept ones' numbers, best first."""
    boxes, groups, kept = boxes.double().numpy(), groups.numpy(), []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        rivals = [other for other in kept if groups[other] == groups[index]]
        side = np.minimum(boxes[rivals, 2:], boxes[index, 2:]) - np.maximum(boxes[rivals, :2], boxes[index, :2])
        both = side.clip(0).prod(1)
        if not (both > threshold * (area[rivals] + area[index] - both)).any():
            kept.append(index)
    return torch.tensor(kept)


def pool(levels, boxes, size):
    """`ROIPooler` with ROIAlignV2 and adaptive sampling: (N, C, size, size)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    number = torch.floor(4 + torch.log2(sides.prod(1).sqrt() / 224 + 1e-8)).clamp(2, 5).int() - 2
    pooled = []
    for box, k in zip(boxes, number.tolist()):
        feature, box = levels[k][0], box / 4 / 2**k - 0.5
        across = samples(box[0].item(), box[2].item(), size, feature.shape[2])
        down = samples(box[1].item(), box[3].item(), size, feature.shape[1])
        pooled.append(torch.einsum("ih,chw,jw->cij", down, feature, across))
    return torch.stack(pooled)


def samples(low, high, size, length):
    """(size, length): how much of each cell along an axis is in the mean of each bin's bilinear samples."""
    count = math.ceil((high - low) / size)
    weights = torch.zeros(size, length)
    for number in range(size * count):
        place = low + (number + 0.5) / count * (high - low) / size
        if -1 <= place <= length:
            place = min(max(place, 0), length - 1)
            left = int(place)
            weights[number // count, left] += (1 - (place - left)) / count
            weights[number // count, min(left + 1, length - 1)] += (place - left) / count
    return weights


@torch.no_grad()
def enliven(model, image):
    """Scale the last layers so that outputs on this image are spread as a trained network's; the model."""
    rpn, heads = model.proposal_generator.rpn_head, model.roi_heads
    pyramid, logits, deltas = model.dense(image)
    spread(rpn.objectness_logits, logits, 2.0)
    spread(rpn.anchor_deltas, deltas, 0.3)
    corners = 80 * torch.rand(40, 2, generator=torch.Generator().manual_seed(1))
    boxes = torch.cat([corners, corners + 30], 1)
    for head, predictor in zip(heads.box_head, heads.box_predictor):
        logits, deltas = predictor(head(pool(pyramid[:4], boxes, 7)))
        spread(predictor.cls_score, logits - logits.mean(0), 2.0)
        spread(predictor.bbox_pred, deltas, 1.0)
    spread(heads.mask_head.predictor, heads.mask_head(pool(pyramid[:4], boxes, 14)), 2.0)
    return model


def spread(layer, output, deviation):
    layer.weight *= deviation / output.std()
    layer.bias.zero_()
