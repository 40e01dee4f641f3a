"""The ready configurations of the MindSpore originals hold the values of the originals' code."""

from functools import reduce
from pathlib import Path

import pytest

from src.config import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
DETECTION = {
    "opt_type": "momentum", "momentum": 0.91, "lr": 0.02, "weight_decay": 1e-4, "norm_bias_decay": "mindspore",
    "lr_type": "cosine_after_warmup", "warmup_first_step": 0, "lr_epochs": 13, "epoch_size": 12, "min_lr": 0,
    "expand_ratio": 0.5, "flip_ratio": 0.5, "pad_colour": "black", "box_style": "legacy", "filter_empty_gt": False,
    "keep_checkpoint_max": 12, "backbone.frozen_stages": 1, "backbone.norm_eval": True, "num_gts": 128,
    "train_cfg.rpn.sampler.num": 256, "train_cfg.rpn.sampler.pos_fraction": 0.5, "train_cfg.rcnn.sampler.num": 512,
    "train_cfg.rcnn.sampler.pos_fraction": 0.25, "train_cfg.rcnn.sampler.add_gt_as_proposals": True,
    "bbox_head.loss_bbox.beta": 1.0, "train_cfg.rpn_proposal.max_per_img": 2000,
}  # fmt: skip
SEGMENTATION = {
    "opt_type": "adam", "nesterov": True, "opt_eps": 1e-8, "lr": 1e-4, "min_lr": 1e-7, "lr_type": "cosine",
    "warmup_step": 0, "weight_decay": 1e-5, "norm_bias_decay": "mindspore", "loss_scale": 1024, "epoch_size": 600,
    "batch_size": 4, "save_every_epochs": 5, "keep_checkpoint_max": 10, "seg_head.conv_init": "HeUniform",
    "ignore_label": 255, "backbone.norm_cfg.momentum": 0.01, "eval_every": 50,
}  # fmt: skip
RECIPES = {
    "hrnet_w48_cls_mindspore": {
        "opt_type": "rmsprop", "momentum": 0.9, "opt_eps": 1e-3, "lr": 0.01, "lr_init": 1e-4, "min_lr": 1e-5,
        "lr_type": "linear", "warmup_epochs": 2, "warmup_first_step": 0, "epoch_size": 120, "batch_size": 16,
        "weight_decay": 1e-5, "norm_bias_decay": "mindspore", "loss_scale": 1024, "save_every_epochs": 1,
        "keep_checkpoint_max": 10, "cls_head.conv_init": "TruncatedNormal", "cls_head.conv_sigma": 0.027,
        "cls_head.conv_bias_init": "uniform", "cls_head.dense_init": "RandomNormal", "eval_smoothing": True,
        "crop_scale": [0.08, 1.0], "crop_ratio": [0.75, 1.333], "eval_resize": 256, "eval_every": 10,
    },
    "hrnet_w48_seg_cityscapes_mindspore": SEGMENTATION | {"img_width": 1024, "img_height": 512, "base_size": 2048},
    "hrnet_w48_seg_lip_mindspore": SEGMENTATION | {
        "img_width": 473, "img_height": 473, "flip_swaps_labels": False, "eval_label_size": "input", "eval_flip": True,
        "keep_ratio": False, "class_weights": [],
    },
    "mask_rcnn_r50_fpn_mindspore": DETECTION | {
        "batch_size": 2, "loss_scale": 1024, "warmup_step": 500, "warmup_ratio": 0.333333, "lr_base_step": 58633,
        "save_every_epochs": 1, "grad_clip": 0, "frozen_parts": [],
    },
    "pointrend_r50_fpn_mindspore": DETECTION | {
        "batch_size": 4, "loss_scale": 1, "warmup_step": 10000, "warmup_ratio": 1 / 3, "lr_base_step": 29316,
        "save_every_epochs": 0.5, "grad_clip": 1, "grad_clip_by": "tensor", "mask_head.weight_init": "Normal",
        "frozen_parts": ["backbone", "neck", "rpn_head", "bbox_head"], "train_cfg.rcnn.train_on_pred_boxes": False,
        "train_cfg.rcnn.num_points": 196, "train_cfg.rcnn.importance_sample_ratio": 0.75,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_configuration_of_an_original_has_its_codes_values(name):
    cfg = load_config(str(CONFIGS / f"{name}.yaml"))
    found = {key: reduce(getattr, key.split("."), cfg) for key in RECIPES[name]}
    assert found == RECIPES[name]


def test_smoothing_over_all_classes_is_the_originals_over_the_others():
    cfg = load_config(str(CONFIGS / "hrnet_w48_cls_mindspore.yaml"))
    other = cfg.label_smoothing / cfg.num_classes
    assert other == pytest.approx(0.1 / 999, rel=1e-12) and 1 - 999 * other == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_says_first_whose_recipe_it_follows(path):
    head = path.read_text(encoding="utf-8").partition("_base_")[0]
    recipe = head.partition("# Recipe: ")[2]
    assert recipe and ("MindSpore" in recipe or "PyTorch" in recipe)
    assert ("as its code has it" in recipe) == path.stem.endswith("_mindspore")
