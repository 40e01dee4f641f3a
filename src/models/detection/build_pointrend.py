"""PointRend of a configuration: the two-stage detector whose mask head renders points."""

import numpy as np

from ...config import Config
from ...errors import UserError
from ...ops.mask_crop import MaskCrop
from ..build_helpers import require_equal
from ..necks.build import Width
from .build_two_stage import build_two_stage
from .mask_rcnn import MaskRCNN
from .point_head import CoarseLayers, CoarseMaskHead, PointHead
from .pointrend import PointRendLossWeights, PointRendMaskHead, PointSettings
from .points import MaskCropByPoints


def build_pointrend(cfg: Config) -> MaskRCNN:
    """UserError names the keys that do not fit one another."""
    model = build_two_stage(cfg, _pointrend_mask_head)
    if cfg.mask_head.weight_init == "Normal":
        model.mask_head.draw_normal(np.random.RandomState(cfg.seed % 2**32))
    return model


def _pointrend_mask_head(cfg: Config, num_classes: int, width: Width) -> PointRendMaskHead:
    head, point_head, train, test = cfg.mask_head, cfg.point_head, cfg.train_cfg.rcnn, cfg.test_cfg.rcnn
    grid_size = cfg.mask_roi.roi_layer.out_size
    stride = cfg.rpn.anchor_generator.strides[0]
    require_equal("mask_head.in_channels", head.in_channels, width.key, width.channels)
    require_equal("point_head.in_channels", point_head.in_channels, width.key, width.channels)
    require_equal("mask_roi.out_channels", cfg.mask_roi.out_channels, width.key, width.channels)
    require_equal("mask_roi.roi_layer.type", cfg.mask_roi.roi_layer.type, "pointrend's", "SimpleRoIAlign")
    require_equal("mask_roi.featmap_strides", list(cfg.mask_roi.featmap_strides), "the finest level", [stride])
    if head.norm_cfg is not None:
        raise UserError("mask_head.norm_cfg is set, but pointrend's coarse mask head has no normalisation")
    if head.conv_out_channels > head.in_channels:
        raise UserError(
            f"mask_head.conv_out_channels is {head.conv_out_channels}, more than mask_head.in_channels "
            f"{head.in_channels}: pointrend's coarse mask head only reduces"
        )
    if grid_size % 2:
        raise UserError(f"mask_roi.roi_layer.out_size is {grid_size}; pointrend needs an even number")
    is_legacy = cfg.box_style == "legacy"
    channels = num_classes + int(head.background_class)
    return PointRendMaskHead(
        CoarseMaskHead(
            head.in_channels,
            grid_size,
            channels,
            train.mask_size,
            CoarseLayers(head.conv_out_channels, head.num_fcs, head.fc_out_channels),
        ),
        PointHead(
            point_head.in_channels,
            point_head.num_fcs,
            point_head.fc_channels,
            channels,
            point_head.coarse_pred_each_layer,
        ),
        MaskCropByPoints(train.mask_size) if is_legacy else MaskCrop(train.mask_size, cfg.portable),
        stride,
        PointSettings(
            train.num_points,
            train.oversample_ratio,
            train.importance_sample_ratio,
            test.subdivision_steps,
            test.subdivision_num_points,
            test.subdivision_resize,
        ),
        PointRendLossWeights(head.loss_mask.loss_weight, point_head.loss_point.loss_weight),
        cfg.portable,
    )
