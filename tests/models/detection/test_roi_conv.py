import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.models.detection.roi_conv import RoIConv
from src.models.layers import NormSettings


class WeightedSum(nn.Cell):
    def __init__(self, conv):
        super().__init__(auto_prefix=False)
        self.conv = conv

    def construct(self, x, valid, weights):
        return (self.conv(x, valid) * weights).sum()


@pytest.fixture()
def case():
    rng = np.random.RandomState(0)
    x, weights = rng.randn(7, 3, 5, 5).astype(np.float32), rng.randn(7, 4, 5, 5).astype(np.float32)
    kernel = rng.randn(4, 3, 3, 3).astype(np.float32) * 0.3
    return x, weights, kernel


def torch_block(kernel):
    block = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
    )
    block[0].weight.data = torch.tensor(kernel)
    return block


@pytest.mark.parametrize("frozen", [False, True])
def test_training_normalises_over_the_valid_rows_as_torch_does_over_rows_that_exist(graph_mode, case, frozen):
    x, weights, kernel = case
    valid = np.array([1, 0, 1, 1, 0, 0, 1], bool)
    x[~valid] = 100.0
    weights[~valid] = 0
    conv = RoIConv(3, 4, NormSettings(0.01, 1e-3, frozen))
    conv.conv.weight.set_data(Tensor(kernel))
    conv.set_train(True)
    loss = WeightedSum(conv)
    gradients = ops.grad(loss, 0, conv.trainable_params())(Tensor(x), Tensor(valid), Tensor(weights))

    block = torch_block(kernel).train(not frozen)
    tx = torch.tensor(x[valid], requires_grad=True)
    (torch.relu(block(tx)) * torch.tensor(weights[valid])).sum().backward()
    np.testing.assert_allclose(gradients[0].asnumpy()[valid], tx.grad.numpy(), atol=2e-5)
    assert not gradients[0].asnumpy()[~valid].any()
    expected = {"conv.weight": block[0].weight, "bn.gamma": block[1].weight, "bn.beta": block[1].bias}
    for parameter, gradient in zip(conv.trainable_params(), gradients[1]):
        np.testing.assert_allclose(gradient.asnumpy(), expected[parameter.name].grad.numpy(), atol=2e-4)
    np.testing.assert_allclose(conv.bn.moving_mean.asnumpy(), block[1].running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(conv.bn.moving_variance.asnumpy(), block[1].running_var.numpy(), atol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_a_mean_that_is_large_against_the_deviation_costs_no_digits(graph_mode, mean):
    """Channels of deviation 1 about a large mean, against PyTorch in double precision."""
    rng = np.random.RandomState(0)
    x = (rng.randn(6, 3, 5, 5) + mean).astype(np.float32)
    valid = np.array([1, 0, 1, 1, 0, 1], bool)
    conv = RoIConv(3, 3, NormSettings(1.0, 1e-5))
    identity = np.zeros((3, 3, 3, 3), np.float32)
    identity[range(3), range(3), 1, 1] = 1
    conv.conv.weight.set_data(Tensor(identity))
    conv.set_train(True)
    y = conv(Tensor(x), Tensor(valid)).asnumpy()[valid]
    norm = torch.nn.BatchNorm2d(3, momentum=1.0).double()
    np.testing.assert_allclose(y, torch.relu(norm(torch.tensor(x[valid]).double())).detach().numpy(), atol=2e-4)
    np.testing.assert_allclose(conv.bn.moving_mean.asnumpy(), norm.running_mean.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(conv.bn.moving_variance.asnumpy(), norm.running_var.numpy(), rtol=1e-4)


def test_without_a_valid_row_the_statistics_stay_and_the_output_is_finite(graph_mode, case):
    x, _, kernel = case
    conv = RoIConv(3, 4, NormSettings(0.01, 1e-3))
    conv.set_train(True)
    out = conv(Tensor(x), Tensor(np.zeros(7, bool)))
    assert np.isfinite(out.asnumpy()).all()
    np.testing.assert_array_equal(conv.bn.moving_mean.asnumpy(), np.zeros(4))
    np.testing.assert_array_equal(conv.bn.moving_variance.asnumpy(), np.ones(4))


def test_inference_uses_the_running_statistics_and_no_norm_means_a_bias(graph_mode, case):
    x, _, kernel = case
    conv = RoIConv(3, 4, NormSettings(0.01, 1e-3))
    conv.conv.weight.set_data(Tensor(kernel))
    conv.set_train(False)
    expected = torch.relu(torch_block(kernel).eval()(torch.tensor(x))).detach().numpy()
    np.testing.assert_allclose(conv(Tensor(x), Tensor(np.ones(7, bool))).asnumpy(), expected, atol=1e-5)
    assert {parameter.name for parameter in RoIConv(3, 4).get_parameters()} == {"conv.weight", "conv.bias"}
