"""The commands on a machine that has neither compiled operators nor a compiler."""

import pytest

from src.ops import library
from tests.end_to_end.commands import losses, run
from tests.models.test_any_backbone import overrides

CONFIG = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
CLASSIFIER = ("--config_path", "configs/demo/hrnet_cls_shapes.yaml", "--input_size", 32, "--cls_head.final_channels",
              16, "--backbone.type", "resnet", "--backbone.depth", 18, "--backbone.base_channels", 4)  # fmt: skip


@pytest.fixture(autouse=True)
def no_operators(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path / "bin")
    monkeypatch.setenv("CXX", "no-compiler")


@pytest.mark.slow
@pytest.mark.parametrize("detector,mode", [("pointrend", "pynative"), ("mask_rcnn", "graph")])
def test_a_portable_detector_trains_and_evaluates(tmp_path, detector, mode):
    run("-m", "src.data.synthetic", "coco", tmp_path, "--images", 2, "--val-images", 1, "--size", 64, "--seed", 3)
    settings = ("--config_path", CONFIG, *overrides("resnet", detector), "--mode", mode, "--portable", 1)
    data = ("--train_dataset", tmp_path / "train", "--val_dataset", tmp_path / "validation", "--filter_empty_gt", 0)
    run("train.py", *settings, *data, "--train_outputs", tmp_path / "out", "--epoch_size", 1, "--batch_size", 2)
    (folder,) = (tmp_path / "out").iterdir()
    (row,) = losses(folder)
    (checkpoint,) = (folder / "best_ckpt").glob("*.ckpt")
    printed = run("eval.py", *settings, *data[2:4], "--checkpoint_path", checkpoint)
    assert float(row["loss_rpn_cls"]) > 0 and "total images num: 1" in printed and "bbox_mAP: " in printed
    again = run("eval.py", *settings[:-1], 0, *data[2:4], "--checkpoint_path", checkpoint, status=2)
    assert "custom_ops_cpu.so is missing: build" in again


@pytest.mark.slow
def test_the_check_trains_a_classifier(tmp_path):
    run("-m", "src.data.synthetic", "imagenet", tmp_path, "--images", 8, "--val-images", 8, "--size", 32)
    data = ("--train_dataset", tmp_path / "train", "--val_dataset", "", "--batch_size", 4, "--mode", "pynative")
    printed = run("-m", "src.check", *CLASSIFIER, *data)
    assert "WARNING: no compiled operators: " in printed and "custom_ops_cpu.so is missing" in printed
    assert "forecast: " in printed
