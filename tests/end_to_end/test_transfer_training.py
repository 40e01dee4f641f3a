"""The page docs/transfer_training.md, followed word by word."""

import json
import re

import numpy as np
import pytest
from mindspore import set_seed

from src.checkpoint import read_checkpoint, save_weights
from src.config import load_config
from src.tasks import build_model
from tests.end_to_end.followed_page import ROOT, bash, lay_out
from tests.page_blocks import blocks


@pytest.mark.slow
def test_the_page_makes_a_detector_of_other_classes_from_a_pretrained_one(graph_mode, tmp_path):
    draw, train, use = blocks("transfer_training.md", "bash")
    (yaml_text,) = blocks("transfer_training.md", "yaml")
    yaml_text = lay_out(tmp_path, yaml_text)
    (tmp_path / "weights").mkdir()
    pretrained = tmp_path / "weights" / "pretrained.ckpt"
    base = re.search(r"_base_: (\S+)", yaml_text)[1]
    set_seed(0)
    original = build_model(load_config(str(ROOT / "configs" / base)))
    save_weights(original, pretrained)

    bash(draw, tmp_path)
    (example,) = map(json.loads, blocks("transfer_training.md", "json"))
    drawn = json.loads((tmp_path / "data" / "mine" / "train" / "labels.json").read_text())
    names = {item["id"]: item["name"] for item in drawn["categories"]}
    assert {item["id"]: item["name"] for item in example["categories"]} == names
    assert set(load_config(str(tmp_path / "configs" / "mine.yaml")).coco_classes) == {"background", *names.values()}

    log = bash(train, tmp_path)
    fresh = re.search(r"finetune: class layers of another shape.* start fresh: (.*)", log)[1].split(", ")
    assert fresh and all(name.startswith(original.class_layers) for name in fresh)
    assert "Result metrics for epoch 2" in log
    printed = bash(use, tmp_path)
    assert "4 overlays in outputs/overlays" in printed
    content = json.loads((tmp_path / "outputs" / "mine.json").read_text())
    found = [item["class"] for entry in content.values() for item in entry["predictions"]]
    assert len(content) == 4 and {item["category_id"]: item["name"] for item in found}.items() <= names.items()

    best = sorted(tmp_path.glob("outputs/*_MaskRCNN_mine/best_ckpt/*.ckpt"))
    before, after = read_checkpoint(pretrained), read_checkpoint(best[-1])
    kept = [name for name in before if name.endswith(".weight") and name not in fresh]
    moved = [np.abs(after[name] - before[name]).mean() / np.abs(before[name]).mean() for name in kept]
    # 32 small steps away from the checkpoint; fresh weights would be 1.4 away (two independent draws)
    assert len(kept) > 50 and np.median(moved) < 0.2 and max(moved) < 1
