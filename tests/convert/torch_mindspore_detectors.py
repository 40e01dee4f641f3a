"""MindSpore's MaskRCNN_resnet50 and pointrend in PyTorch, by the names of their checkpoints, from their definition:
SAME pooling, a bilinear top-down path without half-pixel centres, linear layers of the box head stored (in, out), 1 + C
classes with the background first.
"""

import numpy as np
import torch
import torch.nn.functional as F

BLOCKS = (3, 4, 6, 3)


def make_state(base=8, pyramid=16, hidden=24, classes=4, points=False, seed=0):
    """Random weights of narrow networks, {name: array}. classes: with the background."""
    rng, state = np.random.RandomState(seed), {}

    def conv(name, outputs, inputs, size=1, bias=True):
        state[f"{name}.weight"] = rng.randn(outputs, inputs, size, size) * np.sqrt(1.5 / (inputs * size * size))
        if bias:
            state[f"{name}.bias"] = rng.randn(outputs) * 0.1

    def norm(name, width):
        for kind in ("gamma", "moving_variance", "beta", "moving_mean"):
            centre, spread = (1.0, 0.5) if kind in ("gamma", "moving_variance") else (0.0, 0.2)
            state[f"{name}.{kind}"] = rng.uniform(centre - spread, centre + spread, width)

    def dense(name, outputs, inputs, turned=False):
        weight = rng.randn(outputs, inputs) * np.sqrt(1.5 / inputs)
        state[f"{name}.weight"] = weight.T if turned else weight
        state[f"{name}.bias"] = rng.randn(outputs) * 0.1

    conv("backbone.conv1", 64, 3, 7, bias=False)
    norm("backbone.bn1", 64)
    before = 64
    for k, count in enumerate(BLOCKS):
        width = base * 2**k
        for i in range(count):
            name = f"backbone.layer{k + 1}.{i}"
            for j, (outputs, inputs, size) in enumerate(((width, before, 1), (width, width, 3), (4 * width, width, 1))):
                conv(f"{name}.conv{j + 1}", outputs, inputs, size, bias=False)
                norm(f"{name}.bn{j + 1}", outputs)
            if i == 0:
                conv(f"{name}.conv_down_sample", 4 * width, before, bias=False)
                norm(f"{name}.bn_down_sample", 4 * width)
            before = 4 * width
    for k in range(4):
        conv(f"fpn_ncek.lateral_convs_list.{k}", pyramid, 4 * base * 2**k)
        conv(f"fpn_ncek.fpn_convs_list.{k}", pyramid, pyramid, 3)
    rpn = "rpn_with_loss.rpn_convs_list.0"
    conv(f"{rpn}.rpn_conv", pyramid, pyramid, 3)
    conv(f"{rpn}.rpn_cls", 3, pyramid)
    conv(f"{rpn}.rpn_reg", 12, pyramid)
    box = "rcnn_cls.fpn_cls"
    dense(f"{box}.shared_fc_0", hidden, pyramid * 49, turned=True)
    dense(f"{box}.shared_fc_1", hidden, hidden, turned=True)
    dense(f"{box}.cls_scores", classes, hidden, turned=True)
    dense(f"{box}.reg_scores", 4 * classes, hidden, turned=True)
    mask = "rcnn_mask.fpn_mask"
    for k in range(4):
        conv(f"{mask}.mask_conv{k + 1}", pyramid, pyramid, 3)
    conv(f"{mask}.mask_deconv5", pyramid, pyramid, 2)
    conv(f"{mask}.mask_conv6", classes, pyramid)
    if points:
        conv("mask_coarse_head.reduce_spatial_dim_conv", pyramid, pyramid, 2)
        dense("mask_coarse_head.fcs_seq.0", hidden, pyramid * 49)
        dense("mask_coarse_head.fcs_seq.1", hidden, hidden)
        dense("mask_coarse_head.prediction", classes * 49, hidden)
        for k in range(3):
            conv(f"mask_point_head.seq.{k}", pyramid, pyramid + classes)
        conv("mask_point_head.predictor", classes, pyramid + classes)
    return {name: value.astype(np.float32) for name, value in state.items()}


class Original:
    """The stages of the networks; tensors in, tensors out."""

    def __init__(self, state):
        self.state = {name: torch.tensor(value) for name, value in state.items()}

    def conv(self, name, x, stride=1, padding=0):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)

    def norm(self, name, x):
        mean, variance, gamma, beta = (
            self.state[f"{name}.{kind}"] for kind in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)

    def dense(self, name, x, turned=False):
        weight = self.state[f"{name}.weight"]
        return x @ (weight if turned else weight.T) + self.state[f"{name}.bias"]

    def pyramid(self, image):
        x = F.relu(self.norm("backbone.bn1", self.conv("backbone.conv1", image, 2, 3)))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)  # SAME: one row at the bottom, one column at the right
        levels = []
        for k, count in enumerate(BLOCKS):
            for i in range(count):
                name, stride = f"backbone.layer{k + 1}.{i}", 2 if k > 0 and i == 0 else 1
                out = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x)))
                out = F.relu(self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", out, stride, 1)))
                out = self.norm(f"{name}.bn3", self.conv(f"{name}.conv3", out))
                if i == 0:
                    x = self.norm(f"{name}.bn_down_sample", self.conv(f"{name}.conv_down_sample", x, stride))
                x = F.relu(out + x)
            levels.append(x)
        merged = [self.conv(f"fpn_ncek.lateral_convs_list.{k}", level) for k, level in enumerate(levels)]
        for k in (2, 1, 0):
            merged[k] = merged[k] + enlarge(merged[k + 1], merged[k].shape[2:])
        outputs = [self.conv(f"fpn_ncek.fpn_convs_list.{k}", level, 1, 1) for k, level in enumerate(merged)]
        return [*outputs, outputs[-1][:, :, ::2, ::2]]

    def rpn(self, level):
        """(B, h * w * 3) logits, (B, h * w * 3, 4) deltas."""
        name = "rpn_with_loss.rpn_convs_list.0"
        hidden = F.relu(self.conv(f"{name}.rpn_conv", level, 1, 1))
        logits, deltas = (self.conv(f"{name}.{part}", hidden).permute(0, 2, 3, 1) for part in ("rpn_cls", "rpn_reg"))
        return logits.reshape(len(level), -1), deltas.reshape(len(level), -1, 4)

    def boxes(self, features):
        """(N, 1 + C) logits, (N, 1 + C, 4) deltas, the background first."""
        x, name = features.flatten(1), "rcnn_cls.fpn_cls"
        for k in range(2):
            x = F.relu(self.dense(f"{name}.shared_fc_{k}", x, turned=True))
        deltas = self.dense(f"{name}.reg_scores", x, turned=True)
        return self.dense(f"{name}.cls_scores", x, turned=True), deltas.reshape(len(x), -1, 4)

    def masks(self, features):
        """(N, 1 + C, 28, 28) logits."""
        x, name = features, "rcnn_mask.fpn_mask"
        for k in range(4):
            x = F.relu(self.conv(f"{name}.mask_conv{k + 1}", x, 1, 1))
        deconvolution = self.state[f"{name}.mask_deconv5.weight"], self.state[f"{name}.mask_deconv5.bias"]
        return self.conv(f"{name}.mask_conv6", F.relu(F.conv_transpose2d(x, *deconvolution, stride=2)))

    def coarse(self, features):
        """(N, 1 + C, 7, 7) logits of a 14 x 14 grid of points."""
        x = F.relu(self.conv("mask_coarse_head.reduce_spatial_dim_conv", features, 2)).flatten(1)
        for k in range(2):
            x = F.relu(self.dense(f"mask_coarse_head.fcs_seq.{k}", x))
        return self.dense("mask_coarse_head.prediction", x).reshape(len(x), -1, 7, 7)

    def points(self, fine, coarse):
        """(N, fine, P) and (N, 1 + C, P) -> (N, 1 + C, P) logits."""
        x = torch.cat([fine, coarse], 1)[..., None]
        for k in range(3):
            x = torch.cat([F.relu(self.conv(f"mask_point_head.seq.{k}", x)), coarse[..., None]], 1)
        return self.conv("mask_point_head.predictor", x)[..., 0]


def enlarge(x, size):
    """Bilinear, output y at y * in / out, upper neighbour clamped."""
    for dim, wanted in zip((2, 3), size):
        source = torch.arange(wanted) * (x.shape[dim] / wanted)
        low = source.long()
        high = (low + 1).clamp(max=x.shape[dim] - 1)
        share = (source - low).reshape([-1 if k == dim else 1 for k in range(4)])
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
    return x
