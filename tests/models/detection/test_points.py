import numpy as np
import torch
from mindspore import Tensor

from src.models.detection.points import in_image, packed_mask_values, regular_grid, uncertain_of_grid
from tests.models.torch_pointrend import point_sample


def test_values_of_packed_masks_are_the_soft_values_of_grid_sample(graph_mode):
    rng = np.random.RandomState(0)
    masks = rng.rand(3, 10, 16) > 0.5
    rows = np.int32([2, 0, 2, 1])
    points = rng.uniform(-2, 18, (4, 50, 2)).astype(np.float32)
    points[0, :3] = [[0, 0], [0.5, 0.5], [16, 10]]
    values = packed_mask_values(Tensor(np.packbits(masks, axis=-1)), Tensor(rows), Tensor(points)).asnumpy()
    size = torch.tensor([16.0, 10.0])
    expected = point_sample(torch.tensor(masks[rows][:, None]).float(), torch.tensor(points) / size)[:, 0].numpy()
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert ((values > 0.01) & (values < 0.99)).any()


def test_grid_points_are_cell_centres_and_map_into_the_box(graph_mode):
    points = regular_grid(2, 2).asnumpy()
    np.testing.assert_allclose(points[1], [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    boxes = Tensor(np.float32([[10, 20, 30, 24], [0, 0, 8, 8]]))
    np.testing.assert_allclose(in_image(Tensor(points), boxes).asnumpy()[0, 1], [25, 21])


def test_uncertain_cells_are_those_next_to_zero(graph_mode):
    logits = np.float32([[[5, -0.1, 3], [0.2, -4, 6], [9, 8, -7]]])
    index, points = uncertain_of_grid(Tensor(logits), 2)
    assert sorted(index.asnumpy()[0]) == [1, 3]
    by_index = dict(zip(index.asnumpy()[0], points.asnumpy()[0]))
    np.testing.assert_allclose(by_index[1], [0.5, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(by_index[3], [1 / 6, 0.5], rtol=1e-6)
    assert uncertain_of_grid(Tensor(logits), 100)[0].shape == (1, 9)
