"""The two-stage detector of a configuration, around the mask head that its caller wires, if any."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mindspore import nn

from ...config import Config, evaluated_input, has_masks, least_side
from ...errors import UserError
from ...ops.roi_align import RoIAlign
from ...ops.soft_nms import Decay
from ..backbones.build import build_backbone
from ..build_helpers import norm_settings, require_equal
from ..losses import BoxLossSettings
from ..necks.build import Width, build_neck
from .anchors import AnchorSet
from .assign import MaxIoUAssigner
from .bbox_head import BBoxHead, BBoxLayers, DetectionSelector, SelectionSettings
from .boxes import BoxStyle, DeltaBoxCoder
from .mask_rcnn import BoxStage, MaskRCNN
from .proposals import ProposalGenerator, ProposalSettings
from .roi_sampler import RoISampler
from .rpn_head import RPNHead, RPNTraining
from .sample import BalancedSampler
from .two_stage import ProposalStage

RPN_STREAM, RCNN_STREAM = 1, 2  # keep the two samplers' random numbers apart


MaskHeadBuilder = Callable[[Config, int, Width], nn.Cell]


class FirstStage(NamedTuple):
    """What every two-stage detector begins with; width: of the pyramid."""

    backbone: nn.Cell
    neck: nn.Cell
    width: Width
    proposals: ProposalStage


def build_two_stage(cfg: Config, mask_head: MaskHeadBuilder | None) -> MaskRCNN:
    """mask_head(cfg, number of classes without the background, width of the pyramid): the head, see `MaskRCNN`, or
    None.

    UserError names the keys that do not fit one another.
    """
    first = build_first_stage(cfg)
    num_classes = cfg.num_classes - 1  # the configuration counts the background
    bbox_head = build_bbox_head(cfg, first.width)
    return MaskRCNN(
        first.backbone,
        first.neck,
        first.proposals,
        BoxStage(
            build_roi_align(cfg, "roi", first.width),
            build_roi_sampler(cfg),
            bbox_head,
            build_selector(cfg, bbox_head),
            _has_likeliest_masks(cfg),
            cfg.train_cfg.rcnn.train_on_pred_boxes,
        ),
        mask_head and mask_head(cfg, num_classes, first.width),
    )


def build_first_stage(cfg: Config) -> FirstStage:
    """Backbone, neck, RPN head and what becomes of its outputs."""
    backbone = build_backbone(cfg)
    neck, width = build_neck(cfg, backbone)
    style = box_style(cfg)
    level_shapes = _level_shapes(cfg, backbone, neck)
    rpn_head = _rpn_head(cfg, level_shapes, width, style)
    proposals = ProposalStage(
        rpn_head,
        train_proposals=_proposals(rpn_head, cfg.train_cfg.rpn_proposal, cfg.portable, style),
        test_proposals=_proposals(rpn_head, cfg.test_cfg.rpn, cfg.portable, style),
    )
    return FirstStage(backbone, neck, width, proposals)


def _level_shapes(cfg: Config, backbone: nn.Cell, neck: nn.Cell) -> list[tuple[int, int]]:
    """Of the training input; UserError where it, or the one in evaluation, is too small for a level."""
    own, evaluated = (cfg.img_width, cfg.img_height), evaluated_input(cfg)
    shapes = {size: neck.level_shapes(backbone.feature_shapes(size[::-1])) for size in (own, evaluated)}
    for (width, height), found in shapes.items():
        if any(0 in shape for shape in found):
            raise UserError(
                "img_width, img_height (in evaluation eval_width, eval_height, if set): an input of "
                f"{width}x{height} is too small for {len(found)} pyramid levels; a side must be at least "
                f"{least_side(cfg) or cfg.divider}"
            )
    return shapes[own]


def build_roi_sampler(cfg: Config, stream: int = RCNN_STREAM) -> RoISampler:
    """The choice of the RoIs that a box head trains on, by train_cfg.rcnn; stream: see `BalancedSampler`."""
    rcnn = cfg.train_cfg.rcnn
    assigner = _assigner(rcnn.assigner, cfg.portable, box_style(cfg))
    return RoISampler(assigner, _sampler(rcnn.sampler, stream, cfg.portable), rcnn.sampler.add_gt_as_proposals)


def build_selector(cfg: Config, bbox_head: BBoxHead) -> DetectionSelector:
    """What becomes of the head's outputs in evaluation, by test_cfg.rcnn."""
    settings, style = _selection(cfg), box_style(cfg)
    return DetectionSelector(
        bbox_head.coder, bbox_head.num_classes, settings, bbox_head.class_agnostic, cfg.portable, style
    )


def build_bbox_head(cfg: Config, width: Width) -> BBoxHead:
    """The head of the section bbox_head."""
    head = cfg.bbox_head
    require_equal("bbox_head.in_channels", head.in_channels, width.key, width.channels)
    require_equal("bbox_head.roi_feat_size", head.roi_feat_size, "roi.roi_layer.out_size", cfg.roi.roi_layer.out_size)
    box_coder = head.bbox_coder
    return BBoxHead(
        head.in_channels,
        head.roi_feat_size,
        cfg.num_classes - 1,
        DeltaBoxCoder(box_coder.target_means, box_coder.target_stds, box_style(cfg).inclusive),
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


def box_style(cfg: Config) -> BoxStyle:
    """What the key box_style names."""
    return BoxStyle(True, (cfg.img_height, cfg.img_width)) if cfg.box_style == "legacy" else BoxStyle()


def _selection(cfg: Config) -> SelectionSettings:
    test = cfg.test_cfg.rcnn
    soft = test.soft_nms
    return SelectionSettings(
        test.score_thr,
        test.iou_threshold,
        test.max_per_img,
        _nms_rule(cfg),
        Decay(soft.method, soft.sigma, soft.min_score) if test.nms == "soft" else None,
        test.nms_class_agnostic,
    )


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


def _has_likeliest_masks(cfg: Config) -> bool:
    return has_masks(cfg) and cfg.mask_head.boxes == "likeliest"


def _proposals(rpn_head: RPNHead, settings, portable: bool, style: BoxStyle) -> ProposalGenerator:
    settings = ProposalSettings(settings.nms_pre, settings.max_per_img, settings.iou_threshold, settings.min_bbox_size)
    return ProposalGenerator(rpn_head.level_sizes, rpn_head.coder, settings, portable, style)


def _box_loss(section) -> BoxLossSettings:
    box = section.loss_bbox
    kind, beta = ("smooth_l1", 0.0) if box.type == "l1" else (box.type, box.beta)
    return BoxLossSettings(section.loss_cls.loss_weight, box.loss_weight, beta, kind)


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
    return BalancedSampler(settings.num, settings.pos_fraction, settings.neg_pos_ub, settings.order, stream, portable)
