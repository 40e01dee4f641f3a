"""ResNet, FPN and heads with batch normalisation against MMDetection 3.3: see tests/reference/README.md."""

import numpy as np
import pytest

from tests.models.detection.mmdet_case import (
    DATA_FILES,
    LossesAndGradients,
    assert_same_statistics,
    assert_same_training,
    build,
    load_train_inputs,
)

OVERRIDES = [
    "--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "4", "--neck.type", "fpn",
    "--rpn.loss_bbox.beta", "0.1111111111111", "--rpn.anchor_generator.scales", "[6]",
    "--bbox_head.num_shared_convs", "4", "--bbox_head.num_shared_fcs", "1", "--bbox_head.conv_out_channels", "32",
    "--bbox_head.norm_cfg.momentum", "0.01", "--bbox_head.norm_cfg.eps", "0.001", "--bbox_head.loss_bbox.beta", "1",
    "--mask_head.norm_cfg.momentum", "0.01", "--mask_head.norm_cfg.eps", "0.001",
    "--roi.roi_layer.sampling_ratio", "2", "--mask_roi.roi_layer.sampling_ratio", "2",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["pynative_mode", pytest.param("graph_mode", marks=pytest.mark.slow)])
def test_losses_gradients_and_head_statistics_equal_mmdetection(request, mode):
    request.getfixturevalue(mode)
    reference = dict(np.load(DATA_FILES / "mmdet_norm_heads.npz"))
    model = build(OVERRIDES)
    model.set_train(True)
    losses, gradients = LossesAndGradients(model)(*load_train_inputs())
    assert_same_training(model, losses, gradients, reference, "train", 2e-3, 2e-3)
    assert_same_statistics(model, reference, "after/")
