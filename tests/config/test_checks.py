"""Values that do not fit one another are refused with the keys that they stand at."""

from pathlib import Path

import pytest

from src.config import default_config, has_open_classes, load_config
from src.errors import UserError
from tests.config.refused import refusal


@pytest.mark.parametrize("key", ["img_width", "img_height"])
def test_the_image_size_must_be_a_multiple_of_divider_and_of_8(write, key):
    message = refusal(write(), f"--{key}", "1000")
    assert key in message and "1000" in message and "32" in message
    assert "8" in refusal(write(), f"--{key}", "100", "--divider", "4")


@pytest.mark.parametrize(
    ("classes", "number"),
    [
        ("[circle, square]", 2),
        ("[background, circle, circle]", 3),
        ("[background, circle]", 3),
        ("[]", 2),
        ("circle", 2),
        ("[background, yes]", 2),
        ("[background, '']", 2),
    ],
)
def test_class_lists_that_cannot_be_are_refused(write, classes, number):
    message = refusal(write(f"coco_classes: {classes}\nnum_classes: {number}\n", classes=""))
    assert "coco_classes" in message


def test_classes_that_are_left_to_the_labels_by_one_key_alone_are_told_of_the_other(write):
    message = refusal(write(), "--coco_classes", "[]")
    assert "coco_classes is empty, but num_classes is 2" in message and "num_classes to 81" in message
    opened = load_config(write(), ["--coco_classes=[]", "--num_classes=81"])
    assert has_open_classes(opened)


def test_soft_nms_has_no_inclusive_form_and_losses_of_boxes_no_legacy_one(write):
    message = refusal(write(), "--test_cfg.rcnn.nms", "soft", "--test_cfg.rcnn.inclusive_nms", "1")
    assert "test_cfg.rcnn.inclusive_nms" in message and "'soft'" in message
    legacy = ("--box_style", "legacy", "--roi.roi_layer.aligned", "0", "--mask_roi.roi_layer.aligned", "0")
    for head in ("rpn", "bbox_head"):
        message = refusal(write(), *legacy, f"--{head}.loss_bbox.type", "ciou")
        assert f"{head}.loss_bbox.type ciou" in message and "box_style" in message
    assert "'smooth_l1', 'l1', 'giou', 'ciou'" in refusal(write(), "--rpn.loss_bbox.type", "GIoULoss")


@pytest.mark.parametrize("name", ["num_blocks", "num_channels"])
def test_a_stage_needs_one_entry_for_each_branch(write, name):
    stages = "backbone: {extra: {stage2: {num_branches: 2, num_blocks: [4, 4], num_channels: [8, 8]}}}\n"
    message = refusal(write(stages), f"--backbone.extra.stage2.{name}", "[4]")
    assert f"backbone.extra.stage2.{name}" in message and "[4]" in message


@pytest.mark.parametrize(
    "key,value,said",
    [
        ("class_weights", "1,2", "class_weights has 2 numbers"),
        ("ignore_label", "7", "ignore_label is 7"),
        ("scale_range", "2,0.5", "scale_range"),
        ("eval_scales", "[]", "eval_scales is empty"),
        ("eval_label_size", "input", "eval_label_size input is for stretched images: set keep_ratio to 0"),
        ("dataset", "camvid", "dataset is 'camvid'"),
        ("label_colours", "[[0, 0, 0], [1, 1, 1]]", "label_colours is for dataset custom"),
    ],
)
def test_segmentation_keys_that_do_not_fit_are_refused(key, value, said):
    config = str(Path(__file__).parents[2] / "configs" / "hrnet_w18_seg_cityscapes.yaml")
    with pytest.raises(UserError, match=said):
        load_config(config, [f"--{key}", value])


@pytest.mark.parametrize(
    "keys,said",
    [
        (["cascade.pos_iou_thr", "[0.5]"], "lengths: cascade.stage_loss_weights 3, cascade.pos_iou_thr 1, cascade.ta"),
        (["cascade.target_stds", "[[1, 1, 1, 1], [1, 1], [1, 1, 1, 1]]"], r"target_stds has \[1.0, 1.0\]; .* four num"),
        (["cascade.target_stds", "[0.1, 0.1, 0.2]"], "cascade.target_stds must be a list of lists"),
        (["train_cfg.rcnn.train_on_pred_boxes", "1"], "train_on_pred_boxes is not for detector cascade_mask_rcnn"),
        (["mask_head.boxes", "likeliest"], "mask_head.boxes likeliest is for detector mask_rcnn"),
        (
            ["box_style", "legacy", "--roi.roi_layer.aligned", "0", "--mask_roi.roi_layer.aligned", "0"],
            "detector cascade_mask_rcnn knows box_style continuous alone",
        ),
    ],
)
def test_stages_of_a_cascade_that_do_not_fit_are_refused(keys, said):
    config = str(Path(__file__).parents[2] / "configs" / "demo" / "cascade_mask_rcnn_hrnet_shapes.yaml")
    with pytest.raises(UserError, match=said):
        load_config(config, [f"--{keys[0]}", *keys[1:]])


@pytest.mark.parametrize(
    "config,key,value,said",
    [
        ("hrnet_w48_cls_mindspore", "cls_head.conv_init", "HeNormal", "conv_sigma is of cls_head.conv_init Truncated"),
        ("mask_rcnn_r50_fpn_mindspore", "mask_head.weight_init", "Normal", "weight_init is of detector pointrend"),
    ],
)
def test_keys_that_would_do_nothing_beside_another_are_refused(config, key, value, said):
    with pytest.raises(UserError, match=said):
        load_config(str(Path(__file__).parents[2] / "configs" / f"{config}.yaml"), [f"--{key}", value])


def test_keys_of_masks_stop_no_detector_without_masks():
    config = str(Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_fpn_mindspore.yaml")
    assert load_config(config, ["--detector", "faster_rcnn"]).mask_head.boxes == "likeliest"


FLIP, SCALES = ("--eval_flip", "1"), ("--eval_scales", "[0.5, 1]")
NOT_CONTINUOUS = ("--box_style", "legacy", "--roi.roi_layer.aligned", "0", "--mask_roi.roi_layer.aligned", "0")


@pytest.mark.parametrize(
    "keys,said",
    [
        ((*FLIP, *NOT_CONTINUOUS), "eval_flip is of box_style continuous; it is 'legacy'"),
        ((*SCALES, "--resize", "fit_twice"), "eval_scales is of resize fit or short_long; it is 'fit_twice'"),
        ((*FLIP, "--test_cfg.rcnn.nms", "soft"), "eval_flip merges views by test_cfg.rcnn.nms nms; it is 'soft'"),
        ((*FLIP, "--test_cfg.rcnn.inclusive_nms", "1"), "set test_cfg.rcnn.inclusive_nms to 0"),
        ((*FLIP, "--mask_head.boxes", "likeliest"), "mask_head.boxes is 'likeliest', set it to detected"),
        ((*FLIP, "--backend", "onnx"), "eval_flip with masks is of backend mindspore; it is 'onnx'"),
        (
            (*FLIP, *SCALES, "--backend", "mindir", "--detector", "faster_rcnn"),
            r"eval_scales is [0.5, 1.0], but an exported file takes images of one size: [1]",
        ),
        (("--eval_scales", "[]"), "eval_scales is empty; it must name one scale at least"),
        (("--eval_scales", "[10]", "--test_batch_size", "64"), "test_batch_size is 64: as many images of 10240x10240"),
        (("--eval_scales", "[11]"), "eval_scales"),
        (("--eval_scales", "1,0.5,1"), "eval_scales is [1.0, 0.5, 1.0]; 1 twice shows nothing new"),
    ],
)
def test_views_of_a_detector_that_do_not_go_with_other_keys_are_refused(write, keys, said):
    assert said in refusal(write(), "--img_width", "1024", "--img_height", "1024", *keys)


@pytest.mark.parametrize(
    "keys", [(), ("--test_cfg.rcnn.nms_class_agnostic", "1"), ("--resize", "short_long"), ("--keep_ratio", "0")]
)
def test_views_of_a_detector_go_with_these(write, keys):
    cfg = load_config(write(), [*FLIP, *SCALES, *keys])
    assert cfg.eval_flip and cfg.eval_scales == [0.5, 1.0]
    load_config(write(), [*FLIP, "--backend", "onnx", "--detector", "faster_rcnn", *keys])


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_tiles_are_of_detection(task):
    words = ["--task", task, "--dataset", "lip", "--num_classes", "20", "--class_weights", "[]"]
    assert default_config(words).tile == 0
    with pytest.raises(UserError, match="tile is 64, which is for detection: ") as caught:
        default_config([*words, "--tile", "64"])
    assert "\n" not in str(caught.value)


def test_the_size_and_the_overlap_of_tiles_have_bounds(write):
    assert "tile is 7; it must be at least 8" in refusal(write(), "--tile", "7")
    for key, value in (("tile", "-1"), ("tile", "20000"), ("tile_overlap", "0.95"), ("tile_overlap", "-0.1")):
        assert key in refusal(write(), f"--{key}", value)
    cfg = load_config(write(), ["--tile", "1024", "--tile_overlap", "0.2"])
    assert (cfg.tile, cfg.tile_overlap) == (1024, 0.2)
