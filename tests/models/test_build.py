from pathlib import Path

import numpy as np
import pytest
from mindspore import nn

from src.config import choices, load_config
from src.config.backbone_keys import BACKBONE_KEYS
from src.errors import UserError
from src.models.build import BACKBONES, DETECTORS, NECKS
from src.tasks import build_model
from tests.models.full_size import count_of, shapes_of

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = str(CONFIGS / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.mark.parametrize(
    "config,count",
    [
        ("mask_rcnn_hrnetv2p_w18_1x_coco", 30125956), ("mask_rcnn_hrnetv2p_w32_1x_coco", 49922992),
        ("mask_rcnn_hrnetv2p_w40_1x_coco", 66169392), ("mask_rcnn_r50_fpn_1x_coco", 44396336),
        ("mask_rcnn_r101_fpn_1x_coco", 63388464), ("mask_rcnn_r50_caffe_fpn_1x_coco", 44396336),
        ("faster_rcnn_hrnetv2p_w18_1x_coco", 27482676), ("faster_rcnn_hrnetv2p_w32_1x_coco", 47279712),
        ("faster_rcnn_hrnetv2p_w40_1x_coco", 63526112), ("faster_rcnn_r50_fpn_1x_coco", 41753056),
        ("cascade_rcnn_hrnetv2p_w32_20e_coco", 74921422), ("cascade_mask_rcnn_hrnetv2p_w18_20e_coco", 63054226),
        ("cascade_mask_rcnn_hrnetv2p_w32_20e_coco", 82851262),
    ],
)  # fmt: skip
def test_full_size_models_have_mmdetections_number_of_parameters(graph_mode, config, count):
    assert count_of(shapes_of(f"{config}.yaml")) == count


@pytest.mark.parametrize(
    "key,value,named",
    [
        ("neck.fpn.in_channels", "[4,8,16,33]", "neck.fpn.in_channels"),
        ("rpn.in_channels", "16", "rpn.in_channels is 16, but neck.fpn.out_channels is 32"),
        ("rpn.anchor_generator.strides", "[4,8]", "rpn.anchor_generator.strides"),
        ("bbox_head.in_channels", "16", "bbox_head.in_channels"),
        ("bbox_head.roi_feat_size", "8", "bbox_head.roi_feat_size is 8, but roi.roi_layer.out_size is 7"),
        ("mask_head.in_channels", "16", "mask_head.in_channels"),
        ("mask_roi.out_channels", "16", "mask_roi.out_channels"),
        ("train_cfg.rcnn.mask_size", "14", "train_cfg.rcnn.mask_size"),
        ("backbone.type", "vgg", "backbone.type: 'vgg' is not known; choose one of hrnet, resnet, spinenet"),
        ("backbone.type", "resnet", "does not fit backbone.type resnet, whose outputs have [256, 512, 1024, 2048]"),
        ("neck.type", "none", "neck.type none needs maps of one width"),
        ("mask_roi.featmap_strides", "[8]", "mask_roi.featmap_strides is [8]"),
        ("mask_roi.roi_layer.type", "SimpleRoIAlign", "mask_roi.roi_layer.type"),
    ],
)
def test_parts_that_do_not_fit_are_an_error_that_names_the_keys(graph_mode, key, value, named):
    with pytest.raises(UserError) as error:
        build_model(load_config(TINY, [f"--{key}", value]))
    assert named in str(error.value)


def test_what_can_be_built_is_what_a_configuration_may_name():
    assert set(BACKBONES) == set(BACKBONE_KEYS)
    assert set(DETECTORS) == set(choices.DETECTORS)
    assert {"", *NECKS} == set(choices.NECKS)


def test_frozen_stages_do_not_learn(graph_mode):
    model = build_model(load_config(TINY, ["--backbone.frozen_stages", "1"]))
    learning = {parameter.name for parameter in model.trainable_params()}
    assert not any(name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1")) for name in learning)
    assert any(name.startswith("backbone.stage2") for name in learning)
    norms = {name: cell for name, cell in model.backbone.cells_and_names() if isinstance(cell, nn.BatchNorm2d)}
    assert norms["bn1"].use_batch_statistics is False
    assert {cell.use_batch_statistics for name, cell in norms.items() if name.startswith("stage2")} == {None}


def test_the_published_spinenet_file_builds_unchanged(graph_mode, data_files):
    model = build_model(load_config(str(data_files / "seed_spinenet.yaml"), ["--device_target", "CPU"]))
    assert sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params()) == 40688176
    assert model.rpn_head.anchor_set.num_base == 3
