"""Mask R-CNN's training in PyTorch from MMDetection's definition, samplers in order; names as in its checkpoints."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.convert.torch_detectron2 import grid_anchors
from tests.models.detection.torch_box_losses import decode, encode
from tests.models.detection.torch_regions import assign, clip, crop_masks, roi_align, suppress, take_in_order

STRIDES, SCALE, RATIOS = (4, 8, 16, 32, 64), 8, (0.5, 1.0, 2.0)
RPN_STDS, BOX_STDS = (1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)
DIVISOR = 32  # an image's own padded size is a multiple of it


@dataclass(frozen=True)
class Settings:
    """channels: of the pyramid and the convolutions over it. samples: anchors, RoIs of an image that train at most."""

    channels: int
    fc_channels: int
    classes: int
    samples: tuple[int, int]
    nms_pre: int = 2000
    max_per_img: int = 1000
    mask_convs: int = 4


class Truth(NamedTuple):
    """Of one image: boxes (G, 4), labels (G,) from 0, masks (G, H, W) of 0 and 1, (height, width) before padding."""

    boxes: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    shape: tuple[int, int]


def truths(image_shape, gt_boxes, gt_labels, gt_valid, gt_masks):
    """The columns of a batch with fixed shapes, arrays, as a `Truth` an image."""
    found = []
    for shape, boxes, labels, valid, packed in zip(image_shape, gt_boxes, gt_labels, gt_valid, gt_masks):
        bits = np.unpackbits(packed[valid[: len(packed)]], axis=-1)
        numbers = torch.tensor(labels[valid]).long() - 1
        found.append(Truth(torch.tensor(boxes[valid]), numbers, torch.tensor(bits).float(), tuple(map(int, shape))))
    return found


class TorchMaskRCNN(nn.Module):
    """backbone and neck: modules that give a pyramid of five maps (`TorchResNet`, `TorchFPN`)."""

    def __init__(self, backbone, neck, settings):
        super().__init__()
        channels, fc = settings.channels, settings.fc_channels
        self.settings, self.backbone, self.neck = settings, backbone, neck
        self.rpn_head = nn.Module()
        self.rpn_head.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_head.rpn_cls = nn.Conv2d(channels, len(RATIOS), 1)
        self.rpn_head.rpn_reg = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        box, mask = nn.Module(), nn.Module()
        box.shared_fcs = nn.ModuleList([nn.Linear(49 * channels, fc), nn.Linear(fc, fc)])
        box.fc_cls, box.fc_reg = nn.Linear(fc, settings.classes + 1), nn.Linear(fc, 4 * settings.classes)
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(settings.mask_convs)]
        mask.convs = nn.ModuleList([nn.ModuleDict({"conv": conv}) for conv in convs])
        mask.upsample = nn.ConvTranspose2d(channels, channels, 2, 2)
        mask.conv_logits = nn.Conv2d(channels, settings.classes, 1)
        self.roi_head = nn.Module()
        self.roi_head.bbox_head, self.roi_head.mask_head = box, mask

    def train(self, mode=True):
        """The backbone's statistics stay (`norm_eval`)."""
        super().train(mode)
        for module in self.backbone.modules() if self.backbone is not None else ():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image, truth):
        """The five losses."""
        return self.losses(self.neck(self.backbone(image)), truth)

    def losses(self, pyramid, truth):
        """Of RPN (two), box head (two), mask head: pyramid of (B, C, h, w), a `Truth` an image."""
        logits, deltas = self.rpn(pyramid)
        anchors, cells = all_anchors(pyramid)
        rpn = self.rpn_losses(logits, deltas, anchors, cells, truth)
        chosen = []
        with torch.no_grad():
            for own_logits, own_deltas, own in zip(logits, deltas, truth):
                boxes = self.proposals(own_logits, own_deltas, anchors, [x[0, 0].numel() * 3 for x in pyramid], own)
                chosen.append(self.rois(boxes, own))
        return *rpn, *self.box_losses(pyramid, chosen, truth), self.mask_loss(pyramid, chosen, truth)

    def rpn(self, pyramid):
        """(B, A) logits, (B, A, 4) deltas."""
        head, logits, deltas = self.rpn_head, [], []
        for x in pyramid:
            x = F.relu(head.rpn_conv(x))
            logits.append(head.rpn_cls(x).permute(0, 2, 3, 1).flatten(1))
            deltas.append(head.rpn_reg(x).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return torch.cat(logits, 1), torch.cat(deltas, 1)

    def rpn_losses(self, logits, deltas, anchors, cells, truth):
        """Both over the number of sampled anchors, of each kind one an image at least."""
        cls = box = divisor = 0
        for own_logits, own_deltas, own in zip(logits, deltas, truth):
            padded = torch.tensor([-(-side // DIVISOR) * DIVISOR for side in own.shape])
            inside = (cells < padded).all(1).nonzero()[:, 0]
            assigned = assign(anchors[inside], own.boxes, 0.7, 0.3, 0.3)
            positive, negative = take_in_order(assigned, self.settings.samples[0], 0.5)
            objects = own.boxes[assigned[positive] - 1]
            positive, negative = inside[positive], inside[negative]
            cls = cls + F.softplus(-own_logits[positive]).sum() + F.softplus(own_logits[negative]).sum()
            targets = encode(anchors[positive], objects, RPN_STDS)
            box = box + (own_deltas[positive] - targets).abs().sum()
            divisor += max(len(positive), 1) + max(len(negative), 1)
        return cls / divisor, box / divisor

    def proposals(self, logits, deltas, anchors, level_sizes, truth):
        """Best first."""
        boxes, scores, levels, start = [], [], [], 0
        for k, size in enumerate(level_sizes):
            index = logits[start : start + size].argsort(descending=True, stable=True)[: self.settings.nms_pre] + start
            boxes.append(decode(anchors[index], deltas[index], RPN_STDS))
            scores.append(logits[index])
            levels.append(torch.full_like(index, k))
            start += size
        boxes, scores, levels = clip(torch.cat(boxes), truth.shape), torch.cat(scores), torch.cat(levels)
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)
        boxes, scores, levels = boxes[real], scores[real], levels[real]
        return boxes[suppress(boxes, scores, levels, 0.7)[: self.settings.max_per_img]]

    def rois(self, proposals, truth):
        """Sampled RoIs (S, 4), positives first, and the objects' numbers of these (P,)."""
        assigned = assign(proposals, truth.boxes, 0.5, 0.5, 0.5)
        assigned = torch.cat([torch.arange(1, len(truth.boxes) + 1), assigned])
        boxes = torch.cat([truth.boxes, proposals])
        positive, negative = take_in_order(assigned, self.settings.samples[1], 0.25)
        return boxes[torch.cat([positive, negative])], assigned[positive] - 1

    def pooled(self, pyramid, boxes, size):
        """Of each image's RoIs, one image after the other."""
        levels = zip(*pyramid[:4])
        return torch.cat([roi_align(own, STRIDES[:4], rois, size) for own, rois in zip(levels, boxes)])

    def box_losses(self, pyramid, chosen, truth):
        """Both over the number of sampled RoIs."""
        head, classes = self.roi_head.bbox_head, self.settings.classes
        x = self.pooled(pyramid, [boxes for boxes, _ in chosen], 7).flatten(1)
        for layer in head.shared_fcs:
            x = F.relu(layer(x))
        logits, deltas = head.fc_cls(x), head.fc_reg(x).view(-1, classes, 4)
        labels, box, start = [], 0, 0
        for (boxes, objects), own in zip(chosen, truth):
            count, wanted = len(objects), own.labels[objects]
            labels += [wanted, torch.full((len(boxes) - count,), classes)]
            targets = encode(boxes[:count], own.boxes[objects], BOX_STDS)
            box = box + (deltas[start + torch.arange(count), wanted] - targets).abs().sum()
            start += len(boxes)
        return F.cross_entropy(logits, torch.cat(labels)), box / len(logits)

    def mask_loss(self, pyramid, chosen, truth):
        """Mean over the pixels of positives' own masks."""
        head = self.roi_head.mask_head
        boxes = [rois[: len(objects)] for rois, objects in chosen]
        x = self.pooled(pyramid, boxes, 14)
        for part in head.convs:
            x = F.relu(part["conv"](x))
        logits = head.conv_logits(F.relu(head.upsample(x)))
        labels = torch.cat([own.labels[objects] for (_, objects), own in zip(chosen, truth)])
        targets = [crop_masks(own.masks[objects], rois, 28) for rois, (_, objects), own in zip(boxes, chosen, truth)]
        if not len(labels):
            return logits.sum() * 0
        return F.binary_cross_entropy_with_logits(logits[torch.arange(len(labels)), labels], torch.cat(targets))


def all_anchors(pyramid):
    """(A, 4) boxes, (A, 2) top-left corners (y, x) of their cells, in the order of the RPN's outputs."""
    boxes, cells = [], []
    for x, stride in zip(pyramid, STRIDES):
        height, width = x.shape[2:]
        boxes.append(torch.tensor(grid_anchors((height, width), stride, (stride * SCALE,), RATIOS)).float())
        corners = torch.cartesian_prod(torch.arange(height) * stride, torch.arange(width) * stride)
        cells.append(corners.repeat_interleave(len(RATIOS), 0))
    return torch.cat(boxes), torch.cat(cells)
