import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.models.losses import binary_cross_entropy, smooth_l1


def test_binary_cross_entropy_equals_torch_also_for_large_logits(graph_mode):
    logits = np.float32([-120, -3, -0.1, 0, 0.2, 4, 90])
    targets = np.float32([0, 1, 0.3, 1, 0, 0.9, 0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits), torch.tensor(targets), reduction="none"
    )
    np.testing.assert_allclose(
        binary_cross_entropy(Tensor(logits), Tensor(targets)).asnumpy(), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0])
def test_smooth_l1_equals_torch(graph_mode, beta):
    x = np.float32([-2, -0.2, -0.05, 0, 0.3, 1.0, 5])
    zeros = np.zeros_like(x)
    expected = torch.nn.functional.smooth_l1_loss(torch.tensor(x), torch.tensor(zeros), reduction="none", beta=beta)
    np.testing.assert_allclose(smooth_l1(Tensor(x), Tensor(zeros), beta).asnumpy(), expected, rtol=1e-5)
