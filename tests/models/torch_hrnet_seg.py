"""The HRNet authors' segmentation network and losses, written for the tests from their definition; their names.

Fusion and head enlarge bilinearly to the other map's size (align_corners False); the head's convolutions have a bias.
`Convention` has the relatives' ways: the MindSpore original's, MMSegmentation's, PaddleSeg's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn as tnn

from tests.models.torch_originals import residual_row, strided_conv


@dataclass(frozen=True)
class Convention:
    """asymmetric: bilinear without half-pixel centres. two_steps: fusion enlarges by the factor first. same: padding of
    the convolutions of stride 2. aligned: bilinear with align_corners.
    """

    asymmetric: bool = False
    two_steps: bool = False
    same: bool = False
    aligned: bool = False


AUTHORS = Convention()


def conv_bn(inputs, outputs, size, stride=1, relu=False, same=False):
    parts = [strided_conv(inputs, outputs, size, stride, same and stride > 1), tnn.BatchNorm2d(outputs, momentum=0.01)]
    return tnn.Sequential(*parts, *([tnn.ReLU()] if relu else []))


def enlarge(x, size, convention=AUTHORS):
    if not convention.asymmetric:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=convention.aligned)
    for axis, side in zip((2, 3), size):
        source = torch.arange(side) * x.shape[axis] / side
        low = source.floor().long()
        share = (source - low).reshape(-1, 1) if axis == 2 else source - low
        upper = x.index_select(axis, (low + 1).clamp(max=x.shape[axis] - 1))
        x = x.index_select(axis, low) * (1 - share) + upper * share
    return x


class Module(tnn.Module):
    def __init__(self, widths, blocks, convention):
        super().__init__()
        self.convention = convention
        self.branches = tnn.ModuleList(
            [residual_row(w, w, count, 1, bottleneck=False) for w, count in zip(widths, blocks)]
        )
        self.fuse_layers = tnn.ModuleList(
            [tnn.ModuleList([self._fuse(widths, i, j) for j in range(len(widths))]) for i in range(len(widths))]
        )

    def _fuse(self, widths, i, j):
        if i == j:
            return None
        if j > i:
            return conv_bn(widths[j], widths[i], 1)
        same = self.convention.same
        steps = [conv_bn(widths[j], widths[j], 3, 2, relu=True, same=same) for _ in range(i - j - 1)]
        return tnn.Sequential(*steps, conv_bn(widths[j], widths[i], 3, 2, same=same))

    def forward(self, maps):
        maps = [branch(x) for branch, x in zip(self.branches, maps)]
        fused = []
        for i, own in enumerate(maps):
            total = 0
            for j, x in enumerate(maps):
                out = x if i == j else self.fuse_layers[i][j](x)
                if j > i and self.convention.two_steps:
                    out = F.interpolate(out, scale_factor=2 ** (j - i), mode="bilinear", align_corners=False)
                total = total + (enlarge(out, own.shape[-2:], self.convention) if j > i else out)
            fused.append(F.relu(total))
        return fused


def transition(before, after, same):
    cells = []
    for k, width in enumerate(after):
        if k < len(before):
            cells.append(None if before[k] == width else conv_bn(before[k], width, 3, relu=True))
        else:
            cells.append(tnn.Sequential(conv_bn(before[-1], width, 3, 2, relu=True, same=same)))
    return tnn.ModuleList(cells)


class TorchHRNetSeg(tnn.Module):
    """stage1: (channels, blocks); others: (widths, blocks, modules) of stages 2 to 4."""

    def __init__(self, num_classes, stage1, others, kernel=1, convention=AUTHORS):
        super().__init__()
        self.convention = convention
        self.conv1, self.bn1 = strided_conv(3, 64, 3, 2, convention.same), tnn.BatchNorm2d(64, momentum=0.01)
        self.conv2, self.bn2 = strided_conv(64, 64, 3, 2, convention.same), tnn.BatchNorm2d(64, momentum=0.01)
        self.layer1 = residual_row(64, stage1[0], stage1[1], 1, bottleneck=True)
        before = [4 * stage1[0]]
        for number, (widths, blocks, count) in enumerate(others, start=2):
            self.add_module(f"transition{number - 1}", transition(before, widths, convention.same))
            modules = [Module(widths, blocks, convention) for _ in range(count)]
            self.add_module(f"stage{number}", tnn.Sequential(*modules))
            before = widths
        total = sum(before)
        self.last_layer = tnn.Sequential(
            tnn.Conv2d(total, total, 1),
            tnn.BatchNorm2d(total, momentum=0.01),
            tnn.ReLU(),
            tnn.Conv2d(total, num_classes, kernel, padding=kernel // 2),
        )

    def forward(self, x):
        return self.last_layer(self.joined(x))

    def joined(self, x):
        """All maps at the size of the finest one, concatenated."""
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
        size = maps[0].shape[-2:]
        return torch.cat([maps[0], *[enlarge(x, size, self.convention) for x in maps[1:]]], 1)


def ohem_cross_entropy(score, target, threshold, min_kept, ignore=255, weight=None):
    """Mean loss of the pixels whose true class has a low probability: the lower of a threshold and a least number."""
    counted = target.reshape(-1) != ignore
    losses = F.cross_entropy(score, target, weight=weight, ignore_index=ignore, reduction="none").reshape(-1)[counted]
    picked = F.softmax(score, 1).gather(1, target.masked_fill(target == ignore, 0)[:, None]).reshape(-1)[counted]
    order = picked.sort().values
    limit = max(order[min(min_kept, len(order) - 1)].item(), threshold)
    return losses[picked < limit].mean()
