"""Batch normalisation with the sum and the ReLU after it, as one operator, against PyTorch in double precision."""

import platform
import sys

import numpy as np
import pytest
import torch
from mindspore import Parameter, Tensor, nn, ops

from src.ops.batch_norm import FusedBatchNorm, FusedBatchNormSum
from src.ops.conv_gradient import why_not_fast

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="oneDNN's wheel is for x86-64 Linux"
)

EPS, SHARE = 1e-3, 0.3
SHAPES = [(2, 3, 5, 7), (3, 33, 8, 8), (1, 2, 1, 3), (2, 4, 1, 1), (2, 5, 70, 64)]
KINDS = ("norm", "norm, ReLU", "norm, sum, ReLU")
PAIRS = [  # every shape with the last kind, every kind with the first shapes; the others with --all
    pytest.param(shape, kind, marks=() if kind == KINDS[-1] or shape in SHAPES[:2] else pytest.mark.slow)
    for shape in SHAPES
    for kind in KINDS
]


@pytest.fixture(autouse=True)
def _there(graph_mode):
    assert why_not_fast() == ""


class Step(nn.Cell):
    """(result * weights).sum(), and the running mean before and after it."""

    def __init__(self, kind: str, channels: int):
        super().__init__()
        rng = np.random.RandomState(channels)
        self.gamma, self.beta, self.mean, self.variance = (
            Parameter(Tensor(rng.rand(channels).astype(np.float32) + shift), name=name)
            for name, shift in (("gamma", 0.5), ("beta", -0.5), ("mean", 0.0), ("variance", 0.5))
        )
        self.has_sum = "sum" in kind
        self.run = FusedBatchNormSum(EPS, SHARE) if self.has_sum else FusedBatchNorm(EPS, SHARE, "ReLU" in kind)

    def construct(self, x, added, weights):
        before = self.mean * 1.0
        if self.has_sum:
            result = self.run(x, self.gamma, self.beta, self.mean, self.variance, added)[0]
        else:
            result = self.run(x, self.gamma, self.beta, self.mean, self.variance)[0]
        return (result * weights).sum(), result, before, self.mean * 1.0


class Gradients(nn.Cell):
    def __init__(self, step: Step):
        super().__init__(auto_prefix=False)
        self.step = step
        self.run = ops.value_and_grad(self.forward, (0, 1), [step.gamma, step.beta], has_aux=True)

    def forward(self, x, added, weights):
        return self.step(x, added, weights)

    def construct(self, x, added, weights):
        return self.run(x, added, weights)


def expected(step: Step, kind: str, x, added, weights):
    """PyTorch's result, gradients (x, added, gamma, beta) and running statistics after one step."""
    mean, variance = (torch.tensor(p.asnumpy()).double() for p in (step.mean, step.variance))
    inputs = [torch.tensor(a).double().requires_grad_() for a in (x, added, step.gamma.asnumpy(), step.beta.asnumpy())]
    flat = torch.nn.functional.batch_norm(inputs[0], mean, variance, *inputs[2:], True, SHARE, EPS)
    result = flat + inputs[1] if "sum" in kind else flat
    result = torch.relu(result) if "ReLU" in kind else result
    (result * torch.tensor(weights)).sum().backward()
    gradients = [torch.zeros_like(i) if i.grad is None else i.grad for i in inputs]
    return result.detach(), gradients, mean, variance


def close(ours, theirs, name):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.abs(ours - theirs).max() <= 2e-5 * max(np.abs(theirs).max(), 1e-2), name


@pytest.mark.parametrize("shape,kind", PAIRS, ids=str)
def test_result_gradients_and_running_statistics_equal_pytorch(shape, kind):
    rng = np.random.RandomState(sum(shape))
    x, added, weights = (rng.randn(*shape).astype(np.float32) for _ in range(3))
    step = Step(kind, shape[1])
    result, gradients, mean, variance = expected(step, kind, 3 * x + 1, added, weights)
    run = Gradients(step)
    (_, ours, before, after), (to_inputs, to_parameters) = run(Tensor(3 * x + 1), Tensor(added), Tensor(weights))
    close(ours.asnumpy(), result, "result")
    for name, got, want in zip(("x", "added", "gamma", "beta"), (*to_inputs, *to_parameters), gradients):
        close(got.asnumpy(), want, name)
    close(step.mean.asnumpy(), mean, "running mean")
    close(step.variance.asnumpy(), variance, "running variance")
    assert not np.array_equal(before.asnumpy(), after.asnumpy())  # what is read before and after is what was there
    np.testing.assert_array_equal(after.asnumpy(), step.mean.asnumpy())


def test_a_large_mean_costs_no_digits():
    step = Step("norm", 3)
    x = (np.random.RandomState(0).randn(2, 3, 40, 40) + 3000).astype(np.float32)
    result, *_ = expected(step, "norm", x, x, x)
    ours = step(Tensor(x), Tensor(x), Tensor(x))[1].asnumpy()
    assert np.abs(ours - result.numpy()).max() < 1e-3


def test_what_is_not_a_number_stays_so():
    x = np.ones((1, 2, 4, 40), np.float32)
    x[0, 0, 2, 37] = np.nan
    result = Step("norm, ReLU", 2)(Tensor(x), Tensor(x), Tensor(x))[1].asnumpy()
    assert np.isnan(result[0, 0]).all() and np.isfinite(result[0, 1]).all()
