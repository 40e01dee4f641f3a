import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.ops import point_sample
from src.ops.point_sample import PointSample


class WeightedSum(nn.Cell):
    """A scalar whose gradient is the op's backward pass of `weights`."""

    def __init__(self, sample):
        super().__init__()
        self.sample = sample

    def construct(self, maps, points, weights):
        return (self.sample(maps, points) * weights).sum()


def case(maps, channels, rows, count, size=(9, 14)):
    rng = np.random.RandomState(maps + rows)
    points = rng.uniform(-0.2, 1.2, (rows, count, 2)).astype(np.float32)
    points[0, :4] = [[0, 0], [1, 1], [0, 1], [0.5, 0.5]]
    shapes = (maps, channels, *size), (rows, count, channels)
    return rng.randn(*shapes[0]).astype(np.float32), points, rng.randn(*shapes[1]).astype(np.float32)


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    "maps,channels,rows,size", [(2, 37, 6, (9, 14)), (1, 3, 1, (9, 14)), (12, 5, 12, (9, 14)), (2, 1, 32, (70, 90))]
)
def test_values_and_gradients_equal_torchs_grid_sample(graph_mode, maps, channels, rows, size, portable):
    features, points, weights = case(maps, channels, rows, 11, size)
    reference = torch.tensor(features, requires_grad=True)
    grid = torch.tensor(points * 2 - 1).reshape(maps, -1, 1, 2)
    expected = torch.nn.functional.grid_sample(reference, grid, align_corners=False)
    expected = expected[..., 0].permute(0, 2, 1).reshape(weights.shape)
    (expected * torch.tensor(weights)).sum().backward()

    sample = PointSample(portable=portable)
    out = sample(Tensor(features), Tensor(points))
    np.testing.assert_allclose(out.asnumpy(), expected.detach().numpy(), atol=1e-5)
    gradient = ops.grad(WeightedSum(sample), 0)(Tensor(features), Tensor(points), Tensor(weights))
    np.testing.assert_allclose(gradient.asnumpy(), reference.grad.numpy(), atol=2e-5)


def test_points_get_no_gradient(graph_mode):
    features, points, weights = case(2, 3, 4, 5)
    gradient = ops.grad(WeightedSum(PointSample()), 1)(Tensor(features), Tensor(points), Tensor(weights))
    assert not gradient.asnumpy().any()


@pytest.mark.parametrize("portable", [False, True])
def test_points_far_outside_or_not_finite_give_zeros(graph_mode, portable):
    features, points, _ = case(1, 3, 1, 5)
    points[0, :4] = [[np.nan, 0.5], [np.inf, 0.5], [1e30, 0.5], [0.5, -1e30]]
    out = PointSample(portable)(Tensor(features), Tensor(points)).asnumpy()
    assert not out[0, :4].any() and out[0, 4].any()


def test_pynative_mode_gives_the_same(pynative_mode):
    features, points, weights = case(2, 5, 4, 6)
    sample = PointSample()
    portable = PointSample(portable=True)(Tensor(features), Tensor(points)).asnumpy()
    np.testing.assert_allclose(sample(Tensor(features), Tensor(points)).asnumpy(), portable, atol=1e-5)


@pytest.mark.parametrize(
    "device,portable,kind",
    [
        ("CPU", 0, "_CustomPointSample"),
        ("CPU", 1, "_FourGathers"),
        ("GPU", 0, "_GridSample"),
        ("Ascend", 0, "_FourGathers"),
    ],
)
def test_each_device_gets_operators_that_it_has(monkeypatch, device, portable, kind):
    """MindSpore publishes the gradient of `grid_sample` for GPU and CPU alone (docs/operators_by_device.md)."""
    monkeypatch.setattr(point_sample, "get_context", lambda _: device)
    monkeypatch.setattr(point_sample, "takes_custom_op", lambda portable: device == "CPU" and not portable)
    assert type(PointSample(bool(portable)).sample).__name__ == kind
