"""`new` on photographs: every number in its reasons is true; and what it writes trains, whatever the task."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.commands.new import new
from src.config import load_config
from src.data.start import recipe
from src.data.start.recipe import Wish
from src.data.synthetic.coco import write_coco
from src.data.synthetic.imagenet import write_imagenet
from src.engine.trainer import train
from src.models.detection.anchors import level_anchors
from tests.commands.new_files import TINY, goes_on, made, numbers, reasons, write_masks
from tests.photographs import write_photographs

ROOT = Path(__file__).parents[2]

@pytest.mark.parametrize("preset", recipe.PRESETS)
def test_every_number_in_a_reason_is_true_of_photographs(preset, tmp_path):
    coco = write_photographs(tmp_path / "coco")
    cfg = made(coco, tmp_path / "my.yaml", Wish(preset, memory=24))
    said = reasons(tmp_path / "my.yaml")
    content = {name: json.loads((coco / name / "labels.json").read_text()) for name in ("train", "validation")}
    images = {one["id"]: one for one in content["train"]["images"]}
    plain = [one for one in content["train"]["annotations"] if not one["iscrowd"]]
    shown = {one["image_id"] for one in plain}
    counts = Counter(one["image_id"] for one in content["train"]["annotations"])
    width, height = (float(np.median([one[side] for one in images.values()])) for side in ("width", "height"))
    sides, fitted, wide = [], [], []
    for one in plain:
        x, y, w, h = one["bbox"]
        image = images[one["image_id"]]
        scale = min(cfg.img_width / image["width"], cfg.img_height / image["height"])
        w, h = min(x + w, image["width"]) - max(x, 0), min(y + h, image["height"]) - max(y, 0)
        sides.append((w * h) ** 0.5)
        fitted.append((w * h) ** 0.5 * scale)
        wide.append((w * scale, h * scale))
    assert len(plain) == 100 and (cfg.task, cfg.num_classes) == ("detection", 81)
    assert numbers(said["detector"]) == [100, 100]
    assert numbers(said["train_dataset"]) == [len(images), len(shown)]
    assert numbers(said["val_dataset"]) == [len(content["validation"]["images"])]
    assert numbers(said["coco_classes"]) == numbers(said["num_classes"]) == [80]
    at = [cfg.img_width, cfg.img_height]
    below = round(100 * np.mean(np.array(fitted) < 32))
    medians = [round(float(np.median(one))) for one in (sides, fitted)]
    assert numbers(said["img_width"])[:8] == [width, height, medians[0], *at, medians[1], below, 32]
    assert numbers(said["num_gts"])[0] == max(counts.values()) == 25 and cfg.num_gts == 32
    if preset == "published":
        assert at == [1344, 800] and "scales" not in said
    else:
        least, most = {"tiny": (64, 256), "small": (256, 800)}[preset]
        standing = round(100 * np.mean([one["height"] > one["width"] for one in images.values()]))
        lying = round(100 * np.mean([one["width"] > one["height"] for one in images.values()]))
        bound = {"tiny": most, "small": 32}[preset]  # the longer side of images, or the smallest anchor's
        assert least <= max(at) <= most and numbers(said["img_width"])[8:] == [bound, standing, lying, 32]
    if "scales" in said:
        usual = load_config(str(ROOT / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml")).rpn.anchor_generator
        crowds = [one for one in content["train"]["annotations"] if one["iscrowd"]]
        for one in crowds:
            image = images[one["image_id"]]
            scale = min(at[0] / image["width"], at[1] / image["height"])
            wide.append((one["bbox"][2] * scale, one["bbox"][3] * scale))
        shares = []
        for scales in (cfg.rpn.anchor_generator.scales, [8]):
            cells = level_anchors((1, 1), 1, scales, usual.ratios)
            shapes = [stride * (cell[2:] - cell[:2]) for stride in usual.strides for cell in cells]
            best = [max(_iou(one, shape) for shape in shapes) for one in wide]
            shares.append(round(100 * np.mean(np.array(best) >= 0.7)))
        assert numbers(said["scales"]) == [shares[0], 0.7, *at, shares[1], 8]
    base = load_config(yaml.safe_load((tmp_path / "my.yaml").read_text())["_base_"])
    gib, own, largest, seen, epochs, each = {
        "tiny": (1.5, 1, 8, 4800, (6, 60), 8), "small": (13, 2, 8, 120_000, (12, 100), 16),
        "published": (4, 2, 16, 240_000, (12, 50), 16),
    }[preset]  # fmt: skip
    cost = float(f"{gib * at[0] * at[1] / 1e6:.3g}")
    fitting = int((24 - own) / (gib * at[0] * at[1] / 1e6))
    fair = len(shown) // 8
    assert numbers(said["batch_size"]) == [1, *at, cost, 24, own, fitting, len(shown), 8, fair, largest]
    assert cfg.batch_size == min(fitting, fair, largest)
    assert numbers(said["lr"]) == [base.lr, each, base.lr, cfg.batch_size, each]
    assert cfg.lr == pytest.approx(base.lr * cfg.batch_size / each, rel=1e-3)
    updates = len(shown) // cfg.batch_size
    run = updates * cfg.epoch_size
    assert numbers(said["epoch_size"]) == [seen, len(shown), *epochs, updates, run]
    assert cfg.epoch_size == min(max(-(-seen // len(shown)), epochs[0]), epochs[1])
    every = max(1, cfg.epoch_size // 12)
    assert numbers(said["eval_every"]) == [12, every, cfg.epoch_size, cfg.epoch_size // every]
    assert cfg.eval_every == every
    assert numbers(said["num_parallel_workers"]) == [os.cpu_count(), 8]
    if preset != "tiny":
        assert cfg.lr_steps == [round(cfg.epoch_size * 8 / 12), round(cfg.epoch_size * 11 / 12)]
        assert cfg.backbone.norm_eval is False
    else:
        goes_on(cfg)


def _iou(one, other) -> float:
    overlap = min(one[0], other[0]) * min(one[1], other[1])
    return overlap / (one[0] * one[1] + other[0] * other[1] - overlap)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detection", "segmentation", "classification", "photographs"])
def test_it_trains(task, tmp_path, graph_mode):
    if task == "detection":
        write_coco(tmp_path / "d", 24, 6, 96, 5)
    elif task == "segmentation":
        write_masks(tmp_path / "d", [0, 1, 2])
    elif task == "classification":
        write_imagenet(tmp_path / "d", 40, 8, 64, 5)
    elif task == "photographs":
        write_photographs(tmp_path / "d")
    data = tmp_path / "d"
    path = new(data, tmp_path / "my.yaml", "segmentation" if task == "segmentation" else "", TINY)
    keys = ["--max_steps", 2, "--run_eval", 0, "--train_outputs", tmp_path / "runs", "--log_every", 1]
    folder = train(load_config(str(path), list(map(str, keys))))
    assert folder.name.endswith("_my")
    losses = [float(one) for one in re.findall(r"loss:? ([\d.]+)", (folder / "train.log").read_text())]
    assert np.isfinite(losses).all() and list((folder / "ckpt").iterdir())
