"""Configuration keys of the networks. Attribute names are YAML keys.

Those of backbones stand in backbone_keys.py, those of segmentation's heads in segmentation_keys.py.
"""

from .backbone_keys import BACKBONE_KEYS, Backbone, NormCfg
from .cascade_keys import Cascade
from .checks import TASK_CHECKS
from .choices import DETECTORS, MOST_BOXES, MOST_CHANNELS, MOST_LAYERS, NECKS, SEGMENTERS
from .schema import key, keys, section
from .segmentation_keys import SegHead


@keys(matters="weights", on_resume="same")
class FPNCfg:
    in_channels: list[int] = key(
        [32, 64, 128, 256], "channels of the backbone's outputs", low=1, high=MOST_CHANNELS, least=1, most=8
    )
    out_channels: int = key(256, "channels of every pyramid level", low=1, high=MOST_CHANNELS)
    num_outs: int = key(5, "pyramid levels", low=1, high=8)


@keys(matters="weights", on_resume="same")
class Neck:
    type: str = key("", "neck; empty takes the backbone's usual one", choices=NECKS)
    upsampling: str = key(
        "nearest",
        "how fpn enlarges a coarse level: nearest, or asymmetric (bilinear without half-pixel centres, to the finer "
        "level's size: the MindSpore originals)",
        choices=("nearest", "asymmetric"),
        matters="scores",
    )
    fpn: FPNCfg = section(FPNCfg)


@keys(matters="scores", on_resume="same")
class BoxCoderCfg:
    target_means: list[float] = key([0.0, 0.0, 0.0, 0.0], "means of the box deltas", length=4, low=-1e3, high=1e3)
    target_stds: list[float] = key(
        [1.0, 1.0, 1.0, 1.0], "standard deviations of the box deltas", length=4, low=1e-6, high=1e3
    )


@keys(matters="training", on_resume="same")
class LossWeight:
    loss_weight: float = key(1.0, "factor of this loss", low=0, high=1e6)


@keys(matters="training", on_resume="same")
class BoxLoss(LossWeight):
    type: str = key(
        "smooth_l1",
        "smooth_l1 or l1 of the box deltas, giou or ciou of the boxes that they make (MMDetection's SmoothL1Loss, "
        "L1Loss; GIoULoss, CIoULoss with reg_decoded_bbox)",
        choices=("smooth_l1", "l1", "giou", "ciou"),
    )
    beta: float = key(0.0, "smooth-L1 turning point; 0 is L1", low=0, high=1e6)


@keys(on_resume="same")
class AnchorGenerator:
    scales: list[float] = key([8], "anchor side in strides", low=1e-6, high=1e4, least=1, most=64, matters="weights")
    strides: list[int] = key(
        [4, 8, 16, 32, 64], "pixels a cell of each pyramid level", low=1, high=4096, least=1, most=8, matters="scores"
    )
    ratios: list[float] = key(
        [0.5, 1.0, 2.0], "height / width of the anchors", low=1e-6, high=1e4, least=1, most=64, matters="weights"
    )


@keys(matters="weights", on_resume="same")
class RPN:
    in_channels: int = key(256, "channels of the pyramid", low=1, high=MOST_CHANNELS)
    feat_channels: int = key(256, "channels of the shared convolution", low=1, high=MOST_CHANNELS)
    num_classes: int = key(1, "object or not", choices=(1,), why_only="the RPN only tells objects from background")
    bbox_coder: BoxCoderCfg = section(BoxCoderCfg)
    loss_cls: LossWeight = section(LossWeight)
    loss_bbox: BoxLoss = section(BoxLoss)
    anchor_generator: AnchorGenerator = section(AnchorGenerator)


@keys(matters="weights", on_resume="same")
class BBoxHeadCfg:
    num_shared_convs: int = key(0, "3x3 convolutions before the linear layers", low=0, high=MOST_LAYERS)
    num_shared_fcs: int = key(2, "linear layers shared by classes and boxes", low=1, high=MOST_LAYERS)
    in_channels: int = key(256, "channels of the RoI features", low=1, high=MOST_CHANNELS)
    conv_out_channels: int = key(256, "channels of the shared convolutions", low=1, high=MOST_CHANNELS)
    fc_out_channels: int = key(1024, "width of the shared linear layers", low=1, high=MOST_CHANNELS)
    roi_feat_size: int = key(7, "cells a side of the RoI features", low=1, high=64)
    reg_class_agnostic: bool = key(False, "one box per RoI instead of one per class")
    bbox_coder: BoxCoderCfg = section(BoxCoderCfg)
    loss_cls: LossWeight = section(LossWeight)
    loss_bbox: BoxLoss = section(BoxLoss)
    norm_cfg: NormCfg | None = section(NormCfg, optional=True)


@keys(matters="weights", on_resume="same")
class MaskHeadCfg:
    num_convs: int = key(4, "3x3 convolutions before the upsampling (mask_rcnn)", low=1, high=MOST_LAYERS)
    in_channels: int = key(256, "channels of the RoI features", low=1, high=MOST_CHANNELS)
    conv_out_channels: int = key(256, "channels of the convolutions", low=1, high=MOST_CHANNELS)
    num_fcs: int = key(2, "linear layers of the coarse mask head (pointrend)", low=1, high=MOST_LAYERS)
    fc_out_channels: int = key(
        1024, "width of the coarse mask head's linear layers (pointrend)", low=1, high=MOST_CHANNELS
    )
    loss_mask: LossWeight = section(LossWeight)
    norm_cfg: NormCfg | None = section(NormCfg, optional=True)
    weight_init: str = key(
        "Detectron2",
        "initial weights of pointrend's two mask heads: as Detectron2, or Normal (deviation 0.01, the point head's "
        "layers He-normal: the MindSpore original)",
        choices=("Detectron2", "Normal"),
        matters="training",
    )
    background_class: bool = key(False, "the background has a mask too, behind the classes' (pointrend)")
    boxes: str = key(
        "detected",
        "where masks are read in inference: in the detected boxes, or in what their proposals become by their "
        "likeliest class, be it background (likeliest; mask_rcnn): bbox_head then has a box for the background",
        choices=("detected", "likeliest"),
    )


@keys(matters="weights", on_resume="same")
class PointHeadCfg:
    in_channels: int = key(256, "channels of the pyramid", low=1, high=MOST_CHANNELS)
    num_fcs: int = key(3, "hidden layers", low=1, high=MOST_LAYERS)
    fc_channels: int = key(256, "width of the hidden layers", low=1, high=MOST_CHANNELS)
    coarse_pred_each_layer: bool = key(True, "every layer sees the coarse prediction, not only the first")
    loss_point: LossWeight = section(LossWeight)


@keys(matters="scores", on_resume="same")
class RoILayer:
    type: str = key(
        "RoIAlign",
        "RoI pooling: RoIAlign, or SimpleRoIAlign (one point a cell of the finest level) for pointrend's mask_roi",
        choices=("RoIAlign", "SimpleRoIAlign"),
    )
    out_size: int = key(7, "cells a side", low=1, high=64, matters="weights")
    sampling_ratio: int = key(0, "samples a bin and axis; 0 adapts to the RoI (seed name: sample_num)", low=0, high=64)
    aligned: bool = key(True, "half-pixel shift")


@keys(matters="scores", on_resume="same")
class RoICfg:
    roi_layer: RoILayer = section(RoILayer)
    out_channels: int = key(256, "channels of the pyramid", low=1, high=MOST_CHANNELS, matters="weights")
    featmap_strides: list[int] = key(
        [4, 8, 16, 32], "pyramid levels that RoIs are read from, by stride", low=1, high=4096, least=1, most=8
    )
    finest_scale: float = key(56, "RoIs up to twice this side are read from the finest level", low=1, high=1e5)


@keys(matters="training", on_resume="same")
class AssignerCfg:
    pos_iou_thr: float = key(0.5, "at least this IoU makes a box positive", low=0, high=1)
    neg_iou_thr: float = key(0.5, "below this IoU a box is background", low=0, high=1)
    min_pos_iou: float = key(0.5, "at least this IoU for an object's best box to be positive", low=0, high=1)
    match_low_quality: bool = key(True, "every object takes its best boxes")
    ignore_iof_thr: float = key(
        -1.0, "leave out boxes that lie in a crowd by more than this share; -1 never", low=-1, high=1
    )


@keys(matters="training", on_resume="same")
class SamplerCfg:
    num: int = key(512, "boxes an image that the loss looks at", low=1, high=MOST_BOXES)
    pos_fraction: float = key(0.25, "largest share of positives", low=0, high=1)
    neg_pos_ub: float = key(-1, "background boxes for each positive at most; -1 no bound", low=-1, high=1e6)


@keys(matters="training", on_resume="same")
class RPNSamplerCfg(SamplerCfg):
    order: str = key("random", "which candidates are taken", choices=("random", "in_order"))


@keys(matters="training", on_resume="same")
class RCNNSamplerCfg(SamplerCfg):
    add_gt_as_proposals: bool = key(False, "objects' own boxes compete as proposals")
    order: str = key("random", "which candidates are taken", choices=("random", "in_order"))


@keys(matters="training", on_resume="same")
class TrainRPN:
    assigner: AssignerCfg = section(AssignerCfg)
    sampler: RPNSamplerCfg = section(RPNSamplerCfg)
    allowed_border: float = key(
        -1, "leave out anchors further over the image border than this; -1 never", low=-1, high=1e6
    )


@keys()
class ProposalCfg:
    nms_pre: int = key(2000, "best anchors of each level that go on", low=1, high=MOST_BOXES)
    max_per_img: int = key(1000, "proposals an image", low=1, high=MOST_BOXES)
    iou_threshold: float = key(0.7, "NMS threshold", low=0, high=1)
    min_bbox_size: float = key(0, "proposals must be wider and higher than this", low=-1, high=1e6)


@keys(matters="training", on_resume="same")
class TrainRCNN:
    assigner: AssignerCfg = section(AssignerCfg)
    sampler: RCNNSamplerCfg = section(RCNNSamplerCfg)
    mask_size: int = key(28, "cells a side of the mask targets", low=1, high=512, matters="weights")
    train_on_pred_boxes: bool = key(False, "the mask head trains on the box head's boxes instead of the proposals")
    num_points: int = key(196, "points of a RoI that the point head trains on", low=1, high=MOST_BOXES)
    oversample_ratio: float = key(3.0, "candidates for each of them", low=1, high=100)
    importance_sample_ratio: float = key(0.75, "share of them with the least certain coarse mask", low=0, high=1)


@keys(matters="training", on_resume="same")
class TrainCfg:
    rpn: TrainRPN = section(TrainRPN)
    rpn_proposal: ProposalCfg = section(ProposalCfg)
    rcnn: TrainRCNN = section(TrainRCNN)


@keys(matters="scores", on_resume="free")
class SoftNmsCfg:
    method: str = key(
        "linear",
        "what a better box leaves of a score: times 1 - IoU from iou_threshold on, or times exp(-IoU^2 / sigma)",
        choices=("linear", "gaussian"),
    )
    sigma: float = key(0.5, "width of method gaussian", low=1e-3, high=1e3)
    min_score: float = key(0.001, "boxes whose lowered score is below this are dropped", low=0, high=1)


@keys(matters="scores", on_resume="free")
class TestRCNN:
    score_thr: float = key(0.05, "least score of a detection", low=0, high=1)
    iou_threshold: float = key(0.5, "NMS threshold within a class", low=0, high=1)
    nms: str = key(
        "nms",
        "nms drops boxes that overlap a better one, soft lowers their scores by the overlap (Soft-NMS)",
        choices=("nms", "soft"),
    )
    soft_nms: SoftNmsCfg = section(SoftNmsCfg)
    nms_class_agnostic: bool = key(False, "boxes of all classes compete in the NMS, not those of one")
    max_per_img: int = key(100, "detections an image", low=1, high=10_000)
    mask_thr_binary: float = key(0.5, "mask probabilities from this on are object", low=0, high=1)
    subdivision_steps: int = key(
        5, "doublings of a mask's resolution from the coarse one on (pointrend)", low=0, high=8
    )
    subdivision_num_points: int = key(784, "points looked at anew at each doubling (pointrend)", low=1, high=MOST_BOXES)
    subdivision_resize: str = key(
        "half_pixel",
        "bilinear doubling of a mask (pointrend): with half-pixel centres, or without (asymmetric)",
        choices=("half_pixel", "asymmetric"),
    )
    inclusive_nms: bool = key(
        False, "NMS by areas that count the last pixels, (w + 1) * (h + 1), and from iou_threshold on (CPU)"
    )


@keys(matters="scores", on_resume="free")
class TestCfg:
    rpn: ProposalCfg = section(ProposalCfg)
    rcnn: TestRCNN = section(TestRCNN)


@keys(matters="weights", on_resume="same")
class ClsHead:
    head_channels: list[int] = key(
        [32, 64, 128, 256],
        "widths of HRNet's increase modules before their expansion",
        low=1,
        high=MOST_CHANNELS,
        least=1,
        most=8,
    )
    final_channels: int = key(2048, "features before the classifier", low=1, high=MOST_CHANNELS)
    conv_init: str = key(
        "HeNormal", "initial convolution weights", choices=("HeNormal", "TruncatedNormal"), matters="training"
    )
    conv_sigma: float = key(
        0.0,
        "TruncatedNormal: deviation of every convolution before its cut at two sigma (the MindSpore original's 0.027); "
        "0 makes the variance 1 / fan in",
        low=0,
        high=10,
        matters="training",
    )
    conv_bias_init: str = key(
        "zeros",
        "initial biases of convolutions: zeros, or uniform within 1 / sqrt(fan in) (the MindSpore original)",
        choices=("zeros", "uniform"),
        matters="training",
    )
    dense_init: str = key(
        "Uniform",
        "initial classifier: Uniform as PyTorch's, or RandomNormal with deviation 0.01 and biases 0 (the MindSpore "
        "original)",
        choices=("Uniform", "RandomNormal"),
        matters="training",
    )


@keys()
class ModelKeys:
    task: str = key(
        "detection",
        "what the network does",
        choices=TASK_CHECKS,
        matters="weights",
        on_resume="same",
    )
    cls_head: ClsHead = section(ClsHead)
    segmenter: str = key(
        "fcn",
        "segmentation head: fcn (all maps of the backbone, mixed and classified: HRNet's own), ocr (each pixel sees "
        "the regions of all classes too: HRNet + OCR), or pointrend (fcn's logits, refined point by point where they "
        "are uncertain)",
        choices=SEGMENTERS,
        matters="weights",
        on_resume="same",
    )
    seg_head: SegHead = section(SegHead)
    detector: str = key("mask_rcnn", "detection system", choices=DETECTORS, matters="weights", on_resume="same")
    box_style: str = key(
        "continuous",
        "what the numbers of boxes mean: continuous (x2 - x1 is the width), or legacy (x2 is the last pixel: "
        "MMDetection 1.x and the MindSpore originals; anchors, coding, clipping, levels, pasting)",
        choices=("continuous", "legacy"),
        matters="scores",
        on_resume="same",
    )
    frozen_parts: list[str] = key(
        [],
        "parts of the network that do not learn and keep their statistics, by the beginnings of their parameters' "
        "names: backbone, neck, rpn_head, bbox_head.shared_fcs, ...; losses that would move nothing are not computed",
        most=1000,
        matters="training",
        on_resume="same",
    )
    backbone: Backbone = section(Backbone, variants=BACKBONE_KEYS)
    neck: Neck = section(Neck)
    rpn: RPN = section(RPN)
    bbox_head: BBoxHeadCfg = section(BBoxHeadCfg)
    cascade: Cascade = section(Cascade)
    mask_head: MaskHeadCfg = section(MaskHeadCfg)
    point_head: PointHeadCfg = section(PointHeadCfg)
    roi: RoICfg = section(RoICfg)
    mask_roi: RoICfg = section(RoICfg)
    train_cfg: TrainCfg = section(TrainCfg)
    test_cfg: TestCfg = section(TestCfg)
