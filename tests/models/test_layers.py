import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.models.layers import NormSettings, batch_norm, resize_bilinear, upsample_nearest


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(14, 22), (5, 9), (3, 4), (7, 11)])
def test_bilinear_resize_and_its_gradient_equal_torch(graph_mode, align_corners, size):
    x = np.random.RandomState(0).randn(2, 3, 7, 11).astype(np.float32)

    def energy(x):
        return (resize_bilinear(x, size[0], size[1], align_corners) ** 2).sum()

    value, gradient = ops.value_and_grad(energy)(Tensor(x))
    reference = torch.tensor(x, requires_grad=True)
    out = torch.nn.functional.interpolate(reference, size, mode="bilinear", align_corners=align_corners)
    (out**2).sum().backward()
    np.testing.assert_allclose(value.asnumpy(), (out**2).sum().item(), rtol=1e-5)
    np.testing.assert_allclose(gradient.asnumpy(), reference.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(resize_bilinear(Tensor(x), *size, align_corners).asnumpy(), out.detach(), atol=1e-5)


def test_nearest_upsampling_repeats_pixels(graph_mode):
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    expected = x.repeat(4, axis=2).repeat(4, axis=3)
    np.testing.assert_array_equal(upsample_nearest(Tensor(x), 4).asnumpy(), expected)


@pytest.mark.parametrize("frozen", [False, True])
def test_batch_norm_updates_statistics_and_gradients_like_torch(graph_mode, frozen):
    rng = np.random.RandomState(0)
    x, target = (rng.randn(4, 3, 5, 5).astype(np.float32) * 2 + 1 for _ in range(2))
    cell = batch_norm(3, NormSettings(momentum=0.03, eps=1e-3, frozen=frozen))
    cell.set_train(True)

    class Loss(nn.Cell):
        def __init__(self):
            super().__init__()
            self.norm = cell

        def construct(self, x, target):
            return (self.norm(x) * target).sum()

    gradients = ops.value_and_grad(Loss(), 0, cell.trainable_params())(Tensor(x), Tensor(target))[1]
    reference = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.03)
    reference.train(not frozen)
    tx = torch.tensor(x, requires_grad=True)
    (reference(tx) * torch.tensor(target)).sum().backward()
    np.testing.assert_allclose(gradients[0].asnumpy(), tx.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(gradients[1][0].asnumpy(), reference.weight.grad.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(gradients[1][1].asnumpy(), reference.bias.grad.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(cell.moving_mean.asnumpy(), reference.running_mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(cell.moving_variance.asnumpy(), reference.running_var.numpy(), rtol=1e-5)
