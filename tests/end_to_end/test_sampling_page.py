"""The page docs/sampling.md, followed: a detector on two data sets with weights and repeats, stopped and resumed."""

import csv

import pytest

from src.config import load_config
from tests.end_to_end.followed_page import bash, lay_out
from tests.page_blocks import blocks


@pytest.mark.slow
def test_the_page_trains_on_two_data_sets_and_goes_on(tmp_path):
    draw, train, _ = blocks("sampling.md", "bash")
    (yaml_text,) = blocks("sampling.md", "yaml")
    lay_out(tmp_path, f"{yaml_text}\nrun_eval: False\nmax_steps: 3\n")
    bash(draw, tmp_path)
    printed = bash(train, tmp_path)
    told = [line for line in printed.splitlines() if "training data sets: " in line]
    assert len(told) == 2 and told[0].strip() in told[1]  # check and train.py
    # 22 and 11 images show something; the second set's list has 18 samples, floor(18 * 2.5 + 0.5) = 45
    sets = "data/first/train/labels.json (22 images, weight 1: 39 samples), data/labelled (11 images, weight 2.5: 45"
    assert f"{sets} samples), 84 samples an epoch" in told[0]
    assert "repeat_threshold 0.5: 33 images become 57 samples; repeats: " in printed

    (run,) = tmp_path.glob("outputs/*_MaskRCNN_both")
    cfg = load_config(str(run / "config.yaml"))
    assert cfg.train_dataset == ["data/first/train", "data/labelled"] and cfg.train_weights == [1.0, 2.5]
    assert cfg.coco_classes[0] == "background" and len(cfg.coco_classes) == cfg.num_classes == 5
    resumed = bash(f"python train.py --config_path {run}/config.yaml --resume 1 --max_steps 5", tmp_path)
    assert "Resumed from" in resumed
    with open(run / "losses.csv", newline="", encoding="utf-8") as file:
        assert [int(row["global_step"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5]
