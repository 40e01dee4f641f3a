"""Where configuration keys meet constructor arguments: `build_model(config)` and plain dicts of constructors."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from mindspore import nn

from ..config import Config
from ..errors import UserError
from ..ops.mask_crop import MaskCrop
from ..ops.roi_align import RoIAlign
from .backbones.hrnet import HRNet, StageSettings
from .backbones.resnet import DEPTHS, ResNet
from .backbones.spinenet import ARCHITECTURES, SpineNet
from .classification import HRNetClassifier, truncated_normal_convolutions
from .detection.anchors import AnchorSet
from .detection.assign import MaxIoUAssigner
from .detection.bbox_head import BBoxHead, DetectionSelector
from .detection.boxes import DeltaBoxCoder
from .detection.mask_head import FCNMaskHead
from .detection.mask_rcnn import MaskRCNN
from .detection.point_head import CoarseMaskHead, PointHead
from .detection.pointrend import PointRendMaskHead, PointSettings
from .detection.proposals import ProposalGenerator
from .detection.rpn_head import RPNHead
from .detection.sample import BalancedSampler
from .layers import NormSettings
from .losses import OhemCrossEntropy, PixelCrossEntropy
from .necks.fpn import FPN, NoNeck
from .necks.hrfpn import HRFPN
from .segmentation import HRNetSegmenter

RPN_STREAM, RCNN_STREAM = 1, 2  # keep the two samplers' random numbers apart


def build_model(cfg: Config) -> nn.Cell:
    """The network that `cfg.task` and `cfg.detector` name, freshly initialised; UserError for an unknown name."""
    if cfg.task == "classification":
        return _classifier(cfg)
    if cfg.task == "segmentation":
        return _segmenter(cfg)
    return _choose(DETECTORS, cfg.detector, "detector")(cfg)


def build_backbone(cfg: Config) -> nn.Cell:
    """The backbone that `cfg.backbone.type` names.

    It has `out_channels` and `strides`, one entry a feature map, `feature_shapes(image_size)` and `size_divisor`, of
    which the image's sides must be multiples.
    """
    backbone = _choose(BACKBONES, cfg.backbone.type, "backbone.type")(cfg.backbone)
    for key in ("img_width", "img_height"):
        if getattr(cfg, key) % backbone.size_divisor:
            raise UserError(
                f"{key} is {getattr(cfg, key)}; backbone.type {cfg.backbone.type} needs a multiple of "
                f"{backbone.size_divisor}"
            )
    return backbone


class Width(NamedTuple):
    """Channels of the pyramid, and the key that sets them (for messages)."""

    channels: int
    key: str


def build_neck(cfg: Config, backbone: nn.Cell) -> tuple[nn.Cell, Width]:
    """The neck that `cfg.neck.type` (by default the backbone's usual one) names, and the width of its pyramid."""
    name = cfg.neck.type or DEFAULT_NECKS.get(cfg.backbone.type, "fpn")
    neck = _choose(NECKS, name, "neck.type")(cfg, backbone)
    key = "neck.fpn.out_channels" if name != "none" else f"the width of backbone.type {cfg.backbone.type}"
    strides = tuple(cfg.rpn.anchor_generator.strides)
    wanted = tuple(backbone.strides[0] * 2**level for level in range(neck.num_outs))
    if strides != wanted:
        raise UserError(
            f"rpn.anchor_generator.strides {list(strides)} do not fit the pyramid of backbone.type "
            f"{cfg.backbone.type} with {neck.num_outs} levels, whose strides are {list(wanted)}"
        )
    return neck, Width(neck.out_channels, key)


def _hrnet(backbone, upsampling: str = "nearest") -> HRNet:
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
    norm = _norm(backbone.norm_cfg, frozen=backbone.norm_eval)
    return HRNet(stages, norm=norm, frozen_stages=backbone.frozen_stages, upsampling=upsampling)


def _resnet(backbone) -> ResNet:
    if backbone.depth not in DEPTHS:
        raise UserError(f"backbone.depth: there is no ResNet-{backbone.depth}; choose one of {sorted(DEPTHS)}")
    norm = _norm(backbone.norm_cfg, frozen=backbone.norm_eval)
    return ResNet(backbone.depth, norm, backbone.frozen_stages, backbone.style, backbone.base_channels)


def _spinenet(backbone) -> SpineNet:
    scaling = _choose(ARCHITECTURES, backbone.arch, "backbone.arch")
    changed = {item.name: value for item in fields(scaling) if (value := getattr(backbone.scaling, item.name))}
    norm = _norm(backbone.norm_cfg, frozen=backbone.norm_eval)
    return SpineNet(replace(scaling, **changed), norm, backbone.frozen_stages)


def _fpn_sizes(cfg: Config, backbone: nn.Cell) -> tuple[list[int], int, int]:
    """in_channels, out_channels, num_outs of a neck that takes the backbone's maps."""
    fpn = cfg.neck.fpn
    if tuple(fpn.in_channels) != tuple(backbone.out_channels):
        raise UserError(
            f"neck.fpn.in_channels {list(fpn.in_channels)} does not fit backbone.type {cfg.backbone.type}, "
            f"whose outputs have {list(backbone.out_channels)} channels"
        )
    return fpn.in_channels, fpn.out_channels, fpn.num_outs


def _hrfpn(cfg: Config, backbone: nn.Cell) -> HRFPN:
    return HRFPN(*_fpn_sizes(cfg, backbone))


def _fpn(cfg: Config, backbone: nn.Cell) -> FPN:
    sizes = _fpn_sizes(cfg, backbone)
    if cfg.neck.fpn.num_outs < len(backbone.out_channels):
        raise UserError(
            f"neck.fpn.num_outs is {cfg.neck.fpn.num_outs}, less than the {len(backbone.out_channels)} maps it gets"
        )
    return FPN(*sizes)


def _no_neck(cfg: Config, backbone: nn.Cell) -> NoNeck:
    """neck.fpn is not looked at."""
    if len(set(backbone.out_channels)) != 1:
        raise UserError(
            f"neck.type none needs maps of one width; those of backbone.type {cfg.backbone.type} have "
            f"{list(backbone.out_channels)} channels"
        )
    return NoNeck(backbone.out_channels[0], len(backbone.out_channels))


def _classifier(cfg: Config) -> HRNetClassifier:
    backbone = build_backbone(cfg)
    head = cfg.cls_head
    if len(head.head_channels) != len(backbone.out_channels):
        raise UserError(
            f"cls_head.head_channels {list(head.head_channels)} must name one width for each of the "
            f"{len(backbone.out_channels)} outputs of backbone.type {cfg.backbone.type}"
        )
    norm = _norm(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    model = HRNetClassifier(
        backbone, cfg.num_classes, head.head_channels, head.final_channels, norm, cfg.label_smoothing
    )
    if head.conv_init == "TruncatedNormal":
        truncated_normal_convolutions(model, np.random.RandomState(cfg.seed % 2**32))
    return model


def _segmenter(cfg: Config) -> HRNetSegmenter:
    is_hrnet = cfg.backbone.type == "hrnet"
    backbone = _hrnet(cfg.backbone, upsampling="bilinear") if is_hrnet else build_backbone(cfg)
    loss = PixelCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights))
    if cfg.ohem:
        loss = OhemCrossEntropy(cfg.ignore_label, tuple(cfg.class_weights), cfg.ohem_threshold, cfg.ohem_min_kept)
    norm = _norm(cfg.backbone.norm_cfg, frozen=cfg.backbone.norm_eval)
    return HRNetSegmenter(backbone, cfg.num_classes, loss, norm, cfg.seg_head.final_conv_kernel)


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


def _norm(settings, frozen: bool = False) -> NormSettings | None:
    if settings is None:
        return None
    return NormSettings(settings.momentum, settings.eps, frozen, settings.requires_grad)


def _choose(constructors: dict[str, Callable], name: str, key: str) -> Callable:
    if name not in constructors:
        raise UserError(f"{key}: '{name}' is not known; choose one of {', '.join(sorted(constructors))}")
    return constructors[name]


def _require_equal(key: str, value, other_key: str, other) -> None:
    if value != other:
        raise UserError(f"{key} is {value}, but {other_key} is {other}: they must be equal")


DETECTORS = {
    "mask_rcnn": partial(_two_stage, mask_head=_fcn_mask_head),
    "pointrend": partial(_two_stage, mask_head=_pointrend_mask_head),
}
BACKBONES = {"hrnet": _hrnet, "resnet": _resnet, "spinenet": _spinenet}
NECKS = {"hrfpn": _hrfpn, "fpn": _fpn, "none": _no_neck}
DEFAULT_NECKS = {"hrnet": "hrfpn", "spinenet": "none"}  # fpn for the others
