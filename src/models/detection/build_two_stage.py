"""The two-stage detector of a configuration, around the mask head that its caller wires, if any."""

from collections.abc import Callable, Sequence

from mindspore import nn

from ...config import Config
from ...ops.roi_align import RoIAlign
from ..backbones.build import build_backbone
from ..build_helpers import norm_settings, require_equal
from ..losses import BoxLossSettings
from ..necks.build import Width, build_neck
from .anchors import AnchorSet
from .assign import MaxIoUAssigner
from .bbox_head import BBoxHead, BBoxLayers, DetectionSelector, SelectionSettings
from .boxes import BoxStyle, DeltaBoxCoder
from .mask_rcnn import BoxStage, MaskRCNN, ProposalStage, RoITraining
from .proposals import ProposalGenerator, ProposalSettings
from .rpn_head import RPNHead, RPNTraining
from .sample import BalancedSampler

RPN_STREAM, RCNN_STREAM = 1, 2  # keep the two samplers' random numbers apart


def build_two_stage(cfg: Config, mask_head: Callable[[Config, int, Width], nn.Cell] | None) -> MaskRCNN:
    """mask_head(cfg, number of classes without the background, width of the pyramid): the head, see `MaskRCNN`, or
    None.

    UserError names the keys that do not fit one another.
    """
    backbone = build_backbone(cfg)
    neck, width = build_neck(cfg, backbone)
    num_classes = cfg.num_classes - 1  # the configuration counts the background
    style = box_style(cfg)
    box_coder = cfg.bbox_head.bbox_coder
    coder = DeltaBoxCoder(box_coder.target_means, box_coder.target_stds, style.inclusive)
    level_shapes = neck.level_shapes(backbone.feature_shapes((cfg.img_height, cfg.img_width)))
    rpn_head = _rpn_head(cfg, level_shapes, width, style)
    rcnn, test = cfg.train_cfg.rcnn, cfg.test_cfg.rcnn
    selection = SelectionSettings(test.score_thr, test.iou_threshold, test.max_per_img, _nms_rule(cfg))
    class_agnostic = cfg.bbox_head.reg_class_agnostic
    return MaskRCNN(
        backbone,
        neck,
        ProposalStage(
            rpn_head,
            train_proposals=_proposals(rpn_head, cfg.train_cfg.rpn_proposal, cfg.portable, style),
            test_proposals=_proposals(rpn_head, cfg.test_cfg.rpn, cfg.portable, style),
        ),
        RoITraining(
            _assigner(rcnn.assigner, cfg.portable, style),
            _sampler(rcnn.sampler, RCNN_STREAM, cfg.portable),
            rcnn.sampler.add_gt_as_proposals,
            rcnn.train_on_pred_boxes,
        ),
        BoxStage(
            build_roi_align(cfg, "roi", width),
            _bbox_head(cfg, coder, num_classes, width),
            DetectionSelector(coder, num_classes, selection, class_agnostic, cfg.portable, style),
            _has_likeliest_masks(cfg),
        ),
        mask_head and mask_head(cfg, num_classes, width),
    )


def box_style(cfg: Config) -> BoxStyle:
    """What the key box_style names."""
    return BoxStyle(True, (cfg.img_height, cfg.img_width)) if cfg.box_style == "legacy" else BoxStyle()


def _nms_rule(cfg: Config) -> str:
    if cfg.test_cfg.rcnn.inclusive_nms:
        return "inclusive"
    return "exact" if cfg.box_style == "legacy" else "moved"


def build_roi_align(cfg: Config, key: str, width: Width) -> RoIAlign:
    """The RoI pooling of the section `key`: roi or mask_roi."""
    roi = getattr(cfg, key)
    layer, finest = roi.roi_layer, cfg.rpn.anchor_generator.strides[: len(roi.featmap_strides)]
    require_equal(f"{key}.out_channels", roi.out_channels, width.key, width.channels)
    require_equal(f"{key}.roi_layer.type", layer.type, "mask_rcnn's", "RoIAlign")
    require_equal(f"{key}.featmap_strides", list(roi.featmap_strides), "rpn.anchor_generator.strides", list(finest))
    return RoIAlign(
        layer.out_size,
        tuple(roi.featmap_strides),
        roi.finest_scale,
        layer.sampling_ratio,
        layer.aligned,
        cfg.portable,
        box_style(cfg).inclusive,
    )


def _rpn_head(cfg: Config, level_shapes: Sequence[tuple[int, int]], width: Width, style: BoxStyle) -> RPNHead:
    rpn, train = cfg.rpn, cfg.train_cfg.rpn
    require_equal("rpn.in_channels", rpn.in_channels, width.key, width.channels)
    generator = rpn.anchor_generator
    anchors = AnchorSet(level_shapes, generator.strides, generator.scales, generator.ratios, style.inclusive)
    return RPNHead(
        rpn.in_channels,
        rpn.feat_channels,
        anchors,
        DeltaBoxCoder(rpn.bbox_coder.target_means, rpn.bbox_coder.target_stds, style.inclusive),
        RPNTraining(
            _assigner(train.assigner, cfg.portable, style),
            _sampler(train.sampler, RPN_STREAM, cfg.portable),
            cfg.divider,
            train.allowed_border,
            style.canvas,
        ),
        _box_loss(rpn),
    )


def _bbox_head(cfg: Config, coder: DeltaBoxCoder, num_classes: int, width: Width) -> BBoxHead:
    head = cfg.bbox_head
    require_equal("bbox_head.in_channels", head.in_channels, width.key, width.channels)
    require_equal("bbox_head.roi_feat_size", head.roi_feat_size, "roi.roi_layer.out_size", cfg.roi.roi_layer.out_size)
    return BBoxHead(
        head.in_channels,
        head.roi_feat_size,
        num_classes,
        coder,
        BBoxLayers(
            head.num_shared_convs,
            head.conv_out_channels,
            head.num_shared_fcs,
            head.fc_out_channels,
            norm_settings(head.norm_cfg),
        ),
        head.reg_class_agnostic,
        _box_loss(head),
        background_box=_has_likeliest_masks(cfg),
    )


def _has_likeliest_masks(cfg: Config) -> bool:
    return cfg.mask_head.boxes == "likeliest"


def _proposals(rpn_head: RPNHead, settings, portable: bool, style: BoxStyle) -> ProposalGenerator:
    settings = ProposalSettings(settings.nms_pre, settings.max_per_img, settings.iou_threshold, settings.min_bbox_size)
    return ProposalGenerator(rpn_head.level_sizes, rpn_head.coder, settings, portable, style)


def _box_loss(section) -> BoxLossSettings:
    return BoxLossSettings(section.loss_cls.loss_weight, section.loss_bbox.loss_weight, section.loss_bbox.beta)


def _assigner(settings, portable: bool, style: BoxStyle) -> MaxIoUAssigner:
    return MaxIoUAssigner(
        settings.pos_iou_thr,
        settings.neg_iou_thr,
        settings.min_pos_iou,
        settings.match_low_quality,
        settings.ignore_iof_thr,
        portable,
        style.inclusive,
    )


def _sampler(settings, stream: int, portable: bool) -> BalancedSampler:
    return BalancedSampler(
        settings.num, settings.pos_fraction, settings.neg_pos_ub, settings.order, stream, portable
    )
