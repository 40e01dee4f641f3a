"""The log-softmax at each pixel's label, for training, and the losses with it, against PyTorch in float64."""

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.models.fused import fuse_for_training
from src.models.losses import OhemCrossEntropy, PixelCrossEntropy
from src.ops.conv_gradient import why_not_fast
from src.ops.pixel_loss import FusedLabelLogProbability

WEIGHTS = (0.5, 2.0, 1.0, 1.5, 0.25)
SHAPES = [(2, 5, 9, 31), (1, 5, 1, 1), (1, 5, 40, 60), (3, 5, 1, 300)]  # a block has 256 pixels


@pytest.fixture(autouse=True)
def needs_library(graph_mode):
    if reason := why_not_fast():
        pytest.skip(reason)


class Gradient(nn.Cell):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.gradient = ops.GradOperation(sens_param=True)

    def construct(self, gradient, logits, labels):
        return self.network(logits, labels), self.gradient(self.network)(logits, labels, gradient)


def some_pixels(shape: tuple[int, ...], spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(sum(shape))
    labels = rng.randint(0, shape[1], (shape[0], *shape[2:])).astype(np.int32)
    return (rng.randn(*shape) * spread).astype(np.float32), labels


@pytest.mark.parametrize("spread", [3.0, 60.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_log_probability_and_its_gradient_are_pytorch_s(shape, spread):
    logits, labels = some_pixels(shape, spread)
    gradient = np.random.RandomState(1).randn(*labels.shape).astype(np.float32)
    theirs = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    result = -torch.nn.functional.cross_entropy(theirs, torch.tensor(labels).long(), reduction="none")
    result.backward(torch.tensor(gradient, dtype=torch.float64))
    ours, to_logits = Gradient(FusedLabelLogProbability())(Tensor(gradient), Tensor(logits), Tensor(labels))
    np.testing.assert_allclose(ours.asnumpy(), result.detach().numpy(), rtol=1e-6, atol=1e-6 * spread)
    np.testing.assert_allclose(to_logits.asnumpy(), theirs.grad.numpy(), rtol=2e-6, atol=1e-6)


def test_a_label_that_is_no_class_has_no_own_logit():
    logits, labels = some_pixels((1, 5, 2, 3))
    labels[0, 0] = 255, -1, 5
    ones = Tensor(np.ones(labels.shape, np.float32))
    ours, to_logits = Gradient(FusedLabelLogProbability())(ones, Tensor(logits), Tensor(labels))
    shares = torch.softmax(torch.tensor(logits), 1).numpy()
    np.testing.assert_allclose(ours.asnumpy()[0, 0], np.log(shares.max(1))[0, 0], rtol=1e-5)
    np.testing.assert_allclose(to_logits.asnumpy()[0, :, 0], -shares[0, :, 0], rtol=1e-5)


def test_what_is_no_number_makes_the_loss_none():
    logits, labels = some_pixels((1, 5, 4, 4))
    logits[0, 3, 1, 2] = np.nan
    ours, to_logits = Gradient(FusedLabelLogProbability())(
        Tensor(np.ones(labels.shape, np.float32)), Tensor(logits), Tensor(labels)
    )
    assert np.isnan(ours.asnumpy()).sum() == 1 and np.isnan(ours.asnumpy()[0, 1, 2])
    assert np.isnan(to_logits.asnumpy()[0, :, 1, 2]).any() and np.isnan(to_logits.asnumpy()).sum() <= 5


@pytest.mark.parametrize("of", [PixelCrossEntropy, OhemCrossEntropy])
@pytest.mark.parametrize("weights", [(), WEIGHTS], ids=["", "weighted"])
def test_a_loss_in_training_is_that_without_the_operator(of, weights):
    logits, labels = some_pixels((2, 5, 17, 23))
    labels[0, :5] = 255
    inputs = Tensor(np.float32(1)), Tensor(logits), Tensor(labels)
    keys = {"min_kept": 100} if of is OhemCrossEntropy else {}
    plain, fused = (of(255, weights, **keys).set_train() for _ in range(2))
    fuse_for_training(fused)
    assert fused.log_probability.for_training is not None
    for ours, expected in zip(Gradient(fused)(*inputs), Gradient(plain)(*inputs), strict=True):
        np.testing.assert_allclose(ours.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-8)
