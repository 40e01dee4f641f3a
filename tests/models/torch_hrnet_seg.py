"""The HRNet authors' segmentation network and losses, written for the tests from their definition; their names.

Fusion and head enlarge bilinearly to the other map's size (align_corners False); the head's convolutions have a bias.
"""

import torch
import torch.nn.functional as F
from torch import nn as tnn

from tests.models.torch_originals import residual_row


def conv_bn(inputs, outputs, size, stride=1, relu=False):
    parts = [tnn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), tnn.BatchNorm2d(outputs, momentum=0.01)]
    return tnn.Sequential(*parts, *([tnn.ReLU()] if relu else []))


def enlarge(x, like):
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Module(tnn.Module):
    def __init__(self, widths, blocks):
        super().__init__()
        self.branches = tnn.ModuleList(
            [residual_row(w, w, count, 1, bottleneck=False) for w, count in zip(widths, blocks)]
        )
        self.fuse_layers = tnn.ModuleList(
            [tnn.ModuleList([self._fuse(widths, i, j) for j in range(len(widths))]) for i in range(len(widths))]
        )

    @staticmethod
    def _fuse(widths, i, j):
        if i == j:
            return None
        if j > i:
            return conv_bn(widths[j], widths[i], 1)
        steps = [conv_bn(widths[j], widths[j], 3, 2, relu=True) for _ in range(i - j - 1)]
        return tnn.Sequential(*steps, conv_bn(widths[j], widths[i], 3, 2))

    def forward(self, maps):
        maps = [branch(x) for branch, x in zip(self.branches, maps)]
        fused = []
        for i, own in enumerate(maps):
            total = 0
            for j, x in enumerate(maps):
                out = x if i == j else self.fuse_layers[i][j](x)
                total = total + (enlarge(out, own) if j > i else out)
            fused.append(F.relu(total))
        return fused


def transition(before, after):
    cells = []
    for k, width in enumerate(after):
        if k < len(before):
            cells.append(None if before[k] == width else conv_bn(before[k], width, 3, relu=True))
        else:
            cells.append(tnn.Sequential(conv_bn(before[-1], width, 3, 2, relu=True)))
    return tnn.ModuleList(cells)


class TorchHRNetSeg(tnn.Module):
    """stage1: (channels, blocks); others: (widths, blocks, modules) of stages 2 to 4."""

    def __init__(self, num_classes, stage1, others, kernel=1):
        super().__init__()
        self.conv1, self.bn1 = tnn.Conv2d(3, 64, 3, 2, 1, bias=False), tnn.BatchNorm2d(64, momentum=0.01)
        self.conv2, self.bn2 = tnn.Conv2d(64, 64, 3, 2, 1, bias=False), tnn.BatchNorm2d(64, momentum=0.01)
        self.layer1 = residual_row(64, stage1[0], stage1[1], 1, bottleneck=True)
        before = [4 * stage1[0]]
        for number, (widths, blocks, count) in enumerate(others, start=2):
            self.add_module(f"transition{number - 1}", transition(before, widths))
            self.add_module(f"stage{number}", tnn.Sequential(*[Module(widths, blocks) for _ in range(count)]))
            before = widths
        total = sum(before)
        self.last_layer = tnn.Sequential(
            tnn.Conv2d(total, total, 1),
            tnn.BatchNorm2d(total, momentum=0.01),
            tnn.ReLU(),
            tnn.Conv2d(total, num_classes, kernel, padding=kernel // 2),
        )

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        maps = [self.layer1(x)]
        for number in (2, 3, 4):
            cells = getattr(self, f"transition{number - 1}")
            maps = [
                maps[min(k, len(maps) - 1)] if cell is None else cell(maps[min(k, len(maps) - 1)])
                for k, cell in enumerate(cells)
            ]
            maps = getattr(self, f"stage{number}")(maps)
        return self.last_layer(torch.cat([maps[0], *[enlarge(x, maps[0]) for x in maps[1:]]], 1))


def ohem_cross_entropy(score, target, threshold, min_kept, ignore=255, weight=None):
    """Mean loss of the pixels whose true class has a low probability: the lower of a threshold and a least number."""
    counted = target.reshape(-1) != ignore
    losses = F.cross_entropy(score, target, weight=weight, ignore_index=ignore, reduction="none").reshape(-1)[counted]
    picked = F.softmax(score, 1).gather(1, target.masked_fill(target == ignore, 0)[:, None]).reshape(-1)[counted]
    order = picked.sort().values
    limit = max(order[min(min_kept, len(order) - 1)].item(), threshold)
    return losses[picked < limit].mean()
