"""PyTorch networks written for the tests from papers and originals' definitions; names as in their checkpoints."""

import numpy as np
import torch
import torch.nn.functional as F
from mindspore import Tensor, nn
from torch import nn as tnn

SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def give_random_weights(cell: nn.Cell, module: tnn.Module, rename=lambda name: name) -> None:
    """The same random values for both; every tensor must have its partner. `rename` maps our names to theirs."""
    rng = np.random.RandomState(0)
    state = {name: value for name, value in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    for parameter in cell.get_parameters():
        stem, _, kind = parameter.name.rpartition(".")
        name = rename(f"{stem}.{SUFFIXES.get(kind, kind)}")
        shape = tuple(parameter.shape)
        if kind in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.randn(*shape) * (0.1 if len(shape) == 1 else np.sqrt(1.5 / np.prod(shape[1:])))
        value = value.astype(np.float32)
        theirs = state.pop(name)
        assert theirs.numel() == value.size, (name, theirs.shape, shape)
        theirs.copy_(torch.tensor(value).reshape(theirs.shape))
        parameter.set_data(Tensor(value))
    assert not state, sorted(state)


def assert_gradients_equal(cell: nn.Cell, gradients, module: tnn.Module, rename=lambda name: name) -> None:
    """Ours of `cell.trainable_params()` against the module's after `backward()`; `rename` maps our names to theirs."""
    reference = dict(module.named_parameters())
    for parameter, gradient in zip(cell.trainable_params(), gradients):
        stem, _, kind = rename(parameter.name).rpartition(".")
        wanted = reference[f"{stem}.{SUFFIXES.get(kind, kind)}"].grad.numpy()
        if np.linalg.norm(wanted) > 1e-4:  # a bias before a normalisation gets rounding noise alone
            distance = np.linalg.norm(gradient.asnumpy() - wanted) / np.linalg.norm(wanted)
            assert distance < 2e-2, (parameter.name, distance)


class SameConv2d(tnn.Conv2d):
    """Padded so that ceil(side / stride) pixels come out, the odd one of the border at the bottom and right."""

    def forward(self, x):
        return super().forward(pad_same(x, self.kernel_size[0], self.stride[0]))


def pad_same(x, size, stride):
    borders = []
    for side in (x.shape[3], x.shape[2]):
        border = max((-(-side // stride) - 1) * stride + size - side, 0)
        borders += [border // 2, border - border // 2]
    return F.pad(x, borders)


def strided_conv(inputs, outputs, size, stride, same):
    """A convolution without bias that keeps the size at stride 1; same: SAME padding."""
    if same:
        return SameConv2d(inputs, outputs, size, stride, bias=False)
    return tnn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def conv_bn(inputs: int, outputs: int, size: int, stride: int = 1) -> tnn.Sequential:
    names = {
        "conv": tnn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        "bn": tnn.BatchNorm2d(outputs, 1e-3),
    }
    module = tnn.Sequential()
    for name, part in names.items():
        module.add_module(name, part)
    return module


class Residual(tnn.Module):
    """Basic (two 3x3) or bottleneck (1x1, 3x3, 1x1, four times as wide) block; 'caffe' strides on the first 1x1."""

    def __init__(self, inputs, channels, stride, bottleneck, style="pytorch", eps=1e-5, same=False):
        super().__init__()
        strides = (stride, 1) if style == "caffe" or not bottleneck else (1, stride)
        sizes = (1, 3, 1) if bottleneck else (3, 3)
        outputs = channels * 4 if bottleneck else channels
        widths = [inputs, channels, channels, outputs] if bottleneck else [inputs, channels, channels]
        for k, size in enumerate(sizes):
            step = strides[k] if k < 2 else 1
            conv = strided_conv(widths[k], widths[k + 1], size, step, same)
            self.add_module(f"conv{k + 1}", conv)
            self.add_module(f"bn{k + 1}", tnn.BatchNorm2d(widths[k + 1], eps))
        self.count = len(sizes)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = tnn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = tnn.Sequential(conv, tnn.BatchNorm2d(outputs, eps))

    def forward(self, x):
        out = x
        for k in range(1, self.count + 1):
            out = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(out))
            out = F.relu(out) if k < self.count else out
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def residual_row(inputs, channels, count, stride, bottleneck, style="pytorch", eps=1e-5, same=False):
    width = channels * 4 if bottleneck else channels
    blocks = [Residual(inputs, channels, stride, bottleneck, style, eps, same)]
    blocks += [Residual(width, channels, 1, bottleneck, style, eps) for _ in range(count - 1)]
    return tnn.Sequential(*blocks)


class TorchResNet(tnn.Module):
    """same_pool, same_convs: SAME padding of the stem's pooling, of the convolutions of stride 2."""

    def __init__(self, counts, bottleneck, base=64, style="pytorch", same_pool=False, same_convs=False, eps=1e-5):
        super().__init__()
        self.conv1 = strided_conv(3, 64, 7, 2, same_convs)
        self.bn1 = tnn.BatchNorm2d(64, eps)
        self.same_pool = same_pool
        inputs = 64
        for k, count in enumerate(counts):
            channels = base * 2**k
            row = residual_row(inputs, channels, count, 1 if k == 0 else 2, bottleneck, style, eps, same_convs)
            self.add_module(f"layer{k + 1}", row)
            inputs = channels * 4 if bottleneck else channels

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(pad_same(x, 3, 2), 3, 2) if self.same_pool else F.max_pool2d(x, 3, 2, 1)
        outputs = []
        for k in range(1, 5):
            x = getattr(self, f"layer{k}")(x)
            outputs.append(x)
        return outputs


class TorchFPN(tnn.Module):
    def __init__(self, widths, out_channels, num_outs):
        super().__init__()
        self.lateral_convs, self.fpn_convs = tnn.ModuleList(), tnn.ModuleList()
        for width in widths:
            self.lateral_convs.append(tnn.ModuleDict({"conv": tnn.Conv2d(width, out_channels, 1)}))
            self.fpn_convs.append(tnn.ModuleDict({"conv": tnn.Conv2d(out_channels, out_channels, 3, padding=1)}))
        self.num_outs = num_outs

    def forward(self, features):
        laterals = [part["conv"](x) for part, x in zip(self.lateral_convs, features)]
        for k in range(len(laterals) - 1, 0, -1):
            laterals[k - 1] = laterals[k - 1] + F.interpolate(
                laterals[k], size=laterals[k - 1].shape[2:], mode="nearest"
            )
        outputs = [part["conv"](x) for part, x in zip(self.fpn_convs, laterals)]
        while len(outputs) < self.num_outs:
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return outputs


# The paper's architecture as the ports write it: level, bottleneck?, inputs, output?; the first two are the stem's.
SPINENET = [
    (2, True, None, False), (2, True, None, False), (2, True, (0, 1), False), (4, False, (0, 1), False),
    (3, True, (2, 3), False), (4, True, (2, 4), False), (6, False, (3, 5), False), (4, True, (3, 5), False),
    (5, False, (6, 7), False), (7, False, (6, 8), False), (5, True, (8, 9), False), (5, True, (8, 10), False),
    (4, True, (5, 10), True), (3, True, (4, 10), True), (5, True, (7, 12), True), (7, True, (5, 14), True),
    (6, True, (12, 14), True),
]  # fmt: skip


class TorchSpineNet(tnn.Module):
    def __init__(self, endpoint, scale, alpha, repeats):
        super().__init__()
        base = {2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}
        width = {level: int(channels * scale) for level, channels in base.items()}
        self.conv1 = conv_bn(3, 64, 7, 2)
        self.init_block1 = residual_row(64, width[2], repeats, 1, True, eps=1e-3)
        self.init_block2 = residual_row(width[2] * 4, width[2], repeats, 1, True, eps=1e-3)
        self.merge_ops, self.scale_permuted_blocks = tnn.ModuleList(), tnn.ModuleList()
        self.endpoint_convs = tnn.ModuleDict()
        for level, bottleneck, inputs, is_output in SPINENET[2:]:
            outputs = width[level] * (4 if bottleneck else 1)
            merge = tnn.Module()
            merge.resample_ops = tnn.ModuleList()
            for source in inputs:
                source_level, source_bottleneck = SPINENET[source][:2]
                narrow = int(width[source_level] * alpha)
                resample = tnn.Module()
                resample.squeeze_conv = conv_bn(width[source_level] * (4 if source_bottleneck else 1), narrow, 1)
                if source_level < level:
                    resample.downsample_conv = conv_bn(narrow, narrow, 3, 2)
                resample.expand_conv = conv_bn(narrow, outputs, 1)
                merge.resample_ops.append(resample)
            self.merge_ops.append(merge)
            self.scale_permuted_blocks.append(residual_row(outputs, width[level], repeats, 1, bottleneck, eps=1e-3))
            if is_output:
                self.endpoint_convs[str(level)] = conv_bn(outputs, endpoint, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)
        features = [self.init_block1(x)]
        features.append(self.init_block2(features[0]))
        used, endpoints = [0, 0], {}
        for k, (level, _, inputs, is_output) in enumerate(SPINENET[2:]):
            merged = 0
            for source, resample in zip(inputs, self.merge_ops[k].resample_ops):
                merged = merged + self.resample(resample, features[source], SPINENET[source][0] - level)
            if is_output:
                for number, feature in enumerate(features):
                    if used[number] == 0 and feature.shape == merged.shape:
                        merged = merged + feature
                        used[number] += 1
            features.append(self.scale_permuted_blocks[k](F.relu(merged)))
            used.append(0)
            for source in inputs:
                used[source] += 1
            if is_output:
                endpoints[level] = self.endpoint_convs[str(level)](features[-1])
        return [endpoints[level] for level in range(3, 8)]

    @staticmethod
    def resample(parts, x, steps):
        x = F.relu(parts.squeeze_conv(x))
        if steps > 0:
            x = F.interpolate(x, scale_factor=2**steps, mode="nearest")
        elif steps < 0:
            x = F.relu(parts.downsample_conv(x))
            if steps < -1:
                size = 3 if steps == -2 else 5
                x = F.max_pool2d(x, size, stride=2 ** (-steps - 1), padding=size // 2)
        return parts.expand_conv(x)
