"""Values of a configuration that must fit one another. A further task is a check and a line in TASK_CHECKS.

Nothing is imported from the schema, whose key `task` takes its allowed values from here: `cfg` is a filled Config.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import UserError, listed, short
from .choices import AUTO, CASCADES, LEAST_SIDE, MOST_BATCH, NUM_CLASSES, WITHOUT_MASKS
from .classification_checks import check_augmentations
from .orientation import evaluated_input, has_orientations, trains_by_orientation
from .train_sets import check_train_sets, texts
from .transform_checks import check_transforms
from .views import has_views, holding, least_side, scaled_sides


def check_together(cfg: Any) -> None:
    """Raise UserError for values that do not fit one another."""
    if cfg.end_epoch and not cfg.begin_epoch < cfg.end_epoch <= cfg.epoch_size:
        raise UserError(
            f"end_epoch is {cfg.end_epoch}; it must lie above begin_epoch {cfg.begin_epoch} and at most at epoch_size "
            f"{cfg.epoch_size}"
        )
    if cfg.begin_epoch >= cfg.epoch_size:
        raise UserError(f"begin_epoch is {cfg.begin_epoch}; the schedule has only {cfg.epoch_size} epochs (epoch_size)")
    if cfg.nesterov and cfg.opt_type != "adam":
        raise UserError(f"nesterov is for opt_type adam; it is {cfg.opt_type!r}")
    if cfg.opt_type == "adam" and not (cfg.beta1 and cfg.beta2):
        raise UserError(f"beta1 is {cfg.beta1:g} and beta2 {cfg.beta2:g}; opt_type adam needs both above 0")
    _check_sizes(cfg)
    _check_window(cfg)
    check_train_sets(cfg)
    _check_backbone(cfg)
    TASK_CHECKS[cfg.task](cfg)


def has_open_classes(cfg: Any) -> bool:
    """Whether a detector's classes are those of a label file: neither coco_classes nor num_classes says them."""
    return cfg.coco_classes in ([], ["background"]) and cfg.num_classes == NUM_CLASSES


def has_masks(cfg: Any) -> bool:
    """Whether a configuration's detector gives masks, and so learns from masks and is scored on them.

    The one place where a detector's name says so. Of a network ask whether its `output_names` have "masks".
    """
    return cfg.detector not in WITHOUT_MASKS


def check_image_size(cfg: Any, *divisors: tuple[int, str], names: Sequence[str] = ("img_width", "img_height")) -> None:
    """Both sides must be multiples of the divisors, each with its reason."""
    for name in names:
        value = getattr(cfg, name)
        for divisor, why in divisors:
            if value % divisor:
                raise UserError(f"{name} is {value}; it must be a multiple of {divisor} ({why})")


def check_named_classes(cfg: Any) -> None:
    """What every task but detection asks of the classes and of the data's format."""
    kinds = (*texts(cfg.train_data_type), cfg.val_data_type)
    named = [name for name in kinds if name not in (AUTO, "coco")]
    if named:
        raise UserError(f"train_data_type, val_data_type: {named[0]} holds detection data; task is {cfg.task!r}")
    if cfg.class_names and len(cfg.class_names) != cfg.num_classes:
        raise UserError(f"num_classes is {cfg.num_classes}, but class_names has {len(cfg.class_names)} names")


def _check_sizes(cfg: Any) -> None:
    if 0 < cfg.input_size < LEAST_SIDE:
        raise UserError(f"input_size is {cfg.input_size}; it must be at least {LEAST_SIDE}")
    for name in ("batch_size", "test_batch_size", "export_batch"):
        _check_batch(name, getattr(cfg, name), cfg.img_width, cfg.img_height)


def _check_batch(name: str, images: int, width: int, height: int) -> None:
    size = images * width * height * 12  # three channels of float32
    if size > MOST_BATCH:
        raise UserError(
            f"{name} is {images}: as many images of {width}x{height} pixels take {size / 2**30:.0f} GiB, and a batch "
            f"may take {MOST_BATCH / 2**30:.0f}"
        )


def _check_window(cfg: Any) -> None:
    window = cfg.image_window
    if window and not (len(window) == 2 and window[0] < window[1]):
        raise UserError(f"image_window is {short(window)}; it must be [LOW, HIGH], the lower number first, or empty")


def _check_detection(cfg: Any) -> None:
    check_image_size(cfg, (cfg.divider, "divider"), (8, "masks are packed eight pixels a byte"))
    if 0 < cfg.tile < LEAST_SIDE:
        raise UserError(f"tile is {cfg.tile}; it must be at least {LEAST_SIDE}, or 0 for whole images")
    for key, is_so in (("resize", has_orientations(cfg)), ("train_resize", trains_by_orientation(cfg))):
        if is_so:
            _check_short_long(cfg, key)
    _check_box_style(cfg)
    _check_scales(cfg)
    if has_views(cfg):
        _check_views(cfg)
    check_transforms(cfg)
    if cfg.detector in CASCADES:
        _check_cascade(cfg)
    names = cfg.coco_classes
    if has_open_classes(cfg):
        _check_assigners(cfg)
        return
    if not names:
        raise UserError(
            f"coco_classes is empty, but num_classes is {cfg.num_classes}: name background and the classes, or set "
            f"num_classes to {NUM_CLASSES}, which leaves both to the training labels"
        )
    if names[0] != "background":
        raise UserError(f"coco_classes must start with 'background', not {short(names[:1])}")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UserError(f"coco_classes names {listed(twice)} more than once")
    if not all(name.strip() for name in names):
        places = [place for place, name in enumerate(names) if not name.strip()]
        raise UserError(f"coco_classes has an empty name, at place {places[0]} (from 0)")
    if len(names) != cfg.num_classes:
        raise UserError(f"num_classes is {cfg.num_classes}, but coco_classes has {len(names)} names with 'background'")
    _check_assigners(cfg)


def _check_short_long(cfg: Any, key: str) -> None:
    if cfg.box_style == "legacy":
        other = " or fit_twice" * (key == "resize")
        raise UserError(f"{key} short_long is of box_style continuous; it is 'legacy': set {key} to fit{other}")
    if cfg.resize == "fit_twice":
        raise UserError(f"{key} short_long does not go with resize fit_twice, which trains so too: set {key} to fit")
    if len(cfg.resize_limits) == 1:
        raise UserError(f"resize_limits is {cfg.resize_limits}; it has the limits of both sides, [1333, 800], or none")
    check_image_size(cfg, (cfg.divider, "divider"), names=("eval_width", "eval_height"))
    width, height = cfg.eval_width or cfg.img_width, cfg.eval_height or cfg.img_height
    if min(width, height) < LEAST_SIDE:
        raise UserError(f"eval_width, eval_height: {width}x{height} is too small: {LEAST_SIDE} is the least of a side")
    _check_batch("test_batch_size", cfg.test_batch_size, width, height)
    if cfg.eval_padding == "own" and cfg.test_batch_size > 1:
        raise UserError(f"eval_padding own is for one image at a time: test_batch_size is {cfg.test_batch_size}, not 1")


def _check_scales(cfg: Any) -> None:
    if not cfg.eval_scales:
        raise UserError("eval_scales is empty; it must name one scale at least")


def _check_views(cfg: Any) -> None:
    """What a detector can be run on several views of an image with."""
    which = "eval_flip" if cfg.eval_flip else "eval_scales"
    test, scaled = cfg.test_cfg.rcnn, list(cfg.eval_scales) != [1]
    if cfg.box_style == "legacy":
        raise UserError(f"{which} is of box_style continuous; it is 'legacy'")
    if cfg.resize == "fit_twice":
        raise UserError(f"{which} is of resize fit or short_long; it is 'fit_twice'")
    if test.nms == "soft":
        raise UserError(
            f"{which} merges views by test_cfg.rcnn.nms nms; it is 'soft', which keeps what a merge would drop"
        )
    if test.inclusive_nms:
        raise UserError(f"{which} merges views by continuous boxes: set test_cfg.rcnn.inclusive_nms to 0")
    if has_masks(cfg) and cfg.mask_head.boxes == "likeliest":
        raise UserError(f"{which} reads masks in the merged boxes; mask_head.boxes is 'likeliest', set it to detected")
    if cfg.backend != "mindspore" and scaled:
        raise UserError(f"eval_scales is {short(cfg.eval_scales)}, but an exported file takes images of one size: [1]")
    if cfg.backend != "mindspore" and has_masks(cfg):
        raise UserError(
            f"{which} with masks is of backend mindspore; it is {cfg.backend!r}: an exported file gives no masks of "
            "merged boxes"
        )
    for scale in cfg.eval_scales:
        if cfg.eval_scales.count(scale) > 1:
            raise UserError(f"eval_scales is {short(cfg.eval_scales)}; {scale:g} twice shows nothing new")
        width, height = holding(scaled_sides(evaluated_input(cfg), scale), cfg.divider, least_side(cfg))
        if min(width, height) < LEAST_SIDE:
            raise UserError(f"eval_scales: {scale:g} makes {width}x{height}: {LEAST_SIDE} is the least of a side")
        _check_batch("test_batch_size", cfg.test_batch_size, width, height)


def _check_box_style(cfg: Any) -> None:
    """The legacy boxes are those of RoIAlign's legacy form; some keys of the mask head are of one detector."""
    for key in ("roi", "mask_roi"):
        layer = getattr(cfg, key).roi_layer
        if cfg.box_style == "legacy" and layer.type == "RoIAlign" and layer.aligned:
            raise UserError(
                f"box_style is legacy, whose RoIAlign has no half-pixel shift: set {key}.roi_layer.aligned to 0"
            )
    for key in ("rpn", "bbox_head"):
        kind = getattr(cfg, key).loss_bbox.type
        if cfg.box_style == "legacy" and kind in ("giou", "ciou"):
            raise UserError(f"{key}.loss_bbox.type {kind} is for box_style continuous; it is 'legacy'")
    if cfg.test_cfg.rcnn.nms == "soft" and cfg.test_cfg.rcnn.inclusive_nms:
        raise UserError("test_cfg.rcnn.inclusive_nms is of test_cfg.rcnn.nms nms; it is 'soft'")
    if not has_masks(cfg):
        return
    if cfg.mask_head.weight_init != "Detectron2" and cfg.detector != "pointrend":
        raise UserError(f"mask_head.weight_init is of detector pointrend; detector is {cfg.detector!r}")
    if cfg.mask_head.boxes == "likeliest" and (cfg.detector != "mask_rcnn" or cfg.bbox_head.reg_class_agnostic):
        raise UserError("mask_head.boxes likeliest is for detector mask_rcnn with a box a class (reg_class_agnostic 0)")


def _check_cascade(cfg: Any) -> None:
    """Every stage has one of each; what only a detector of one box head can do."""
    lists = {name: getattr(cfg.cascade, name) for name in ("stage_loss_weights", "pos_iou_thr", "target_stds")}
    if len(set(map(len, lists.values()))) > 1:
        found = ", ".join(f"cascade.{name} {len(values)}" for name, values in lists.items())
        raise UserError(f"a cascade's lists have one entry for each stage, but they have different lengths: {found}")
    if wrong := [stds for stds in cfg.cascade.target_stds if len(stds) != 4]:
        raise UserError(f"cascade.target_stds has {short(wrong[0])}; a stage has four numbers")
    if cfg.box_style != "continuous":
        raise UserError(f"detector {cfg.detector} knows box_style continuous alone; it is {cfg.box_style!r}")
    if cfg.train_cfg.rcnn.train_on_pred_boxes:
        raise UserError(f"train_cfg.rcnn.train_on_pred_boxes is not for detector {cfg.detector}; set it to 0")


def _check_assigners(cfg: Any) -> None:
    for stage in ("rpn", "rcnn"):
        assigner = getattr(cfg.train_cfg, stage).assigner
        if assigner.neg_iou_thr > assigner.pos_iou_thr:
            raise UserError(
                f"train_cfg.{stage}.assigner.neg_iou_thr {assigner.neg_iou_thr} is above pos_iou_thr "
                f"{assigner.pos_iou_thr}"
            )


def _refuse_tiles(cfg: Any, why: str) -> None:
    if cfg.tile:
        raise UserError(f"tile is {cfg.tile}, which is for detection: {why}")


def _check_segmentation(cfg: Any) -> None:
    check_named_classes(cfg)
    _refuse_tiles(cfg, "segmentation takes windows of the network's size with eval_mode slide")
    if cfg.class_weights and len(cfg.class_weights) != cfg.num_classes:
        raise UserError(f"num_classes is {cfg.num_classes}, but class_weights has {len(cfg.class_weights)} numbers")
    if cfg.ignore_label < cfg.num_classes:
        raise UserError(f"ignore_label is {cfg.ignore_label}, a class: it must be at least num_classes")
    if cfg.keep_ratio and cfg.eval_label_size == "input":
        raise UserError("eval_label_size input is for stretched images: set keep_ratio to 0, or eval_label_size to own")
    if cfg.scale_range[0] > cfg.scale_range[1]:
        raise UserError(f"scale_range {cfg.scale_range} runs backwards")
    _check_label_colours(cfg)
    _check_scales(cfg)


def _check_label_colours(cfg: Any) -> None:
    colours = [tuple(colour) for colour in cfg.label_colours]
    if not colours:
        return
    if cfg.dataset != "custom":
        raise UserError(f"label_colours is for dataset custom; dataset is {cfg.dataset}, whose labels are numbers")
    if wrong := [colour for colour in cfg.label_colours if len(colour) != 3]:
        raise UserError(f"label_colours has {short(wrong[0])}; a colour is [red, green, blue]")
    if len(colours) not in (cfg.num_classes, cfg.num_classes + 1):
        raise UserError(
            f"num_classes is {cfg.num_classes}, but label_colours has {len(colours)} colours; it may have one more, of "
            "pixels that do not count"
        )
    if len(set(colours)) != len(colours):
        twice = next(colour for colour in colours if colours.count(colour) > 1)
        raise UserError(f"label_colours has {short(list(twice))} more than once")


def _check_classification(cfg: Any) -> None:
    check_image_size(cfg, (cfg.divider, "divider"))
    _refuse_tiles(cfg, "a classified image has one class")
    check_named_classes(cfg)
    check_augmentations(cfg)
    if cfg.cls_head.conv_sigma and cfg.cls_head.conv_init != "TruncatedNormal":
        raise UserError(
            f"cls_head.conv_sigma is of cls_head.conv_init TruncatedNormal; it is {cfg.cls_head.conv_init!r}"
        )


def _check_backbone(cfg: Any) -> None:
    if cfg.backbone.type != "hrnet":
        return
    for number in range(1, 5):
        stage = getattr(cfg.backbone.extra, f"stage{number}")
        for name in ("num_blocks", "num_channels"):
            if len(getattr(stage, name)) != stage.num_branches:
                raise UserError(
                    f"backbone.extra.stage{number}.{name} is {short(getattr(stage, name))}; it must have one entry for "
                    f"each of the {stage.num_branches} branches (num_branches)"
                )


TASK_CHECKS: dict[str, Callable[[Any], None]] = {
    "detection": _check_detection,
    "segmentation": _check_segmentation,  # its HRNet takes images of any size
    "classification": _check_classification,
}
