import numpy as np
import torch
from mindspore import Tensor

from src.models.necks.fpn import FPN
from tests.models.torch_originals import TorchFPN, give_random_weights


def test_levels_equal_torch_also_where_the_last_map_has_an_odd_size(graph_mode):
    widths, shapes = (6, 8, 10, 12), ((24, 40), (12, 20), (6, 10), (3, 5))
    ours, theirs = FPN(widths, 16, 6), TorchFPN(widths, 16, 6)
    give_random_weights(ours, theirs)
    rng = np.random.RandomState(1)
    features = [rng.randn(2, width, *shape).astype(np.float32) for width, shape in zip(widths, shapes)]
    with torch.no_grad():
        expected = theirs([torch.tensor(x) for x in features])
    outputs = ours(tuple(Tensor(x) for x in features))
    assert [x.shape[2:] for x in outputs] == ours.level_shapes(shapes)
    for out, reference in zip(outputs, expected):
        np.testing.assert_allclose(out.asnumpy(), reference.numpy(), atol=1e-5)
