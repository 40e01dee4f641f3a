"""Resizing for training against PyTorch's `interpolate`, forward and backward."""

import platform
import sys

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.ops.conv_gradient import why_not_fast
from src.ops.resize import BilinearResizing, NearestUpsampling

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="oneDNN's wheel is for x86-64 Linux"
)


@pytest.fixture(autouse=True)
def _there(graph_mode):
    assert why_not_fast() == ""


class Gradient(nn.Cell):
    """Result, and gradient to the first input for a gradient to the result."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.gradient = ops.GradOperation(sens_param=True)

    def construct(self, gradient, *inputs):
        return self.network(*inputs), self.gradient(self.network)(*inputs, gradient)


def random(*shape):
    return np.random.RandomState(sum(shape)).randn(*shape).astype(np.float32)


def differences(network, x, inputs, **torch_keys) -> tuple[float, float]:
    """Largest differences from PyTorch's result and, as a share of the largest one, from its gradient."""
    theirs = torch.tensor(x, requires_grad=True)
    result = torch.nn.functional.interpolate(theirs, **torch_keys)
    gradient = random(*result.shape)
    result.backward(torch.tensor(gradient))
    ours, to_x = Gradient(network)(Tensor(gradient), Tensor(x), *inputs)
    assert ours.shape == tuple(result.shape)
    wanted = theirs.grad.numpy()
    forward = np.abs(ours.asnumpy() - result.detach().numpy()).max()
    return forward, np.abs(to_x.asnumpy() - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_nearest_equals_pytorch(factor):
    x, network = random(2, 3, 5, 7), NearestUpsampling(factor)
    assert max(differences(network, x, (), scale_factor=factor, mode="nearest")) <= 1e-5


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(10, 14), (11, 13), (5, 7), (3, 20), (1, 1), (64, 33)], ids=str)
def test_bilinear_equals_pytorch(size, align_corners):
    like = Tensor(np.zeros((1, *size), np.int32))
    keys = {"size": size, "mode": "bilinear", "align_corners": align_corners}
    assert max(differences(BilinearResizing(align_corners), random(2, 3, 5, 7), (like,), **keys)) <= 1e-5
