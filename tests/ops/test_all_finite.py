import numpy as np
import pytest
from mindspore import Tensor, nn

from src.ops.all_finite import AllFinite

SHAPES = ((), (1,), (3, 5), (2, 3, 4, 5), (600, 1000))


class OfMany(nn.Cell):
    """Takes tensors one by one: a list would be a constant of the graph, and compiled anew for each."""

    def __init__(self, portable):
        super().__init__()
        self.all_finite = AllFinite(portable)

    def construct(self, *tensors):
        return self.all_finite(tensors)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("portable", [False, True])
def test_one_number_of_any_tensor_that_is_not_finite_is_found(graph_mode, portable, kind):
    rng = np.random.RandomState(0)
    cell = OfMany(portable)
    arrays = [np.array(rng.randn(*shape), kind) for shape in SHAPES]
    arrays[1][0], arrays[2][0, 0] = np.finfo(kind).max, np.finfo(kind).tiny
    assert bool(cell(*map(Tensor, arrays)))
    for k, array in enumerate(arrays):
        for value in (np.nan, np.inf, -np.inf):
            bad = array.copy()
            bad.flat[rng.randint(bad.size)] = value
            result = cell(*(Tensor(bad if j == k else x) for j, x in enumerate(arrays)))
            assert result.shape == () and not bool(result)
