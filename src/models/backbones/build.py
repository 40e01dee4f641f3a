"""The backbone that a configuration names: where the keys of `backbone` meet constructor arguments."""

from dataclasses import fields, replace

from mindspore import nn

from ...config import Config
from ...errors import UserError
from ..build_helpers import choose, norm_settings
from .hrnet import NEAREST, Fusion, HRNet, StageSettings
from .resnet import DEPTHS, ResNet
from .spinenet import ARCHITECTURES, SpineNet


def build_backbone(cfg: Config) -> nn.Cell:
    """The backbone that `cfg.backbone.type` names.

    It has `out_channels` and `strides`, one entry a feature map, `feature_shapes(image_size)` and `size_divisor`, of
    which the image's sides must be multiples.
    """
    backbone = choose(BACKBONES, cfg.backbone.type, "backbone.type")(cfg.backbone)
    for key in ("img_width", "img_height"):
        if getattr(cfg, key) % backbone.size_divisor:
            raise UserError(
                f"{key} is {getattr(cfg, key)}; backbone.type {cfg.backbone.type} needs a multiple of "
                f"{backbone.size_divisor}"
            )
    return backbone


def build_hrnet(backbone, fusion: Fusion = NEAREST) -> HRNet:
    """HRNet of the configuration's `backbone` section; `fusion` as there."""
    extra = backbone.extra
    stages = []
    for name in ("stage1", "stage2", "stage3", "stage4"):
        stage = getattr(extra, name)
        if not len(stage.num_blocks) == len(stage.num_channels) == stage.num_branches:
            raise UserError(
                f"backbone.extra.{name}: num_branches {stage.num_branches}, num_blocks {list(stage.num_blocks)} and "
                f"num_channels {list(stage.num_channels)} must name the same number of branches"
            )
        stages.append(StageSettings(stage.num_modules, stage.block, tuple(stage.num_blocks), tuple(stage.num_channels)))
    norm = norm_settings(backbone.norm_cfg, frozen=backbone.norm_eval)
    return HRNet(
        stages,
        norm=norm,
        frozen_stages=backbone.frozen_stages,
        fusion=fusion,
        conv_padding=backbone.conv_padding,
    )


def _resnet(backbone) -> ResNet:
    if backbone.depth not in DEPTHS:
        raise UserError(f"backbone.depth: there is no ResNet-{backbone.depth}; choose one of {sorted(DEPTHS)}")
    norm = norm_settings(backbone.norm_cfg, frozen=backbone.norm_eval)
    return ResNet(
        backbone.depth,
        norm,
        backbone.frozen_stages,
        backbone.style,
        backbone.base_channels,
        backbone.pool_padding,
        backbone.conv_padding,
    )


def _spinenet(backbone) -> SpineNet:
    scaling = choose(ARCHITECTURES, backbone.arch, "backbone.arch")
    changed = {item.name: value for item in fields(scaling) if (value := getattr(backbone.scaling, item.name))}
    norm = norm_settings(backbone.norm_cfg, frozen=backbone.norm_eval)
    return SpineNet(replace(scaling, **changed), norm, backbone.frozen_stages)


BACKBONES = {
    "hrnet": build_hrnet,
    "resnet": _resnet,
    "spinenet": _spinenet,
}
