"""Gradients of convolutions by oneDNN against PyTorch's (in double precision) and the framework's own."""

import ctypes
import platform
import sys

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.ops import conv_gradient
from src.ops.conv_gradient import FastGradientConv2D, use_fast_gradients, why_not_fast

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="oneDNN's wheel is for x86-64 Linux"
)

# name: channels in and out, size of the input, nn.Conv2d's keys
CASES = {
    "3x3": (5, 7, (9, 12), {"kernel_size": 3, "pad_mode": "pad", "padding": 1}),
    "1x1": (6, 3, (7, 5), {"kernel_size": 1, "pad_mode": "valid"}),
    "1x1, stride 2": (6, 4, (9, 8), {"kernel_size": 1, "stride": 2, "pad_mode": "pad", "padding": 0}),
    "7x7, stride 2": (3, 8, (21, 30), {"kernel_size": 7, "stride": 2, "pad_mode": "pad", "padding": 3}),
    "valid, odd remainder": (4, 4, (10, 13), {"kernel_size": 3, "stride": 3, "pad_mode": "valid"}),
    "same, stride 2": (4, 6, (11, 8), {"kernel_size": 3, "stride": 2, "pad_mode": "same"}),
    "same, even kernel": (4, 6, (9, 7), {"kernel_size": (4, 2), "pad_mode": "same"}),
    "same, dilated": (4, 6, (13, 9), {"kernel_size": 3, "dilation": 2, "pad_mode": "same"}),
    "dilated": (16, 16, (14, 11), {"kernel_size": 3, "dilation": (2, 3), "pad_mode": "pad", "padding": (2, 2, 3, 3)}),
    "four paddings": (4, 5, (8, 9), {"kernel_size": 3, "pad_mode": "pad", "padding": (0, 2, 1, 3)}),
    "two strides": (4, 5, (12, 9), {"kernel_size": (3, 5), "stride": (2, 1), "pad_mode": "valid"}),
    "groups": (8, 12, (9, 9), {"kernel_size": 3, "group": 4, "pad_mode": "pad", "padding": 1}),
    "depthwise": (19, 19, (9, 10), {"kernel_size": 3, "group": 19, "pad_mode": "pad", "padding": 1, "stride": 2}),
    "bias": (5, 7, (6, 8), {"kernel_size": 3, "pad_mode": "pad", "padding": 1, "has_bias": True}),
    "wide": (64, 32, (6, 6), {"kernel_size": 3, "pad_mode": "pad", "padding": 1}),
}


class WeightedSum(nn.Cell):
    """A scalar whose gradient is the backward pass of `weights` through `network`."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def construct(self, x, weights):
        return (self.network(x) * weights).sum()


@pytest.fixture(autouse=True)
def _there(graph_mode):
    assert why_not_fast() == ""


def random(*shape):
    return np.random.RandomState(sum(shape)).randn(*shape).astype(np.float32)


def make_conv(name):
    channels, out_channels, _, keys = CASES[name]
    conv = nn.Conv2d(channels, out_channels, **keys)
    for parameter in conv.get_parameters():
        parameter.set_data(Tensor(random(*parameter.shape)))
    return conv


def gradients(network, x, weights):
    """By the input, then by every trainable parameter."""
    total = WeightedSum(network)
    gradient = ops.grad(total, 0, network.trainable_params())
    to_input, to_parameters = gradient(Tensor(x), Tensor(weights))
    return [to_input.asnumpy(), *(one.asnumpy() for one in to_parameters)]


def relative(one, other):
    return np.linalg.norm(np.float64(one) - other) / np.linalg.norm(np.float64(other))


def torch_gradients(conv, x, weights):
    """Gradients by input, weight and bias in double precision, padded as the framework says that it pads."""
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    parameters = [torch.tensor(p.asnumpy(), dtype=torch.float64, requires_grad=True) for p in conv.get_parameters()]
    top, bottom, left, right = conv.conv2d.padding
    if conv.pad_mode == "same":
        pads = []
        for axis in (0, 1):
            covered = (weights.shape[2 + axis] - 1) * conv.stride[axis]
            covered += (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1
            missing = max(0, covered - x.shape[2 + axis])
            pads += [missing // 2, missing - missing // 2]
        top, bottom, left, right = pads
    padded = torch.nn.functional.pad(leaf, (left, right, top, bottom))
    weight, *bias = parameters
    keys = {"stride": conv.stride, "dilation": conv.dilation, "groups": conv.group}
    out = torch.nn.functional.conv2d(padded, weight, *bias, **keys)
    (out * torch.tensor(weights)).sum().backward()
    return [one.grad.numpy() for one in (leaf, *parameters)]


MORE = ("1x1, stride 2", "valid, odd remainder", "same, dilated", "two strides", "wide", "bias")  # with --all


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.slow if one in MORE else ()) for one in CASES])
def test_gradients_equal_torchs_and_the_frameworks(name):
    x = random(2, CASES[name][0], *CASES[name][2])
    framework, ours = make_conv(name), make_conv(name)
    assert use_fast_gradients(ours) == 1
    out = framework(Tensor(x)).asnumpy()
    np.testing.assert_array_equal(ours(Tensor(x)).asnumpy(), out)
    weights = random(*out.shape)
    found = gradients(ours, x, weights)
    for reference in (torch_gradients(framework, x, weights), gradients(framework, x, weights)):
        assert [one.shape for one in found] == [one.shape for one in reference]
        assert max(map(relative, found, reference)) < 1e-5


def test_pynative_mode_gives_the_same(pynative_mode):
    x, weights = random(2, 8, 9, 9), random(2, 12, 9, 9)
    framework, ours = make_conv("groups"), make_conv("groups")
    use_fast_gradients(ours)
    assert max(map(relative, gradients(ours, x, weights), gradients(framework, x, weights))) < 1e-5


def test_half_precision_keeps_the_frameworks_gradient():
    conv = make_conv("3x3").to_float(ms.float16)
    assert use_fast_gradients(conv) == 0


class Half(nn.Cell):
    """A convolution of float16 numbers with float32 weights."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def construct(self, x):
        return self.conv.conv2d(x.astype(ms.float16), self.conv.weight.astype(ms.float16))


def test_float16_tensors_get_gradients_that_are_as_near_as_their_digits():
    x, weights = random(2, 5, 9, 12), random(2, 7, 9, 12)
    framework, ours = Half(make_conv("3x3")), Half(make_conv("3x3"))
    use_fast_gradients(ours)
    assert ours(Tensor(x)).dtype == ms.float16
    found, expected = gradients(ours, x, weights), gradients(framework, x, weights)
    assert [one.dtype for one in found] == [one.dtype for one in expected]
    assert max(map(relative, found, expected)) < 2e-3


def test_the_same_inputs_give_the_same_bits_over_many_calls():
    conv = nn.Conv2d(24, 24, 3, pad_mode="pad", padding=1)
    use_fast_gradients(conv)
    x, weights = Tensor(random(2, 24, 40, 40)), Tensor(random(2, 24, 40, 40))
    gradient = ms.jit(ops.grad(WeightedSum(conv), 0, conv.trainable_params()))
    bits = set()
    for _ in range(30):
        to_input, (to_weight,) = gradient(x, weights)
        bits.add(to_input.asnumpy().tobytes() + to_weight.asnumpy().tobytes())
    assert len(bits) == 1


class Network(nn.Cell):
    """Equal and different convolutions, one of them at two sizes, and a transposed one."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, pad_mode="pad", padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.SequentialCell(*(nn.Conv2d(8, 8, 3, pad_mode="pad", padding=1) for _ in range(3)))
        self.up = nn.Conv2dTranspose(8, 8, 2, stride=2, pad_mode="valid")
        self.last = nn.Conv2d(8, 4, 1, has_bias=True)
        for parameter in self.trainable_params():
            parameter.set_data(Tensor(random(*parameter.shape) * 0.2))

    def construct(self, x):
        small = ops.relu(self.blocks(ops.relu(self.norm(self.first(x)))))
        return self.last(self.blocks[0](self.up(small)))


def calls_of(capfd, network):
    """How often oneDNN works out a gradient by an input and by a weight in one backward pass of all parameters."""
    gradient = ms.jit(ops.grad(WeightedSum(network), None, network.trainable_params()))
    inputs = Tensor(random(2, 3, 12, 12)), Tensor(random(2, 4, 12, 12))
    [one.asnumpy() for one in gradient(*inputs)]  # the graph runs on its own thread
    library = ctypes.CDLL(conv_gradient._package_files()[0])
    library.dnnl_set_verbose(1)
    try:
        [one.asnumpy() for one in gradient(*inputs)]
    finally:
        library.dnnl_set_verbose(0)
        ctypes.CDLL(None).fflush(None)
    lines = [line for line in capfd.readouterr().out.splitlines() if ",convolution," in line]
    return tuple(sum(f",{kind}," in line for line in lines) for kind in ("backward_data", "backward_weights"))


def test_a_network_keeps_names_forward_pass_and_other_layers():
    framework, ours = Network(), Network()
    names = [parameter.name for parameter in ours.get_parameters()]
    assert use_fast_gradients(ours) == 5
    assert use_fast_gradients(ours) == 0
    assert [parameter.name for parameter in ours.get_parameters()] == names
    assert len({id(cell) for _, cell in ours.cells_and_names() if isinstance(cell, FastGradientConv2D)}) == 3
    x, weights = random(2, 3, 12, 12), random(2, 4, 12, 12)
    for network in (framework, ours):
        network.set_train()
    np.testing.assert_array_equal(ours(Tensor(x)).asnumpy(), framework(Tensor(x)).asnumpy())
    assert max(map(relative, gradients(ours, x, weights), gradients(framework, x, weights))) < 1e-5


def test_a_gradient_that_nobody_needs_is_not_computed(capfd):
    network = Network()
    use_fast_gradients(network)
    assert calls_of(capfd, network) == (5, 6)  # blocks[0] runs twice, and the image needs no gradient
    frozen = Network()
    use_fast_gradients(frozen)
    for cell in (frozen.first, frozen.norm, frozen.blocks):
        for parameter in cell.get_parameters():
            parameter.requires_grad = False
    assert calls_of(capfd, frozen) == (2, 1)  # on the way to the transposed convolution's weight


def test_ten_steps_give_the_frameworks_losses_within_1e_5():
    losses = []
    for fast in (False, True):
        network = Network()
        if fast:
            use_fast_gradients(network)
        with_loss = nn.WithLossCell(network, nn.MSELoss())
        step = nn.TrainOneStepCell(with_loss, nn.Momentum(network.trainable_params(), 0.1, 0.9)).set_train()
        inputs = Tensor(random(2, 3, 12, 12)), Tensor(random(2, 4, 12, 12))
        losses.append([float(step(*inputs).asnumpy()) for _ in range(10)])
    assert losses[0][-1] < 0.9 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_the_reason_against_it_names_what_is_missing(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(conv_gradient, "LIBRARY", "not_built.so")
        patch.setenv("MS_VISION_ZOO_BUILD", "0")
        assert why_not_fast() == "not_built.so is missing: bash scripts/build_custom.sh"
    with monkeypatch.context() as patch:
        patch.setattr(conv_gradient, "PACKAGE", "onednn-of-nowhere")
        assert why_not_fast() == "onednn-of-nowhere is not installed: pip install -r requirements.txt"
    with monkeypatch.context() as patch:
        patch.setattr(conv_gradient, "OLDEST", 9999)
        assert why_not_fast().startswith("another oneDNN is loaded: 3.")
    with monkeypatch.context() as patch:
        patch.setattr(conv_gradient, "get_context", lambda key: "Ascend")
        assert why_not_fast() == "oneDNN is for the CPU, the device is Ascend"
    monkeypatch.setattr(conv_gradient.platform, "machine", lambda: "aarch64")
    assert why_not_fast() == "onednn-cpu-gomp is there for x86-64 Linux only"
