import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.models.layers import MaxPool, NormSettings, batch_norm, resize_bilinear, same_border, upsample_nearest


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(14, 22), (5, 9), (3, 4), (7, 11), (1, 30)])
def test_bilinear_resize_and_its_gradient_equal_torch(graph_mode, align_corners, size):
    x = np.random.RandomState(0).randn(2, 3, 7, 11).astype(np.float32)
    coordinates = "align_corners" if align_corners else "half_pixel"

    def energy(x):
        return (resize_bilinear(x, size[0], size[1], coordinates=coordinates) ** 2).sum()

    value, gradient = ops.value_and_grad(energy)(Tensor(x))
    reference = torch.tensor(x, requires_grad=True)
    out = torch.nn.functional.interpolate(reference, size, mode="bilinear", align_corners=align_corners)
    (out**2).sum().backward()
    np.testing.assert_allclose(value.asnumpy(), (out**2).sum().item(), rtol=1e-5)
    np.testing.assert_allclose(gradient.asnumpy(), reference.grad.numpy(), atol=1e-4)
    for asked in ({"align_corners": align_corners}, {"coordinates": coordinates}):
        np.testing.assert_allclose(resize_bilinear(Tensor(x), *size, **asked).asnumpy(), out.detach(), atol=1e-5)


def asymmetric(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixel by pixel by the definition: output y reads y * in / out, the upper neighbour clamped."""
    rows, columns = x.shape[2:]
    out = np.zeros((*x.shape[:2], height, width))
    for y, x0 in np.ndindex(height, width):
        row, column = y * rows / height, x0 * columns / width
        top, left = int(row), int(column)
        for dy, dx in np.ndindex(2, 2):
            weight = abs(1 - dy - (row - top)) * abs(1 - dx - (column - left))
            out[:, :, y, x0] += weight * x[:, :, min(top + dy, rows - 1), min(left + dx, columns - 1)]
    return out


@pytest.mark.parametrize("size", [(14, 22), (5, 9), (3, 4), (7, 11), (13, 11)], ids=str)
def test_bilinear_resize_without_half_pixels_is_its_definition(graph_mode, size):
    x = np.random.RandomState(0).randn(2, 3, 7, 11).astype(np.float32)
    ours = resize_bilinear(Tensor(x), *size, coordinates="asymmetric")
    np.testing.assert_allclose(ours.asnumpy(), asymmetric(x, *size), atol=1e-6)
    pair = resize_bilinear(Tensor(np.float32([[[[0, 1]]]])), 1, 4, coordinates="asymmetric")
    np.testing.assert_array_equal(pair.asnumpy().ravel(), [0, 0.5, 1, 1])  # MindSpore 1.x's ResizeBilinear


@pytest.mark.parametrize("size", [(8, 12), (9, 7), (6, 5)], ids=str)
@pytest.mark.parametrize("kernel_size", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_max_pooling_pads_evenly_as_torch_or_same_as_mindspore(graph_mode, kernel_size, size):
    x = np.random.RandomState(0).rand(2, 3, *size).astype(np.float32)
    theirs = torch.nn.functional.max_pool2d(torch.tensor(x), kernel_size, 2, kernel_size // 2)
    np.testing.assert_array_equal(MaxPool(kernel_size, 2)(Tensor(x)).asnumpy(), theirs.numpy())
    same = nn.MaxPool2d(kernel_size, 2, pad_mode="same")(Tensor(x))
    np.testing.assert_array_equal(MaxPool(kernel_size, 2, "same")(Tensor(x)).asnumpy(), same.asnumpy())


def test_same_padding_of_even_and_odd_sides():
    cases = {(4, 3, 2): (0, 1), (5, 3, 2): (1, 1), (8, 7, 2): (2, 3), (9, 7, 2): (3, 3), (6, 1, 2): (0, 0)}
    assert {case: same_border(*case) for case in cases} == cases


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
