"""Keys that the command line names and that its command does not read: each is said, none is taken in silence.

What a key is good for follows from how far it matters; what does not follow stands in the tables. Keys, tasks and
detectors that are not in them, from outside of this project, are read by everybody.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from .choices import CASCADES
from .classification_keys import PERMUTED
from .config import Config
from .inference_keys import InferenceKeys
from .orientation import has_orientations, trains_by_orientation
from .run_keys import (
    CommandKeys,
    ConvertKeys,
    DeviceKeys,
    EvaluationKeys,
    LearningRateKeys,
    OptimizerKeys,
    RunKeys,
    ScheduleKeys,
)
from .schema import Leaf, leaves

logger = logging.getLogger(__name__)

TRAIN, EVAL, INFER, EXPORT, CONVERT = "train.py", "eval.py", "infer.py", "export.py", "convert_weights.py"
CHECK, SUMMARY, RECORD, BROWSE, SERVE = "check", "summary", "mindrecord", "browse", "serve"
LOAD = "load"  # of a Python program, which names keys as a command line does
FILES = ("preprocess.py", "postprocess.py", "main.py")  # of deploy/: images without the network
RUNNING = (TRAIN, EVAL, INFER, EXPORT, CHECK)
# Who reads keys that matter so far, where they stand in no table.
BY_REACH = {"weights": (*RUNNING, CONVERT, SUMMARY), "scores": (*RUNNING, SUMMARY), "training": (TRAIN, CHECK)}
ALL = (*RUNNING, CONVERT, SUMMARY, RECORD, *FILES)
ON_CPU = (CONVERT, SUMMARY)  # always, and in PyNative mode
COMMANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("seed", "enable_graph_kernel", "run_distribute", "device_id", "device_num"), ALL),
    **dict.fromkeys(("task", "num_classes", "divider"), ALL),
    **dict.fromkeys(("device_target", "mode"), RUNNING),
    **dict.fromkeys(("img_width", "img_height", "input_size"), (*RUNNING, SUMMARY, *FILES)),
    **dict.fromkeys(("dataset", "ignore_label", "keep_ratio", "seg_head.bilinear"), (*RUNNING, *FILES)),
    **dict.fromkeys(
        (
            "run_eval", "eval_every", "eval_start", "val_loss", "log_every", "log_norms", "save_every",
            "save_every_epochs",
            "keep_checkpoint_max", "keep_best_checkpoints_max", "resume", "train_outputs", "brief", "enable_profiling",
            "mlflow", "mlflow_uri", "tensorboard", "sample_pictures",
            "mlflow_experiment", "begin_epoch", "end_epoch", "max_steps", "patience", "sync_batchnorm", "datasink",
        ),
        (TRAIN,),
    ),
    "deterministic": (TRAIN, CHECK),
    **dict.fromkeys(("pre_trained", "fast_gradients", "python_multiprocessing", "train_data_type"), (TRAIN, CHECK)),
    **dict.fromkeys(
        ("img_mean", "img_std", "to_rgb", "resize", "pad_colour", "box_style"), (*RUNNING, CONVERT, *FILES)
    ),
    **dict.fromkeys(("classes", "crowd_rle"), (TRAIN, EVAL, CHECK, RECORD)),
    **dict.fromkeys(("eval_mode", "eval_scales", "eval_flip", "eval_stride"), (TRAIN, EVAL, INFER, *FILES)),
    **dict.fromkeys(("eval_width", "eval_height"), (TRAIN, EVAL, INFER, EXPORT, *FILES)),
    **dict.fromkeys(("eval_padding", "tile", "tile_overlap"), (TRAIN, EVAL, INFER)),
    **dict.fromkeys(("pt_path", "ckpt_path", "source", "pt_entry", "verify"), (CONVERT,)),
    **dict.fromkeys(
        (
            "pred_input", "recursive", "infer_score_thr", "infer_format", "draw", "draw_score_thr", "draw_colours",
            "frame_step", "max_frames",
        ),
        (INFER,),
    ),
    "pred_output": (INFER, EVAL),
    "format_only": (EVAL,),
    **dict.fromkeys(
        ("file_name", "file_format", "export_batch", "quantize", "calibration_data", "calibration_images"), (EXPORT,)
    ),
    **dict.fromkeys(("backend", "fold_batchnorm", "fast_inference"), (EVAL, INFER)),
    **dict.fromkeys(("amp_level", "amp_dtype"), (TRAIN, EVAL, INFER)),
    **dict.fromkeys(("report_dir", "analysis"), (TRAIN, EVAL)),
    "font": (TRAIN, EVAL, INFER),
    **dict.fromkeys(("compile_cache", "compile_cache_path", "test_batch_size"), (TRAIN, EVAL, INFER)),
    "log_style": (TRAIN, EVAL, CONVERT, RECORD, *FILES),
    "eval_label_size": (TRAIN, EVAL, *FILES),
    "allow_outside": (TRAIN, EVAL, INFER, CHECK, RECORD, *FILES),
    "checkpoint_path": (EVAL, INFER, EXPORT, CHECK),
    "class_names": (*RUNNING, CONVERT, *FILES),
    "coco_classes": (*RUNNING, CONVERT, RECORD),
    "eval_resize": (TRAIN, EVAL, INFER, EXPORT),
    "finetune": (TRAIN, CHECK, CONVERT),
    "max_image_pixels": (TRAIN, EVAL, INFER, CHECK, RECORD, *FILES),
    "mindrecord_dir": (*RUNNING, RECORD),
    "mindrecord_shards": (RECORD,),
    "num_parallel_workers": (TRAIN, EVAL, INFER, CHECK),
    "prediction_path": (EVAL,),
    "train_dataset": (TRAIN, INFER, EXPORT, CHECK, RECORD),
    "val_data_type": RUNNING,
    **dict.fromkeys(("train_annotations", "train_images"), (TRAIN, INFER, EXPORT, CHECK, RECORD)),
    **dict.fromkeys(("val_dataset", "val_annotations", "val_images"), (*RUNNING, RECORD, *FILES)),
}  # fmt: skip
DETECTION, CLASSIFICATION, SEGMENTATION = "detection", "classification", "segmentation"
OF_TASK = {  # the same of one task, where the others' commands are others
    (DETECTION, "eval_flip"): (EVAL, INFER),
    (DETECTION, "eval_scales"): (EVAL, INFER),
}
TASKS = {  # key or section: tasks that read it
    **dict.fromkeys(
        (
            "detector", "box_style", "neck", "rpn", "bbox_head", "cascade", "mask_head", "point_head", "roi",
            "mask_roi", "train_cfg", "test_cfg", "train_data_type", "val_data_type", "mindrecord_dir",
            "mindrecord_shards", "train_dataset_num", "train_dataset_divider", "filter_empty_gt", "coco_classes",
            "classes", "crowd_rle", "num_gts", "mask_divider", "resize", "resize_limits", "train_resize",
            "eval_padding", "pad_colour", "expand_ratio",
            "mosaic", "copy_paste", "copy_paste_max", "copy_paste_selected", "copy_paste_box_shift",
            "copy_paste_least_pixels",
            "repeat_threshold",
            "train_scales", "large_scale_jitter",
            "infer_score_thr", "infer_format", "analysis", "prediction_path", "draw_score_thr", "tile_overlap",
        ),
        (DETECTION,),
    ),
    **dict.fromkeys(
        (
            "cls_head", "label_smoothing", "eval_resize", "crop_scale", "crop_ratio",
            "class_balanced", "rand_augment", "rand_augment_magnitude", "mixup", "cutmix", "eval_smoothing",
            "auto_augment", "mixup_mode", "mixup_prob", "mixup_switch_prob", "cutmix_minmax",
        ),
        (CLASSIFICATION,),
    ),
    **dict.fromkeys(
        (
            "segmenter", "seg_head", "class_weights", "loss_over_all", "ohem", "ohem_threshold", "ohem_min_kept",
            "dataset", "ignore_label", "base_size", "scale_range", "eval_mode", "eval_stride", "eval_label_size",
            "flip_swaps_labels",
        ),
        (SEGMENTATION,),
    ),
    "class_names": (CLASSIFICATION, SEGMENTATION),
    **dict.fromkeys(
        ("keep_ratio", "format_only", "eval_width", "eval_height", "eval_flip", "eval_scales"),
        (DETECTION, SEGMENTATION),
    ),
    "draw_colours": (DETECTION, CLASSIFICATION),
    "divider": (DETECTION, CLASSIFICATION),
}  # fmt: skip
PLAIN = ("mask_rcnn", "pointrend", "faster_rcnn")  # one box head
WITH_MASKS = ("mask_rcnn", "pointrend", "cascade_mask_rcnn")
DETECTORS = {  # key or section: detectors that read it
    "detector": (*PLAIN, *CASCADES),
    **dict.fromkeys(
        ("mask_head", "mask_roi", "train_cfg.rcnn.mask_size", "test_cfg.rcnn.mask_thr_binary"), WITH_MASKS
    ),
    "train_cfg.rcnn.train_on_pred_boxes": ("mask_rcnn", "pointrend"),
    "cascade": tuple(CASCADES),
    "cascade.mask_heads": ("cascade_mask_rcnn",),
    **dict.fromkeys(
        (
            "bbox_head.bbox_coder.target_stds", "train_cfg.rcnn.assigner.pos_iou_thr",
            "train_cfg.rcnn.assigner.neg_iou_thr", "train_cfg.rcnn.assigner.min_pos_iou",
            "train_cfg.rcnn.assigner.match_low_quality",
        ),
        PLAIN,
    ),
    **dict.fromkeys(
        (
            "point_head", "mask_head.num_fcs", "mask_head.fc_out_channels", "mask_head.background_class",
            "mask_head.weight_init",
            "train_cfg.rcnn.num_points", "train_cfg.rcnn.oversample_ratio", "train_cfg.rcnn.importance_sample_ratio",
            "test_cfg.rcnn.subdivision_steps", "test_cfg.rcnn.subdivision_num_points",
            "test_cfg.rcnn.subdivision_resize",
        ),
        ("pointrend",),
    ),
    "mask_head.num_convs": ("mask_rcnn", "cascade_mask_rcnn"),
}  # fmt: skip
SEGMENTERS = {  # key or section: segmenters that read it
    "seg_head.final_conv_kernel": ("fcn", "pointrend"),
    "seg_head.ocr": ("ocr",),
    "seg_head.pointrend": ("pointrend",),
}
EVALUATED_SIZE = {DETECTION: has_orientations}  # task: when it reads eval_width and eval_height, if not always
ADAMS = ("adam", "adamw")
# What another key must be for a key to be read, and how that is said.
CONDITIONS: dict[str, tuple[Callable[[Config], Any], str]] = {
    **dict.fromkeys(("ohem_threshold", "ohem_min_kept"), (lambda cfg: cfg.ohem, "ohem")),
    "loss_over_all": (lambda cfg: not cfg.ohem or cfg.segmenter == "ocr", "ohem 0"),
    "report_dir": (lambda cfg: not cfg.format_only, "format_only 0"),
    "font": (lambda cfg: cfg.report_dir or cfg.sample_pictures or cfg.draw, "report_dir, sample_pictures or draw"),
    **dict.fromkeys(("draw_score_thr", "draw_colours"), (lambda cfg: cfg.draw, "draw")),
    **dict.fromkeys(("mlflow_uri", "mlflow_experiment"), (lambda cfg: cfg.mlflow, "mlflow")),
    **dict.fromkeys(
        ("eval_every", "eval_start", "keep_best_checkpoints_max", "patience", "sample_pictures", "val_loss"),
        (lambda cfg: cfg.run_eval, "run_eval"),
    ),
    **dict.fromkeys(
        ("copy_paste_max", "copy_paste_selected", "copy_paste_box_shift", "copy_paste_least_pixels"),
        (lambda cfg: cfg.copy_paste, "copy_paste"),
    ),
    "rand_augment_magnitude": (lambda cfg: cfg.rand_augment, "rand_augment"),
    "mixup_mode": (lambda cfg: _mixes(cfg), "mixup, cutmix or cutmix_minmax"),
    "mixup_prob": (
        lambda cfg: _mixes(cfg) and _mixes_as_timm(cfg), "mixup or cutmix, and mixup_mode batch, pair, elem"
    ),
    "mixup_switch_prob": (
        lambda cfg: cfg.mixup and (cfg.cutmix or cfg.cutmix_minmax) and _mixes_as_timm(cfg),
        "mixup, cutmix, and mixup_mode batch, pair, elem",
    ),
    **dict.fromkeys(("amp_level", "fast_inference"), (lambda cfg: cfg.backend == "mindspore", "backend mindspore")),
    "amp_dtype": (
        lambda cfg: cfg.backend == "mindspore" and cfg.amp_level != "O0", "backend mindspore and amp_level O1 or O2"
    ),
    **dict.fromkeys(
        ("loss_scale_init", "loss_scale_window", "loss_scale_overflows"),
        (lambda cfg: cfg.loss_scale == "dynamic" and cfg.amp_level != "O0", "loss_scale dynamic and amp_level O1, O2"),
    ),
    "deterministic": (lambda cfg: cfg.device_target != "CPU", "device_target GPU or Ascend"),
    "grad_clip_by": (lambda cfg: cfg.grad_clip, "grad_clip"),
    **dict.fromkeys(("calibration_data", "calibration_images"), (lambda cfg: cfg.quantize == "int8", "quantize int8")),
    "tile_overlap": (lambda cfg: cfg.tile, "tile"),
    "base_batch_size": (lambda cfg: cfg.scale_lr, "scale_lr"),
    "compile_cache_path": (lambda cfg: cfg.compile_cache, "compile_cache"),
    "lr_steps": (lambda cfg: cfg.lr_type == "multistep", "lr_type multistep"),
    "lr_power": (lambda cfg: cfg.lr_type == "poly", "lr_type poly"),
    **dict.fromkeys(
        ("min_lr", "lr_epochs", "lr_base_step"),
        (lambda cfg: cfg.lr_type != "multistep", "another lr_type than multistep"),
    ),
    "warmup_step": (lambda cfg: not cfg.warmup_epochs, "warmup_epochs 0"),
    "warmup_ratio": (lambda cfg: not cfg.lr_init, "lr_init 0"),
    "opt_eps": (lambda cfg: cfg.opt_type in (*ADAMS, "rmsprop"), "opt_type adam, adamw or rmsprop"),
    **dict.fromkeys(("beta1", "beta2"), (lambda cfg: cfg.opt_type in ADAMS, "opt_type adam or adamw")),
    "momentum": (lambda cfg: cfg.opt_type not in ADAMS, "another opt_type than adam and adamw"),
    "rpn.loss_bbox.beta": (lambda cfg: cfg.rpn.loss_bbox.type == "smooth_l1", "rpn.loss_bbox.type smooth_l1"),
    "bbox_head.loss_bbox.beta": (
        lambda cfg: cfg.bbox_head.loss_bbox.type == "smooth_l1", "bbox_head.loss_bbox.type smooth_l1"
    ),
    "test_cfg.rcnn.iou_threshold": (lambda cfg: not _is_soft(cfg, "gaussian"), "test_cfg.rcnn.soft_nms.method linear"),
    "test_cfg.rcnn.soft_nms.method": (lambda cfg: _is_soft(cfg), "test_cfg.rcnn.nms soft"),
    "test_cfg.rcnn.soft_nms.min_score": (lambda cfg: _is_soft(cfg), "test_cfg.rcnn.nms soft"),
    "test_cfg.rcnn.soft_nms.sigma": (
        lambda cfg: _is_soft(cfg, "gaussian"), "test_cfg.rcnn.nms soft and test_cfg.rcnn.soft_nms.method gaussian"
    ),
    "sync_batchnorm": (lambda cfg: cfg.run_distribute, "run_distribute"),
    "resize_limits": (
        lambda cfg: has_orientations(cfg) or trains_by_orientation(cfg),
        "keep_ratio 1 and resize or train_resize short_long",
    ),
    "eval_padding": (
        lambda cfg: has_orientations(cfg) and cfg.backend == "mindspore",
        "resize short_long, keep_ratio 1 and backend mindspore",
    ),
    **dict.fromkeys(
        ("eval_width", "eval_height"),
        (lambda cfg: EVALUATED_SIZE.get(cfg.task, bool)(cfg), "resize short_long and keep_ratio 1"),
    ),
}
# The page of the data reads what makes samples and no more of a run.
OF_RUNS = {
    item.name
    for kind in (
        OptimizerKeys, LearningRateKeys, ScheduleKeys, RunKeys, DeviceKeys, EvaluationKeys, CommandKeys, ConvertKeys,
        InferenceKeys,
    )
    for item in fields(kind)
} - {"seed", "batch_size", "font", "train_outputs"}  # fmt: skip
MODELARTS = ("data_url", "eval_data_url", "checkpoint_url", "train_url", "data_path", "output_path", "load_path")
COPYING = (TRAIN, EVAL, INFER, EXPORT)  # with enable_modelarts
# The page reads what makes infer.py's predictions, and nothing of the files that this reads and writes.
NOT_SERVED = {name for name, readers in COMMANDS.items() if readers == (INFER,)} - {"infer_score_thr"} | {
    "pred_output", "font", "allow_outside"
}  # fmt: skip


def _mixes(cfg: Config) -> bool:
    return bool(cfg.mixup or cfg.cutmix or cfg.cutmix_minmax)


def _mixes_as_timm(cfg: Config) -> bool:
    return cfg.mixup_mode != PERMUTED


def _is_soft(cfg: Config, *methods: str) -> bool:
    """Whether the last NMS is Soft-NMS, by one of these methods where some are named."""
    test = cfg.test_cfg.rcnn
    return test.nms == "soft" and (not methods or test.soft_nms.method in methods)


def tell_unread(cfg: Config, command: str, used: set[str] = frozenset()) -> None:
    """Log every key of the command line that `command` does not read, with the reason.

    used: keys that have acted under another name. An empty command reads everything.
    """
    reasons: dict[str, list[str]] = {}
    for leaf in leaves(cfg) if command else ():
        if leaf.name in cfg.typed and leaf.name not in used and (reason := next(_reasons(cfg, leaf, command), "")):
            reasons.setdefault(reason, []).append(leaf.name)
    if reasons:
        told = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        logger.warning("keys without effect (%s): %s", command if command == LOAD else "command line", told)


def _reasons(cfg: Config, leaf: Leaf, command: str) -> Iterator[str]:
    """Why nothing reads a key."""
    if (command, leaf.name) == (LOAD, "font"):  # of what results draw
        return
    if leaf.name in MODELARTS and not (cfg.enable_modelarts and command in COPYING):
        yield f"{command} reads it with enable_modelarts alone" if command in COPYING else f"{command} does not read it"
    if leaf.name == "enable_modelarts" and command not in COPYING:
        yield f"{command} does not read it"
    usual = OF_TASK.get((cfg.task, leaf.name)) or COMMANDS.get(leaf.name) or BY_REACH.get(leaf.matters, ALL)
    if command == EXPORT and cfg.quantize == "int8" and EVAL in usual:  # which it evaluates
        usual = (*usual, EXPORT)
    on_cpu = command in ON_CPU and (leaf.name, leaf.value) in (("device_target", "CPU"), ("mode", "pynative"))
    if command in ALL and command not in usual and not on_cpu and not _defines(leaf, command):
        yield f"{command} does not read it"
    if command == BROWSE and leaf.name in OF_RUNS:
        yield f"{command} does not read it"
    if command in (SERVE, LOAD) and (INFER not in usual or leaf.name in NOT_SERVED):
        yield f"{command} does not read it"
    for kind, table in (("task", TASKS), ("detector", DETECTORS), ("segmenter", SEGMENTERS)):
        own = getattr(cfg, kind)
        if _is_of_others(table, leaf.name, own):
            yield f"{kind} {own} does not read it"
    if leaf.name in CONDITIONS and (command, leaf.name) != (BROWSE, "font") and not CONDITIONS[leaf.name][0](cfg):
        yield f"read with {CONDITIONS[leaf.name][1]} alone"


def _defines(leaf: Leaf, command: str) -> bool:
    """Whether the converter compares the key with what the converted network computes."""
    return command == CONVERT and "." in leaf.name and leaf.matters == "scores"


def _is_of_others(table: dict[str, tuple[str, ...]], name: str, own: str) -> bool:
    """Whether a key, or the innermost section around it that the table has, is read by others than `own`."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    readers = next((table[prefix] for prefix in prefixes if prefix in table), ())
    return bool(readers) and own not in readers and any(own in others for others in table.values())
