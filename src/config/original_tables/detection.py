"""The keys that MindSpore's pointrend and MaskRCNN_resnet50 share: one grew from the other."""

import re
from pathlib import Path
from typing import Any

from ..choices import DATA_TYPES
from .literal import plain
from .places import MODELARTS, RUNS
from .table import Entry, Values, answer, fixed, to, together

DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
BY_SIZE = "follows from img_width, img_height and anchor_strides"
NOT_READ = "the original's code does not read it"
AUTHORS = ("/cache/data", "./MindRecord_COCO", "./annotations/instances_val2017.json")  # places in MaskRCNN's file
SPLIT = re.compile(r"(train|val|test)20\d\d")


def depth(blocks: Any) -> Any:
    """backbone.depth of the number of blocks in each stage; other numbers stay, and are refused by that key's name."""
    blocks = plain(blocks)
    return next((depth for known, depth in DEPTHS.items() if list(known) == blocks), blocks)


def data(values: Values) -> dict[str, Any]:
    """Folders of COCO's layout by coco_root, train_data_type and val_data_type; MindRecord where there is no root."""
    root, records, own = _given(values, "coco_root"), _given(values, "mindrecord_dir"), {}
    for split in ("train", "val"):
        kind = str(values.get(f"{split}_data_type") or f"{split}2017")
        if kind in DATA_TYPES:
            own[f"{split}_data_type"] = kind
        elif root:
            own[f"{split}_data_type"] = "coco"
        elif records:
            own[f"{split}_data_type"] = "mindrecord"
        if root:
            own[f"{split}_dataset"] = root if kind in DATA_TYPES else str(Path(root) / kind)
    if records:
        own["mindrecord_dir"] = records
    labels = Path(_given(values, "ann_file"))
    found = re.fullmatch(r"instances_(.+)\.json", labels.name)
    if not root and found and labels.parent.name == "annotations":
        own["val_dataset"] = str(labels.parent.parent / found[1])
    return own


def _given(values: Values, name: str) -> str:
    """A place, unless it is the one of the original's authors."""
    place = str(values.get(name) or "")
    return "" if place in AUTHORS else place


def rpn_samples(values: Values) -> dict[str, Any]:
    return _samples("train_cfg.rpn.sampler", values["num_expected_pos"], values["num_expected_neg"])


def roi_samples(values: Values) -> dict[str, Any]:
    return _samples("train_cfg.rcnn.sampler", values["num_expected_pos_stage2"], values["num_expected_total_stage2"])


def _samples(section: str, positive: Any, count: Any) -> dict[str, Any]:
    """How many are sampled, and which share of them may be positive."""
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (positive, count))
    share = positive / count if numbers and count else positive
    return {f"{section}.num": count, f"{section}.pos_fraction": share}


def roi_layer(values: Values) -> dict[str, Any]:
    """dict(type='RoIAlign', out_size=7, mask_out_size=14, sample_num=2)."""
    layer = plain(values["roi_layer"])
    if not isinstance(layer, dict):
        return {"roi.roi_layer": layer}
    names = {
        "type": ("roi.roi_layer.type",),
        "out_size": ("roi.roi_layer.out_size",),
        "mask_out_size": ("mask_roi.roi_layer.out_size",),
        "sample_num": ("roi.roi_layer.sampling_ratio", "mask_roi.roi_layer.sampling_ratio"),
    }
    return {key: value for name, value in layer.items() for key in names.get(name, (f"roi.roi_layer.{name}",))}


def half(value: Any) -> Any:
    """expand_ratio chooses images of which the originals' code then expands every second one."""
    value = plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value / 2 if is_number else value


def other(value: Any) -> Any:
    """The other truth value: what a switch is that says what must not be."""
    value = plain(value)
    return not value if isinstance(value, bool | int) else value


def is_other_split(value: Any) -> bool:
    return isinstance(value, str) and bool(SPLIT.fullmatch(value))


SHARED: dict[str, Entry] = {
    **MODELARTS,
    **RUNS,
    "dataset": answer("detection reads COCO's layout, or MindRecord (train_data_type)", when=lambda v: v == "coco"),
    "coco_root": together(data, "", kept=("", AUTHORS[0])),
    "train_data_type": together(data, "train2017", when=is_other_split),
    "val_data_type": together(data, "val2017", when=is_other_split),
    "mindrecord_dir": together(data, "", kept=("", AUTHORS[1])),
    "ann_file": together(data, "", kept=("", AUTHORS[2])),
    "instance_set": fixed("annotations/instances_{}.json", says="label files are annotations/instances_NAME.json"),
    "coco_classes": to("coco_classes"),
    "num_classes": to("num_classes"),
    "img_width": to("img_width"),
    "img_height": to("img_height"),
    "keep_ratio": to("keep_ratio"),
    "flip_ratio": to("flip_ratio"),
    "max_instance_count": fixed(128, says="num_gts is the most objects of an image"),
    "num_gts": to("num_gts"),
    "feature_shapes": answer(BY_SIZE),
    "anchor_scales": to("rpn.anchor_generator.scales"),
    "anchor_ratios": to("rpn.anchor_generator.ratios"),
    "anchor_strides": to("rpn.anchor_generator.strides"),
    "num_anchors": fixed(3, says="there are as many anchors as scales times ratios"),
    "num_bboxes": answer(BY_SIZE),
    "resnet_block": to("backbone.depth", change=depth),
    "resnet_in_channels": fixed([64, 256, 512, 1024], says="the backbone's channels follow from backbone.depth"),
    "resnet_out_channels": fixed([256, 512, 1024, 2048], says="the backbone's channels follow from backbone.depth"),
    "fpn_in_channels": to("neck.fpn.in_channels"),
    "fpn_out_channels": to("neck.fpn.out_channels"),
    "fpn_num_outs": to("neck.fpn.num_outs"),
    "rpn_in_channels": to("rpn.in_channels"),
    "rpn_feat_channels": to("rpn.feat_channels"),
    "rpn_loss_cls_weight": to("rpn.loss_cls.loss_weight"),
    "rpn_loss_reg_weight": to("rpn.loss_bbox.loss_weight"),
    "rpn_cls_out_channels": to("rpn.num_classes"),
    "rpn_target_means": to("rpn.bbox_coder.target_means"),
    "rpn_target_stds": to("rpn.bbox_coder.target_stds"),
    "rpn_head_use_sigmoid": fixed(True, says="the RPN has a sigmoid"),
    "rpn_head_weight": fixed(1.0, says="rpn.loss_cls.loss_weight and rpn.loss_bbox.loss_weight are the factors"),
    "use_sigmoid_cls": fixed(True, says="the RPN has a sigmoid"),
    "activate_num_classes": fixed(2, says="the RPN tells objects from background"),
    "neg_iou_thr": to("train_cfg.rpn.assigner.neg_iou_thr"),
    "pos_iou_thr": to("train_cfg.rpn.assigner.pos_iou_thr"),
    "min_pos_iou": to("train_cfg.rpn.assigner.min_pos_iou"),
    "num_expected_pos": together(rpn_samples, 128),
    "num_expected_neg": together(rpn_samples, 256),
    "neg_iou_thr_stage2": to("train_cfg.rcnn.assigner.neg_iou_thr"),
    "pos_iou_thr_stage2": to("train_cfg.rcnn.assigner.pos_iou_thr"),
    "min_pos_iou_stage2": to("train_cfg.rcnn.assigner.min_pos_iou"),
    "num_expected_pos_stage2": together(roi_samples, 128),
    "num_expected_total_stage2": together(roi_samples, 512),
    "num_expected_neg_stage2": fixed(512, says="what is not positive of train_cfg.rcnn.sampler.num is background"),
    "num_bboxes_stage2": fixed(2000, says="train_cfg.rpn_proposal.max_per_img is the number of proposals"),
    "roi_sample_num": fixed(640, says="train_cfg.rcnn.sampler.num is the number of RoIs"),
    "roi_align_finest_scale": to("roi.finest_scale", "mask_roi.finest_scale"),
    "roi_align_out_channels": to("roi.out_channels", "mask_roi.out_channels"),
    "rcnn_num_layers": to("bbox_head.num_shared_fcs"),
    "rcnn_in_channels": to("bbox_head.in_channels", "mask_head.in_channels"),
    "rcnn_fc_out_channels": to("bbox_head.fc_out_channels"),
    "rcnn_mask_out_channels": to("mask_head.conv_out_channels"),
    "rcnn_loss_cls_weight": to("bbox_head.loss_cls.loss_weight"),
    "rcnn_loss_reg_weight": to("bbox_head.loss_bbox.loss_weight"),
    "rcnn_target_means": to("bbox_head.bbox_coder.target_means"),
    "rcnn_target_stds": to("bbox_head.bbox_coder.target_stds"),
    "rpn_proposal_nms_across_levels": fixed(False, says="NMS is within each level"),
    "rpn_proposal_nms_pre": to("train_cfg.rpn_proposal.nms_pre"),
    "rpn_proposal_nms_post": fixed(2000, says=f"{NOT_READ}; train_cfg.rpn_proposal.max_per_img bounds the proposals"),
    "rpn_proposal_max_num": to("train_cfg.rpn_proposal.max_per_img"),
    "rpn_proposal_nms_thr": to("train_cfg.rpn_proposal.iou_threshold"),
    "rpn_proposal_min_bbox_size": fixed(0, says=f"{NOT_READ}; train_cfg.rpn_proposal.min_bbox_size drops small ones"),
    "rpn_nms_across_levels": fixed(False, says="NMS is within each level"),
    "rpn_nms_pre": to("test_cfg.rpn.nms_pre"),
    "rpn_nms_post": fixed(1000, says=f"{NOT_READ}; test_cfg.rpn.max_per_img bounds the proposals"),
    "rpn_max_num": to("test_cfg.rpn.max_per_img"),
    "rpn_nms_thr": to("test_cfg.rpn.iou_threshold"),
    "rpn_min_bbox_min_size": fixed(0, says=f"{NOT_READ}; test_cfg.rpn.min_bbox_size drops small ones"),
    "test_score_thr": to("test_cfg.rcnn.score_thr"),
    "test_iou_thr": to("test_cfg.rcnn.iou_threshold"),
    "test_batch_size": to("test_batch_size"),
    "mask_thr_binary": to("test_cfg.rcnn.mask_thr_binary"),
    "base_lr": to("lr"),
    "base_step": to("lr_base_step"),
    "total_epoch": to("lr_epochs"),
    "warmup_step": to("warmup_step"),
    "warmup_ratio": to("warmup_ratio"),
    "sgd_momentum": answer(f"{NOT_READ}: momentum is the optimizer's"),
    "momentum": to("momentum"),
    "weight_decay": to("weight_decay"),
    "loss_scale": to("loss_scale"),
    "batch_size": to("batch_size"),
    "epoch_size": to("epoch_size"),
    "pretrain_epoch_size": to("begin_epoch"),
    "keep_checkpoint_max": to("keep_checkpoint_max"),
}
