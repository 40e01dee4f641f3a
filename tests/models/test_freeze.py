"""Parts that do not learn (`frozen_parts`)."""

from pathlib import Path

import pytest
from mindspore import nn

from src.config import load_config
from src.engine.setup import prepare_model
from src.errors import UserError
from src.models.detection.roi_conv import RoIConv
from src.process.runtime import SINGLE
from src.tasks import build_model

DEMOS = Path(__file__).parents[2] / "configs" / "demo"
TINY, RENDERED = (str(DEMOS / name) for name in ("mask_rcnn_hrnet_tiny.yaml", "pointrend_hrnet_shapes.yaml"))
ALL_BUT_MASKS = "[backbone, neck, rpn_head, bbox_head]"


def frozen(parts: str, path: str = TINY, *more: str):
    """The network of a configuration, as training has it."""
    cfg = load_config(path, ["--frozen_parts", parts, "--device_target", "CPU", *more])
    model = build_model(cfg)
    prepare_model(cfg, model, SINGLE)
    return model


def learning(model) -> set[str]:
    return {parameter.name for parameter in model.trainable_params()}


def test_pointrend_learns_its_two_mask_heads_alone_and_their_losses_are_the_loss(graph_mode):
    model = frozen(ALL_BUT_MASKS, RENDERED, "--mask_head.conv_out_channels", "48")  # no reduction, as at full size
    names = learning(model)
    assert len(names) == 16 and {".".join(name.split(".")[:2]) for name in names} == {
        "mask_head.coarse_head", "mask_head.point_head",
    }  # fmt: skip
    assert model.loss_names == ("loss_mask", "loss_mask_point")


def test_statistics_of_frozen_parts_stay_and_those_of_others_move(graph_mode):
    model = frozen("[backbone.stage2, mask_head]", TINY, "--mask_head.norm_cfg.type", "BN")
    norms = {cell.gamma.name: cell for _, cell in model.cells_and_names() if isinstance(cell, nn.BatchNorm2d)}
    inside = {name: norm.use_batch_statistics for name, norm in norms.items() if name.startswith("backbone.stage2.")}
    assert inside and set(inside.values()) == {False}
    assert norms["backbone.bn1.gamma"].use_batch_statistics is None
    convs = [cell for _, cell in model.mask_head.cells_and_names() if isinstance(cell, RoIConv)]
    assert convs and all(conv.is_frozen for conv in convs)


@pytest.mark.parametrize(
    ("parts", "losses"),
    [
        ("[rpn_head]", "rpn rpn bbox bbox mask"),  # its losses move backbone and neck
        ("[backbone, neck, rpn_head]", "bbox bbox mask"),
        ("[backbone, neck, mask_head]", "rpn rpn bbox bbox"),
        ("[backbone, neck, mask_head, bbox_head.shared_fcs, bbox_head.fc_cls, bbox_head.fc_reg]", "rpn rpn"),
        ("[backbone, neck, rpn_head] faster_rcnn", "bbox bbox"),
    ],
)
def test_losses_that_would_move_nothing_are_left_out(graph_mode, parts, losses):
    parts, _, detector = parts.partition("] ")
    model = frozen(f"{parts.rstrip(']')}]", TINY, "--detector", detector or "mask_rcnn")
    kinds = {"cls": "bbox", "bbox": "bbox"}
    found = [name.split("_")[1] for name in model.loss_names]
    assert [kinds.get(kind, kind) for kind in found] == losses.split()


def test_a_part_is_whole_words_of_a_name(graph_mode):
    with pytest.raises(UserError, match="no parameter's name begins with 'backbone.layer'; parts are backbone, bbox"):
        frozen("[backbone.layer]")
    names = learning(frozen("[backbone.layer1.0.conv1]"))
    assert "backbone.layer1.0.conv1.weight" not in names and "backbone.layer1.0.conv2.weight" in names


def test_a_network_of_which_nothing_learns_is_one_line(graph_mode):
    with pytest.raises(UserError, match="nothing is left that learns"):
        frozen("[backbone, neck, rpn_head, bbox_head, mask_head]")


@pytest.mark.parametrize("name", ["hrnet_cls_shapes", "hrnet_seg_lip_shapes"])
def test_networks_of_every_task_have_frozen_parts(graph_mode, name):
    model = frozen("[backbone]", str(DEMOS / f"{name}.yaml"))
    assert learning(model) and not any(name.startswith("backbone.") for name in learning(model))
    norms = [cell for _, cell in model.backbone.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    assert norms and all(norm.use_batch_statistics is False for norm in norms)
