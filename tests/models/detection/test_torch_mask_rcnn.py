"""The detector in PyTorch that trainings are held against has itself MMDetection's numbers."""

import numpy as np
import pytest
import torch

from tests.models.detection.mmdet_case import DATA_FILES, load_train_inputs
from tests.models.detection.torch_mask_rcnn import Settings, TorchMaskRCNN, truths
from tests.reference.recipe import make_parameter

SAMPLES = {"train": (64, 64), "every": (8192, 1024)}


@pytest.mark.parametrize("case", SAMPLES)
def test_its_losses_and_the_heads_gradients_are_mmdetections(case):
    reference = np.load(DATA_FILES / "mmdet_mask_rcnn_hrnet.npz")
    model = TorchMaskRCNN(None, None, Settings(32, 64, 3, SAMPLES[case]))
    for name, value in model.state_dict().items():
        value.copy_(torch.tensor(make_parameter(name, tuple(value.shape))))
    pyramid = [torch.tensor(reference[f"neck_{k}"], requires_grad=True) for k in range(5)]
    columns = [column.asnumpy() for column in load_train_inputs()[1:6]]
    losses = model.losses(pyramid, truths(*columns))
    np.testing.assert_allclose([loss.item() for loss in losses], reference[f"{case}_losses"], rtol=1e-4)
    sum(losses).backward()
    norms = dict(zip(reference["parameter_names"], reference[f"{case}_grad_norms"]))
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad.norm().item(), norms[name], rtol=5e-4, err_msg=name)
