"""Detectron2's Mask R-CNN in PyTorch, written for the tests from its definition; names as in its checkpoints."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-5
COUNTS = (3, 4, 6, 3)


class FrozenNorm(nn.Module):
    """`FrozenBatchNorm2d`: four buffers, no counter."""

    def __init__(self, width):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(width))

    def forward(self, x):
        scale = self.weight / torch.sqrt(self.running_var + EPS)
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


class Conv(nn.Conv2d):
    """`layers.Conv2d`: normalisation and activation inside the convolution's module."""

    def __init__(self, inputs, outputs, size, stride=1, norm=False, relu=False):
        super().__init__(inputs, outputs, size, stride, size // 2 if size != 2 else 0, bias=not norm)
        self.norm = FrozenNorm(outputs) if norm else None
        self.relu = relu

    def forward(self, x):
        x = super().forward(x)
        x = x if self.norm is None else self.norm(x)
        return F.relu(x) if self.relu else x


class Bottleneck(nn.Module):
    """stride on the first 1x1 convolution (MSRA's weights)."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.shortcut = None
        if inputs != 4 * width:
            self.shortcut = Conv(inputs, 4 * width, 1, stride, norm=True)
        self.conv1 = Conv(inputs, width, 1, stride, norm=True)
        self.conv2 = Conv(width, width, 3, norm=True)
        self.conv3 = Conv(width, 4 * width, 1, norm=True)

    def forward(self, x):
        out = F.relu_(self.conv1(x))
        out = F.relu_(self.conv2(out))
        out = self.conv3(out)
        out += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(out)


class ResNet(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = Conv(3, 64, 7, 2, norm=True)
        inputs = 64
        for k, count in enumerate(COUNTS):
            width = base * 2**k
            blocks = []
            for number in range(count):
                blocks.append(Bottleneck(inputs, width, 2 if k and not number else 1))
                inputs = 4 * width
            self.add_module(f"res{k + 2}", nn.Sequential(*blocks))

    def forward(self, x):
        x = F.max_pool2d(F.relu_(self.stem.conv1(x)), 3, 2, 1)
        outputs = []
        for k in range(2, 6):
            x = getattr(self, f"res{k}")(x)
            outputs.append(x)
        return outputs


class FPN(nn.Module):
    def __init__(self, base, width):
        super().__init__()
        self.bottom_up = ResNet(base)
        for k in range(2, 6):
            self.add_module(f"fpn_lateral{k}", Conv(4 * base * 2 ** (k - 2), width, 1))
            self.add_module(f"fpn_output{k}", Conv(width, width, 3))

    def forward(self, x):
        features, merged, outputs = self.bottom_up(x), None, []
        for k in range(5, 1, -1):
            lateral = getattr(self, f"fpn_lateral{k}")(features[k - 2])
            merged = lateral if merged is None else lateral + F.interpolate(merged, scale_factor=2, mode="nearest")
            outputs.insert(0, getattr(self, f"fpn_output{k}")(merged))
        return [*outputs, F.max_pool2d(outputs[-1], 1, 2)]


class RPNHead(nn.Module):
    """Logits (B, anchors in Detectron2's order) and deltas (B, anchors, 4) of all levels."""

    def __init__(self, width, anchors):
        super().__init__()
        self.conv = Conv(width, width, 3, relu=True)
        self.objectness_logits = nn.Conv2d(width, anchors, 1)
        self.anchor_deltas = nn.Conv2d(width, 4 * anchors, 1)

    def forward(self, features):
        logits, deltas = [], []
        for x in features:
            x = self.conv(x)
            logits.append(self.objectness_logits(x).permute(0, 2, 3, 1).flatten(1))
            raw = self.anchor_deltas(x)
            raw = raw.view(raw.shape[0], -1, 4, *raw.shape[2:]).permute(0, 3, 4, 1, 2)
            deltas.append(raw.flatten(1, 3))
        return torch.cat(logits, 1), torch.cat(deltas, 1)


class BoxHead(nn.Module):
    def __init__(self, width, fc):
        super().__init__()
        self.fc1 = nn.Linear(width * 49, fc)
        self.fc2 = nn.Linear(fc, fc)

    def forward(self, x):
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))


class BoxPredictor(nn.Module):
    def __init__(self, fc, classes):
        super().__init__()
        self.cls_score = nn.Linear(fc, classes + 1)
        self.bbox_pred = nn.Linear(fc, 4 * classes)

    def forward(self, x):
        return self.cls_score(x), self.bbox_pred(x)


class MaskHead(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        for k in range(4):
            self.add_module(f"mask_fcn{k + 1}", Conv(width, width, 3, relu=True))
        self.deconv = nn.ConvTranspose2d(width, width, 2, 2)
        self.predictor = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        for k in range(4):
            x = getattr(self, f"mask_fcn{k + 1}")(x)
        return self.predictor(F.relu(self.deconv(x)))


class CoarseHead(nn.Module):
    """`ConvFCHead`, called `CoarseMaskHead` before (with `coarse_mask_fc1` for `fc1`)."""

    def __init__(self, width, fc, classes, side=7, grid=14):
        super().__init__()
        self.reduce_spatial_dim_conv = Conv(width, width, 2, 2, relu=True)
        self.fc1 = nn.Linear(width * (grid // 2) ** 2, fc)
        self.fc2 = nn.Linear(fc, fc)
        self.prediction = nn.Linear(fc, classes * side**2)
        self.shape = (classes, side, side)

    def forward(self, x):
        x = self.reduce_spatial_dim_conv(x).flatten(1)
        return self.prediction(F.relu(self.fc2(F.relu(self.fc1(x))))).view(-1, *self.shape)


class PointHead(nn.Module):
    """fine (N, C, P), coarse (N, classes, P) -> (N, classes, P)."""

    def __init__(self, width, fc, classes):
        super().__init__()
        for k, inputs in enumerate((width, fc, fc)):
            self.add_module(f"fc{k + 1}", nn.Conv1d(inputs + classes, fc, 1))
        self.predictor = nn.Conv1d(fc + classes, classes, 1)

    def forward(self, fine, coarse):
        x = torch.cat((fine, coarse), 1)
        for k in range(3):
            x = torch.cat((F.relu(getattr(self, f"fc{k + 1}")(x)), coarse), 1)
        return self.predictor(x)


class Detectron2(nn.Module):
    """`GeneralizedRCNN`'s parts that have weights. pointrend: PointRend's mask head."""

    def __init__(self, base, width, fc, classes, anchors=3, pointrend=False, fc_coarse=0, fc_point=0):
        super().__init__()
        self.backbone = FPN(base, width)
        self.proposal_generator = nn.Module()
        self.proposal_generator.rpn_head = RPNHead(width, anchors)
        self.roi_heads = nn.Module()
        self.roi_heads.box_head = BoxHead(width, fc)
        self.roi_heads.box_predictor = BoxPredictor(fc, classes)
        if pointrend:
            self.roi_heads.mask_head = nn.Module()
            self.roi_heads.mask_head.coarse_head = CoarseHead(width, fc_coarse, classes)
            self.roi_heads.mask_head.point_head = PointHead(width, fc_point, classes)
        else:
            self.roi_heads.mask_head = MaskHead(width, classes)

    def dense(self, image):
        """Pyramid, logits, deltas."""
        pyramid = self.backbone(image)
        return pyramid, *self.proposal_generator.rpn_head(pyramid)


def cell_anchors(sizes, ratios):
    """`DefaultAnchorGenerator.generate_cell_anchors`: (sizes x ratios, 4), ratios running fastest."""
    anchors = []
    for size in sizes:
        for ratio in ratios:
            w = np.sqrt(size**2 / ratio)
            h = ratio * w
            anchors.append([-w / 2, -h / 2, w / 2, h / 2])
    return np.array(anchors)


def grid_anchors(shape, stride, sizes, ratios):
    """All anchors of a level in Detectron2's order (offset 0)."""
    y, x = np.meshgrid(np.arange(shape[0]) * stride, np.arange(shape[1]) * stride, indexing="ij")
    shifts = np.stack([x, y, x, y], -1).reshape(-1, 1, 4)
    return (shifts + cell_anchors(sizes, ratios)[None]).reshape(-1, 4)


def to_pickle(state):
    """A model zoo's .pkl: arrays under 'model'."""
    return {"model": {name: value.numpy() for name, value in state.items()}, "__author__": "Detectron2 Model Zoo"}


def old_pointrend_names(state):
    """As before ConvFCHead: CoarseMaskHead beside the mask head, coarse_mask_fc1 for fc1."""
    renamed = {}
    for name, value in state.items():
        name = name.replace("mask_head.coarse_head.fc", "mask_coarse_head.coarse_mask_fc")
        name = name.replace("mask_head.coarse_head.", "mask_coarse_head.")
        renamed[name.replace("mask_head.point_head.", "mask_point_head.")] = value
    return renamed
