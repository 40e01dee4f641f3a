"""The detector that a configuration names: where its keys meet constructor arguments."""

from collections.abc import Callable, Sequence
from functools import partial

from ...config import Config
from ...errors import UserError
from ...ops.mask_crop import MaskCrop
from ...ops.roi_align import RoIAlign
from ..backbones.build import build_backbone
from ..build_helpers import _norm, _require_equal
from ..necks.build import Width, build_neck
from .anchors import AnchorSet
from .assign import MaxIoUAssigner
from .bbox_head import BBoxHead, DetectionSelector
from .boxes import DeltaBoxCoder
from .mask_head import FCNMaskHead
from .mask_rcnn import MaskRCNN
from .point_head import CoarseMaskHead, PointHead
from .pointrend import PointRendMaskHead, PointSettings
from .proposals import ProposalGenerator
from .rpn_head import RPNHead
from .sample import BalancedSampler

RPN_STREAM, RCNN_STREAM = 1, 2  # keep the two samplers' random numbers apart


def _two_stage(cfg: Config, mask_head: Callable) -> MaskRCNN:
    backbone = build_backbone(cfg)
    neck, width = build_neck(cfg, backbone)
    num_classes = cfg.num_classes - 1  # the configuration counts the background
    coder = DeltaBoxCoder(cfg.bbox_head.bbox_coder.target_means, cfg.bbox_head.bbox_coder.target_stds)
    level_shapes = neck.level_shapes(backbone.feature_shapes((cfg.img_height, cfg.img_width)))
    rpn_head = _rpn_head(cfg, level_shapes, width)
    rcnn = cfg.train_cfg.rcnn
    test = cfg.test_cfg.rcnn
    return MaskRCNN(
        backbone=backbone,
        neck=neck,
        rpn_head=rpn_head,
        train_proposals=_proposals(rpn_head, cfg.train_cfg.rpn_proposal, cfg.portable),
        test_proposals=_proposals(rpn_head, cfg.test_cfg.rpn, cfg.portable),
        rcnn_assigner=_assigner(rcnn.assigner),
        rcnn_sampler=_sampler(rcnn.sampler, RCNN_STREAM),
        add_gt_as_proposals=rcnn.sampler.add_gt_as_proposals,
        bbox_roi=_roi_align(cfg, "roi", width),
        bbox_head=_bbox_head(cfg, coder, num_classes, width),
        selector=DetectionSelector(
            coder,
            num_classes,
            score_threshold=test.score_thr,
            iou_threshold=test.iou_threshold,
            max_per_img=test.max_per_img,
            class_agnostic=cfg.bbox_head.reg_class_agnostic,
            portable=cfg.portable,
        ),
        mask_head=mask_head(cfg, num_classes, width),
        train_on_pred_boxes=rcnn.train_on_pred_boxes,
    )


def _rpn_head(cfg: Config, level_shapes: Sequence[tuple[int, int]], width: Width) -> RPNHead:
    rpn, train = cfg.rpn, cfg.train_cfg.rpn
    _require_equal("rpn.in_channels", rpn.in_channels, width.key, width.channels)
    generator = rpn.anchor_generator
    anchors = AnchorSet(level_shapes, generator.strides, generator.scales, generator.ratios)
    return RPNHead(
        rpn.in_channels,
        rpn.feat_channels,
        anchors,
        DeltaBoxCoder(rpn.bbox_coder.target_means, rpn.bbox_coder.target_stds),
        _assigner(train.assigner),
        _sampler(train.sampler, RPN_STREAM),
        size_divisor=cfg.divider,
        allowed_border=train.allowed_border,
        cls_weight=rpn.loss_cls.loss_weight,
        box_weight=rpn.loss_bbox.loss_weight,
        beta=rpn.loss_bbox.beta,
    )


def _bbox_head(cfg: Config, coder: DeltaBoxCoder, num_classes: int, width: Width) -> BBoxHead:
    head = cfg.bbox_head
    _require_equal("bbox_head.in_channels", head.in_channels, width.key, width.channels)
    _require_equal("bbox_head.roi_feat_size", head.roi_feat_size, "roi.roi_layer.out_size", cfg.roi.roi_layer.out_size)
    return BBoxHead(
        head.in_channels,
        head.roi_feat_size,
        num_classes,
        coder,
        num_shared_convs=head.num_shared_convs,
        conv_channels=head.conv_out_channels,
        num_shared_fcs=head.num_shared_fcs,
        fc_channels=head.fc_out_channels,
        norm=_norm(head.norm_cfg),
        class_agnostic=head.reg_class_agnostic,
        cls_weight=head.loss_cls.loss_weight,
        box_weight=head.loss_bbox.loss_weight,
        beta=head.loss_bbox.beta,
    )


def _fcn_mask_head(cfg: Config, num_classes: int, width: Width) -> FCNMaskHead:
    head = cfg.mask_head
    _require_equal("mask_head.in_channels", head.in_channels, width.key, width.channels)
    mask_size = cfg.train_cfg.rcnn.mask_size
    _require_equal(
        "train_cfg.rcnn.mask_size", mask_size, "2 x mask_roi.roi_layer.out_size", 2 * cfg.mask_roi.roi_layer.out_size
    )
    return FCNMaskHead(
        _roi_align(cfg, "mask_roi", width),
        MaskCrop(mask_size, cfg.portable),
        head.in_channels,
        head.conv_out_channels,
        num_classes,
        num_convs=head.num_convs,
        norm=_norm(head.norm_cfg),
        loss_weight=head.loss_mask.loss_weight,
    )


def _pointrend_mask_head(cfg: Config, num_classes: int, width: Width) -> PointRendMaskHead:
    head, point_head, train, test = cfg.mask_head, cfg.point_head, cfg.train_cfg.rcnn, cfg.test_cfg.rcnn
    grid_size = cfg.mask_roi.roi_layer.out_size
    stride = cfg.rpn.anchor_generator.strides[0]
    _require_equal("mask_head.in_channels", head.in_channels, width.key, width.channels)
    _require_equal("point_head.in_channels", point_head.in_channels, width.key, width.channels)
    _require_equal("mask_roi.out_channels", cfg.mask_roi.out_channels, width.key, width.channels)
    _require_equal("mask_roi.roi_layer.type", cfg.mask_roi.roi_layer.type, "pointrend's", "SimpleRoIAlign")
    _require_equal("mask_roi.featmap_strides", list(cfg.mask_roi.featmap_strides), "the finest level", [stride])
    if head.norm_cfg is not None:
        raise UserError("mask_head.norm_cfg is set, but pointrend's coarse mask head has no normalisation")
    if head.conv_out_channels > head.in_channels:
        raise UserError(
            f"mask_head.conv_out_channels is {head.conv_out_channels}, more than mask_head.in_channels "
            f"{head.in_channels}: pointrend's coarse mask head only reduces"
        )
    if grid_size % 2:
        raise UserError(f"mask_roi.roi_layer.out_size is {grid_size}; pointrend needs an even number")
    return PointRendMaskHead(
        CoarseMaskHead(
            head.in_channels,
            grid_size,
            head.conv_out_channels,
            head.num_fcs,
            head.fc_out_channels,
            num_classes,
            train.mask_size,
        ),
        PointHead(
            point_head.in_channels,
            point_head.num_fcs,
            point_head.fc_channels,
            num_classes,
            point_head.coarse_pred_each_layer,
        ),
        MaskCrop(train.mask_size, cfg.portable),
        stride,
        grid_size,
        PointSettings(
            train.num_points,
            train.oversample_ratio,
            train.importance_sample_ratio,
            test.subdivision_steps,
            test.subdivision_num_points,
        ),
        coarse_weight=head.loss_mask.loss_weight,
        point_weight=point_head.loss_point.loss_weight,
        portable=cfg.portable,
    )


def _roi_align(cfg: Config, key: str, width: Width) -> RoIAlign:
    roi = getattr(cfg, key)
    layer, finest = roi.roi_layer, cfg.rpn.anchor_generator.strides[: len(roi.featmap_strides)]
    _require_equal(f"{key}.out_channels", roi.out_channels, width.key, width.channels)
    _require_equal(f"{key}.roi_layer.type", layer.type, "mask_rcnn's", "RoIAlign")
    _require_equal(f"{key}.featmap_strides", list(roi.featmap_strides), "rpn.anchor_generator.strides", list(finest))
    return RoIAlign(
        layer.out_size, tuple(roi.featmap_strides), roi.finest_scale, layer.sampling_ratio, layer.aligned, cfg.portable
    )


def _proposals(rpn_head: RPNHead, settings, portable: bool) -> ProposalGenerator:
    return ProposalGenerator(
        rpn_head.level_sizes,
        rpn_head.coder,
        settings.nms_pre,
        settings.max_per_img,
        settings.iou_threshold,
        settings.min_bbox_size,
        portable,
    )


def _assigner(settings) -> MaxIoUAssigner:
    return MaxIoUAssigner(
        settings.pos_iou_thr,
        settings.neg_iou_thr,
        settings.min_pos_iou,
        settings.match_low_quality,
        settings.ignore_iof_thr,
    )


def _sampler(settings, stream: int) -> BalancedSampler:
    return BalancedSampler(settings.num, settings.pos_fraction, settings.neg_pos_ub, settings.order, stream)

DETECTORS = {
    "mask_rcnn": partial(_two_stage, mask_head=_fcn_mask_head),
    "pointrend": partial(_two_stage, mask_head=_pointrend_mask_head),
}
