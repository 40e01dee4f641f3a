"""Configuration keys of the parts of a detector: backbone, neck, heads, RoI extraction, training and test settings."""

from dataclasses import dataclass
from typing import Any

from src.config_schema_fields import key, section

SAMPLE_ORDERS = ("random", "in_order")


@dataclass
class NormCfg:
    """Normalisation layers of one part."""

    type: str = key("BN", "Kind of normalisation.", choices=("BN",))
    momentum: float = key(0.1, "Share of the new batch in the running statistics (PyTorch's meaning).", low=0, high=1)
    eps: float = key(1e-5, "Added to the variance.", above=0)


@dataclass
class HRNetStage:
    """One stage of HRNet; the lists have one entry a branch."""

    num_modules: int = key(1, "Modules one after another; each ends with a fusion.", low=1)
    num_branches: int = key(1, "Parallel resolutions.", low=1, high=4)
    block: str = key("BASIC", "Residual block; BOTTLENECK multiplies its channels by 4.", choices=("BASIC", "BOTTLENECK"))
    num_blocks: list[int] = key([4], "Residual blocks in each branch.", low=1, filled=True)
    num_channels: list[int] = key([64], "Channels of each branch before the block's expansion.", low=1, filled=True)


def _stage(modules: int, block: str, *channels: int) -> Any:
    return section(
        HRNetStage,
        num_modules=modules,
        num_branches=len(channels),
        block=block,
        num_blocks=[4] * len(channels),
        num_channels=list(channels),
    )


@dataclass
class HRNetExtra:
    """The four stages of HRNet; the defaults are W32."""

    stage1: HRNetStage = _stage(1, "BOTTLENECK", 64)
    stage2: HRNetStage = _stage(1, "BASIC", 32, 64)
    stage3: HRNetStage = _stage(4, "BASIC", 32, 64, 128)
    stage4: HRNetStage = _stage(3, "BASIC", 32, 64, 128, 256)


@dataclass
class Backbone:
    """The network from image to feature maps."""

    type: str = key("hrnet", "Family of the backbone.", choices=("hrnet", "resnet", "spinenet"))
    arch: str = key("", "Variant, for families that have named ones (spinenet: 49S, 49, 96, 143).")
    depth: int = key(50, "Layers, for resnet.", low=1)
    extra: HRNetExtra = section(HRNetExtra)
    frozen_stages: int = key(-1, "-1: all learn; 0: the stem does not; k: the stem and stages 1..k do not.", low=-1)
    norm_eval: bool = key(True, "Normalise with the stored statistics in training, too, and leave them as they are.")
    norm_cfg: NormCfg = section(NormCfg)
    pretrained: str = key("", "Checkpoint with the backbone's weights to start from; empty: random.")


@dataclass
class FPN:
    """Feature pyramid."""

    in_channels: list[int] = key([32, 64, 128, 256], "Channels of the backbone's maps, finest first.", low=1, filled=True)
    out_channels: int = key(256, "Channels of every level.", low=1)
    num_outs: int = key(5, "Levels.", low=1)


@dataclass
class Neck:
    """What makes a pyramid of equal width from the backbone's maps."""

    type: str = key(
        "",
        "Kind of neck; '' takes the backbone's usual one (hrnet: hrfpn, resnet: fpn, spinenet: none).",
        choices=("", "hrfpn", "fpn", "none"),
    )
    fpn: FPN = section(FPN)


@dataclass
class BoxCoder:
    """Coding of boxes as (dx, dy, dw, dh)."""

    target_means: list[float] = key([0.0] * 4, "Subtracted from the coded deltas.", length=4)
    target_stds: list[float] = key([1.0] * 4, "The coded deltas are divided by these.", length=4, above=0)


@dataclass
class Loss:
    """A loss term."""

    loss_weight: float = key(1.0, "Weight of this loss in the total.", low=0)


@dataclass
class BoxLoss(Loss):
    """The regression loss of boxes."""

    beta: float = key(0.0, "0: L1; above 0: smooth L1, quadratic below beta.", low=0)


@dataclass
class AnchorGenerator:
    """Anchors of the region proposal network."""

    scales: list[float] = key([8.0], "Side of a square anchor in strides.", above=0, filled=True)
    strides: list[int] = key([4, 8, 16, 32, 64], "Pixels between anchors on each level.", low=1, filled=True)
    ratios: list[float] = key([0.5, 1.0, 2.0], "Height / width of the anchors.", above=0, filled=True)


@dataclass
class RPN:
    """Region proposal head."""

    in_channels: int = key(256, "Channels of the pyramid.", low=1)
    feat_channels: int = key(256, "Channels of the head's own convolution.", low=1)
    num_classes: int = key(1, "Objectness only.", choices=(1,))
    bbox_coder: BoxCoder = section(BoxCoder)
    loss_cls: Loss = section(Loss)
    loss_bbox: BoxLoss = section(BoxLoss)
    anchor_generator: AnchorGenerator = section(AnchorGenerator)


@dataclass
class BBoxHead:
    """Head that classifies RoIs and refines their boxes."""

    num_shared_convs: int = key(0, "3x3 convolutions before the dense layers.", low=0)
    num_shared_fcs: int = key(2, "Dense layers.", low=0)
    in_channels: int = key(256, "Channels of the RoI features.", low=1)
    conv_out_channels: int = key(256, "Channels of the convolutions.", low=1)
    fc_out_channels: int = key(1024, "Width of the dense layers.", low=1)
    roi_feat_size: int = key(7, "Height and width of the RoI features.", low=1)
    reg_class_agnostic: bool = key(False, "One box for all classes instead of one for each.")
    bbox_coder: BoxCoder = section(BoxCoder, target_stds=[0.1, 0.1, 0.2, 0.2])
    loss_cls: Loss = section(Loss)
    loss_bbox: BoxLoss = section(BoxLoss)
    norm_cfg: NormCfg | None = key(None, "Normalisation after each convolution; null: none.")


@dataclass
class MaskHead:
    """Head that predicts a mask for each RoI."""

    num_convs: int = key(4, "3x3 convolutions.", low=0)
    in_channels: int = key(256, "Channels of the RoI features.", low=1)
    conv_out_channels: int = key(256, "Channels of the convolutions.", low=1)
    loss_mask: Loss = section(Loss)
    norm_cfg: NormCfg | None = key(None, "Normalisation after each convolution; null: none.")


@dataclass
class RoILayer:
    """The operator that cuts a RoI's features out of a level."""

    type: str = key("RoIAlign", "Operator.", choices=("RoIAlign",))
    out_size: int = key(7, "Height and width of the features.", low=1)
    sampling_ratio: int = key(
        0, "Samples along each side of a cell; 0: as many as the cell has feature pixels.", low=0, aliases=("sample_num",)
    )
    aligned: bool = key(True, "Shift by half a pixel, so that features lie where the image has them.")


@dataclass
class RoIExtractor:
    """Cuts RoI features from the level that fits each RoI's size."""

    roi_layer: RoILayer = section(RoILayer)
    out_channels: int = key(256, "Channels of the pyramid.", low=1)
    featmap_strides: list[int] = key([4, 8, 16, 32], "Strides of the levels that are used.", low=1, filled=True)
    finest_scale: int = key(56, "RoIs with a side below twice this come from the finest level.", low=1)
    sample_num: int = key(640, "Kept for the published files; the samplers decide how many RoIs there are.", low=1)


@dataclass
class Assigner:
    """Which boxes are taken for objects in training (maximal IoU)."""

    pos_iou_thr: float = key(0.7, "IoU from which a box is positive.", low=0, high=1)
    neg_iou_thr: float = key(0.3, "IoU below which a box is negative.", low=0, high=1)
    min_pos_iou: float = key(0.3, "IoU from which an object's best box is positive.", low=0, high=1)
    match_low_quality: bool = key(True, "Every object takes its best boxes even below pos_iou_thr.")
    ignore_iof_thr: float = key(-1.0, "Leave out boxes whose part inside a crowd exceeds this; -1: off.", low=-1, high=1)


@dataclass
class Sampler:
    """How many assigned boxes enter the loss."""

    num: int = key(256, "Boxes an image.", low=1)
    pos_fraction: float = key(0.5, "At most this share is positive.", low=0, high=1)
    neg_pos_ub: int = key(-1, "At most this many negatives for one positive; -1: no limit.", low=-1)
    add_gt_as_proposals: bool = key(False, "The objects themselves are candidates, too.")
    order: str = key("random", "Which candidates are taken where there are too many.", choices=SAMPLE_ORDERS)


@dataclass
class TrainRPN:
    """Training of the region proposal network."""

    assigner: Assigner = section(Assigner)
    sampler: Sampler = section(Sampler)
    allowed_border: int = key(-1, "Pixels by which an anchor may leave the image; -1: any.", low=-1)


@dataclass
class Proposals:
    """From the region proposal network's outputs to proposals."""

    nms_pre: int = key(1000, "Best candidates of each level before suppression.", low=1)
    max_per_img: int = key(1000, "Proposals an image.", low=1)
    iou_threshold: float = key(0.7, "Overlap above which the weaker box goes.", low=0, high=1)
    min_bbox_size: float = key(0.0, "Proposals must be larger than this, in pixels.", low=0)


@dataclass
class TrainRCNN:
    """Training of the box and mask heads."""

    assigner: Assigner = section(Assigner, pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)
    sampler: Sampler = section(Sampler, num=512, pos_fraction=0.25, add_gt_as_proposals=True)
    mask_size: int = key(28, "Height and width of the mask targets.", low=1)


@dataclass
class TrainCfg:
    """Training of the detector."""

    rpn: TrainRPN = section(TrainRPN)
    rpn_proposal: Proposals = section(Proposals, nms_pre=2000)
    rcnn: TrainRCNN = section(TrainRCNN)


@dataclass
class TestRCNN:
    """From the heads' outputs to detections."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    score_thr: float = key(0.05, "Detections below this score go.", low=0, high=1)
    iou_threshold: float = key(0.5, "Overlap above which the weaker box of a class goes.", low=0, high=1)
    max_per_img: int = key(100, "Detections an image.", low=1)
    mask_thr_binary: float = key(0.5, "Probability from which a pixel belongs to the mask.", low=0, high=1)


@dataclass
class TestCfg:
    """Inference of the detector."""

    __test__ = False

    rpn: Proposals = section(Proposals)
    rcnn: TestRCNN = section(TestRCNN)
