"""PointRend's mask head in PyTorch, written for the tests from Detectron2's definition."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def point_sample(maps, points):
    """maps (N, C, H, W), points (N, P, 2) in [0, 1] -> (N, C, P)."""
    return F.grid_sample(maps, 2 * points[:, :, None] - 1, align_corners=False)[..., 0]


def regular_grid(rows, side):
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], -1).reshape(1, -1, 2).expand(rows, -1, -1)


class TorchPointRend(nn.Module):
    """boxes (N, 4) and image (N,) tell which region of which feature map (B, C, h, w) each row is."""

    def __init__(self, channels, conv_channels, fc_channels, point_channels, classes, stride, side=7, grid=14):
        super().__init__()
        self.coarse_head = nn.Module()
        if channels > conv_channels:
            self.coarse_head.reduce_channel_dim_conv = nn.Conv2d(channels, conv_channels, 1)
        self.coarse_head.reduce_spatial_dim_conv = nn.Conv2d(conv_channels, conv_channels, 2, 2)
        width = conv_channels * (grid // 2) ** 2
        self.coarse_head.fcs = nn.ModuleList([nn.Linear(width, fc_channels), nn.Linear(fc_channels, fc_channels)])
        self.coarse_head.prediction = nn.Linear(fc_channels, classes * side * side)
        self.point_head = nn.Module()
        widths = [channels + classes] + [point_channels + classes] * 3
        self.point_head.fcs = nn.ModuleList([nn.Conv1d(w, point_channels, 1) for w in widths[:3]])
        self.point_head.predictor = nn.Conv1d(widths[3], classes, 1)
        self.stride, self.side, self.grid, self.classes = stride, side, grid, classes

    def fine(self, feature, points, boxes, image):
        absolute = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
        size = torch.tensor([feature.shape[3], feature.shape[2]]) * self.stride
        return torch.cat([point_sample(feature[i : i + 1], p[None] / size) for i, p in zip(image, absolute)])

    def coarse(self, feature, boxes, image):
        head = self.coarse_head
        x = self.fine(feature, regular_grid(len(boxes), self.grid), boxes, image)
        x = x.reshape(len(boxes), -1, self.grid, self.grid)
        if hasattr(head, "reduce_channel_dim_conv"):
            x = F.relu(head.reduce_channel_dim_conv(x))
        x = F.relu(head.reduce_spatial_dim_conv(x)).flatten(1)
        for fc in head.fcs:
            x = F.relu(fc(x))
        return head.prediction(x).reshape(len(boxes), self.classes, self.side, self.side)

    def point_logits(self, feature, coarse, points, boxes, image):
        hint = point_sample(coarse, points)
        x = torch.cat([self.fine(feature, points, boxes, image), hint], 1)
        for fc in self.point_head.fcs:
            x = torch.cat([F.relu(fc(x)), hint], 1)
        return self.point_head.predictor(x)

    def train_points(self, coarse, labels, candidates, extra, uncertain):
        rows = torch.arange(len(labels))
        certainty = point_sample(coarse, candidates)[rows, labels].abs()
        index = torch.topk(-certainty, uncertain, dim=1)[1]
        return torch.cat([candidates[rows[:, None], index], extra], 1)

    def losses(self, feature, boxes, image, labels, masks, candidates, extra, uncertain):
        """masks (N, H, W) 0/1 of each row's own object; both losses are means over rows and cells or points."""
        rows = torch.arange(len(labels))
        coarse = self.coarse(feature, boxes, image)
        targets = torch.stack([self.crop(mask, box) for mask, box in zip(masks, boxes)])
        mask_loss = F.binary_cross_entropy_with_logits(coarse[rows, labels], targets)
        points = self.train_points(coarse.detach(), labels, candidates, extra, uncertain)
        logits = self.point_logits(feature, coarse, points, boxes, image)[rows, labels]
        absolute = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
        size = torch.tensor([masks.shape[2], masks.shape[1]])
        truth = point_sample(masks[:, None], absolute / size)[:, 0]
        return mask_loss, F.binary_cross_entropy_with_logits(logits, truth)

    def crop(self, mask, box):
        """RoIAlign of the 0/1 mask (aligned, adaptive sampling), then >= 0.5, one bin at a time."""
        x1, y1, x2, y2 = (v.item() for v in box)
        out = torch.zeros(self.side, self.side)
        bins = (y2 - y1) / self.side, (x2 - x1) / self.side
        counts = [max(int(np.ceil(b)), 1) for b in bins]
        for i in range(self.side):
            for j in range(self.side):
                y = y1 + bins[0] * (i + (torch.arange(counts[0]) + 0.5) / counts[0]) - 0.5
                x = x1 + bins[1] * (j + (torch.arange(counts[1]) + 0.5) / counts[1]) - 0.5
                y, x = torch.meshgrid(y, x, indexing="ij")
                size = torch.tensor([mask.shape[1], mask.shape[0]])
                grid = torch.stack([x, y], -1) / (size - 1) * 2 - 1
                kind = {"align_corners": True, "padding_mode": "border"}
                value = F.grid_sample(mask[None, None], grid[None], **kind).mean()
                out[i, j] = float(value >= 0.5)
        return out

    def masks(self, feature, boxes, image, labels, first, steps, count):
        """Adaptive subdivision: probabilities (N, first * 2**steps, ...) of each row's own class."""
        rows = torch.arange(len(labels))
        coarse = self.coarse(feature, boxes, image)
        logits = self.point_logits(feature, coarse, regular_grid(len(boxes), first), boxes, image)
        logits = logits.reshape(len(boxes), self.classes, first, first)
        for _ in range(steps):
            logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
            n, c, h, w = logits.shape
            uncertainty = -logits[rows, labels].abs().reshape(n, h * w)
            index = torch.topk(uncertainty, min(count, h * w), dim=1)[1]
            points = torch.stack([(index % w + 0.5) / w, (index // w + 0.5) / h], -1)
            values = self.point_logits(feature, coarse, points, boxes, image)
            logits = (
                logits.reshape(n, c, h * w).scatter(2, index[:, None].expand(-1, c, -1), values).reshape(n, c, h, w)
            )
        return logits[rows, labels].sigmoid()


def class_uncertainty(logits):
    """(N, C, ...) -> (N, 1, ...): second largest minus largest logit."""
    top = torch.topk(logits, 2, dim=1)[0]
    return (top[:, 1] - top[:, 0])[:, None]


class TorchSemanticPointRend(nn.Module):
    """Detectron2's `PointRendSemSegHead` on given coarse logits (N, C, h, w) and features (N, F, h', w')."""

    def __init__(self, channels, classes, width, layers=3, each_layer=True):
        super().__init__()
        extra = classes if each_layer else 0
        widths = [channels + classes] + [width + extra] * layers
        self.point_head = nn.Module()
        self.point_head.fcs = nn.ModuleList([nn.Conv1d(w, width, 1) for w in widths[:-1]])
        self.point_head.predictor = nn.Conv1d(widths[-1], classes, 1)
        self.each_layer = each_layer

    def point_logits(self, coarse, features, points):
        hint = point_sample(coarse, points)
        x = torch.cat([point_sample(features, points), hint], 1)
        for fc in self.point_head.fcs:
            x = F.relu(fc(x))
            x = torch.cat([x, hint], 1) if self.each_layer else x
        return self.point_head.predictor(x)

    def train_points(self, coarse, candidates, extra, uncertain):
        certainty = class_uncertainty(point_sample(coarse, candidates))[:, 0]
        index = torch.topk(certainty, uncertain, dim=1)[1]
        return torch.cat([candidates[torch.arange(len(index))[:, None], index], extra], 1)

    def loss(self, coarse, features, label, points, ignore=255):
        grid = 2 * points[:, :, None] - 1
        target = F.grid_sample(label[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0, :, 0].long()
        return F.cross_entropy(self.point_logits(coarse, features, points), target, ignore_index=ignore)

    def refined(self, coarse, features, steps, count):
        logits = coarse
        for _ in range(steps):
            logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
            n, c, h, w = logits.shape
            index = torch.topk(class_uncertainty(logits).reshape(n, h * w), min(count, h * w), dim=1)[1]
            points = torch.stack([(index % w + 0.5) / w, (index // w + 0.5) / h], -1)
            values = self.point_logits(coarse, features, points)
            index = index[:, None].expand(-1, c, -1)
            logits = logits.reshape(n, c, h * w).scatter(2, index, values).reshape(n, c, h, w)
        return logits
