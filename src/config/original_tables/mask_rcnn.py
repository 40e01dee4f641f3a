"""MaskRCNN_resnet50 of MindSpore's models (official/cv/MaskRCNN)."""

from typing import Any

from .detection import NOT_READ, SHARED, half, roi_layer
from .literal import plain
from .places import SINKING
from .table import Original, answer, fixed, never, to, together

LAYER = {"type": "RoIAlign", "out_size": 7, "mask_out_size": 14, "sample_num": 2}


def first(size: Any) -> Any:
    """The side of a square: (28, 28)."""
    size = plain(size)
    return size[0] if isinstance(size, list) and len(size) == 2 and size[0] == size[1] else size


MASK_RCNN = Original(
    name="MaskRCNN_resnet50",
    title="MaskRCNN_resnet50 of MindSpore's models (official/cv/MaskRCNN)",
    task="detection",
    detector="mask_rcnn",
    base=lambda values: "mask_rcnn_r50_fpn_mindspore.yaml",
    table=SHARED
    | {
        "expand_ratio": to("expand_ratio", change=half, when=never),
        "mask_shape": to("train_cfg.rcnn.mask_size", change=first),
        "roi_layer": together(roi_layer, LAYER),
        "roi_align_featmap_strides": to("roi.featmap_strides", "mask_roi.featmap_strides"),
        "rcnn_loss_mask_fb_weight": to("mask_head.loss_mask.loss_weight"),
        "test_max_per_img": fixed(100, says=f"{NOT_READ}: 128 detections are kept, test_cfg.rcnn.max_per_img"),
        "dataset_sink_mode": answer(SINKING),
        "sink_size": answer(SINKING),
        "ckpt_path": to("checkpoint_path", kept=("./ckpt_maskrcnn/mask_rcnn-12_7393.ckpt",), when=never),
        "ckpt_file_local": to(
            "checkpoint_path",
            kept=("./maskrcnn/scripts/train_parallel0/ckpt_0/mask_rcnn-12_7393.ckpt",),
        ),
        "export_input_type": answer("exported networks take float32"),
        "learning_rate": answer(f"{NOT_READ}: base_lr is the rate"),
        "lr": answer(f"{NOT_READ}: base_lr is the rate", when=never),
        "buffer_size": answer(f"{NOT_READ}: every epoch shuffles all images"),
        "save_checkpoint_steps": answer(f"{NOT_READ}: save_checkpoint_epochs is its interval"),
        "model_name": answer(f"{NOT_READ}: brief names the run"),
    },
)
