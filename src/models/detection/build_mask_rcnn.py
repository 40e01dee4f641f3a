"""Mask R-CNN of a configuration: the two-stage detector with the fully convolutional mask head."""

from ...config import Config
from ...ops.mask_crop import MaskCrop
from ..build_helpers import norm_settings, require_equal
from ..necks.build import Width
from .build_two_stage import build_roi_align, build_two_stage
from .mask_head import FCNMaskHead, MaskLayers
from .mask_rcnn import MaskRCNN


def build_mask_rcnn(cfg: Config) -> MaskRCNN:
    """UserError names the keys that do not fit one another."""
    return build_two_stage(cfg, build_fcn_mask_head)


def build_fcn_mask_head(cfg: Config, num_classes: int, width: Width) -> FCNMaskHead:
    """The head of the section mask_head; its arguments are those of every `MaskHeadBuilder`."""
    head = cfg.mask_head
    require_equal("mask_head.in_channels", head.in_channels, width.key, width.channels)
    mask_size = cfg.train_cfg.rcnn.mask_size
    require_equal(
        "train_cfg.rcnn.mask_size", mask_size, "2 x mask_roi.roi_layer.out_size", 2 * cfg.mask_roi.roi_layer.out_size
    )
    return FCNMaskHead(
        build_roi_align(cfg, "mask_roi", width),
        MaskCrop(mask_size, cfg.portable),
        head.in_channels,
        num_classes,
        MaskLayers(head.num_convs, head.conv_out_channels, norm_settings(head.norm_cfg)),
        head.loss_mask.loss_weight,
    )
