"""The page docs/transfer_training.md, followed word by word."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mindspore import set_seed

from src.checkpoint import read_checkpoint, save_weights
from src.config import load_config
from src.tasks import build_model

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def bash(script: str, folder: Path) -> str:
    """Run a block in `folder` as a user would in the repository's root."""
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_page_makes_a_detector_of_other_classes_from_a_pretrained_one(graph_mode, tmp_path):
    page = (ROOT / "docs" / "transfer_training.md").read_text(encoding="utf-8")
    draw, train, use = blocks(page, "bash")
    (yaml_text,) = blocks(page, "yaml")
    yaml_text = yaml_text.replace("mask_rcnn_hrnet_shapes.yaml", "mask_rcnn_hrnet_tiny.yaml")  # compiles sooner
    for name in ("src", "train.py", "eval.py", "infer.py", "draw_predictions.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "configs").mkdir()
    for name in ("demo", "_base_"):
        (tmp_path / "configs" / name).symlink_to(ROOT / "configs" / name)
    (tmp_path / "configs" / "mine.yaml").write_text(yaml_text, encoding="utf-8")
    (tmp_path / "weights").mkdir()
    pretrained = tmp_path / "weights" / "pretrained.ckpt"
    base = re.search(r"_base_: (\S+)", yaml_text)[1]
    set_seed(0)
    original = build_model(load_config(str(ROOT / "configs" / base)))
    save_weights(original, pretrained)

    bash(draw, tmp_path)
    (example,) = map(json.loads, blocks(page, "json"))
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
