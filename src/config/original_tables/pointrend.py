"""pointrend of MindSpore's models (community/cv)."""

from .detection import NOT_READ, SHARED, half, other
from .places import SINKING
from .table import Original, fixed, never, to

POINTS = "PointRend's mask head is refined from 7 x 7: train_cfg.rcnn.mask_size, mask_roi.roi_layer.out_size"
LAYER = "dict(type='RoIAlign', out_size=7, mask_out_size=14, sample_num=2)"

POINTREND = Original(
    name="pointrend",
    title="pointrend of MindSpore's models (community/cv)",
    task="detection",
    detector="pointrend",
    base=lambda values: "pointrend_r50_fpn_mindspore.yaml",
    table=SHARED
    | {
        "not_mask": to("mask_head.background_class", change=other),
        "expand_ratio": to("expand_ratio", change=half, when=never),
        "mask_shape": fixed("(28, 28)", [28, 28], says=POINTS),
        "roi_layer": fixed(LAYER, says=f"{NOT_READ}: roi.roi_layer and mask_roi.roi_layer"),
        "roi_align_featmap_strides": to("roi.featmap_strides"),
        "rcnn_loss_mask_fb_weight": fixed(1, says="PointRend has no such mask head: its own learn in its place"),
        "rcnn_loss_mask_coarse_weight": to("mask_head.loss_mask.loss_weight"),
        "rcnn_loss_mask_point_weight": to("point_head.loss_point.loss_weight"),
        "test_max_per_img": to("test_cfg.rcnn.max_per_img"),
        "dataset_sink_mode_flag": fixed(False, says=SINKING),
        "batch_size_export": fixed(1, says="exported files take one image at a time"),
    },
)
