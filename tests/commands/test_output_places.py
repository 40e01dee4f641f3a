"""No command replaces what it reads: each of them, with an output that leads to one of its inputs."""

import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.end_to_end.commands import ROOT, run

DETECTION = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"


@pytest.fixture()
def place(tmp_path, monkeypatch):
    """Inputs of every command. No checkpoint is one: whoever opens it has come too far."""
    base, name = ROOT / DETECTION, "config.yaml"
    (tmp_path / "base.yaml").write_text(f"_base_: {base}\n")
    (tmp_path / name).write_text("_base_: base.yaml\n")
    for task, demo in (("cls", "hrnet_cls_shapes"), ("seg", "hrnet_seg_lip_shapes")):
        (tmp_path / f"{task}.yaml").write_text(f"_base_: {ROOT}/configs/demo/{demo}.yaml\n")
    for folder in ("images", "coco/train2017", "coco/annotations", "classes/star", "classes/disc"):
        (tmp_path / folder).mkdir(parents=True)
    images = ("images/a.png", "images/a_index.png", "images/a_pred.png", "coco/train2017/b.png", "classes/star/c.png")
    images += ("classes/disc/d.png",)
    for image in images:
        cv2.imwrite(str(tmp_path / image), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "coco" / "annotations" / "instances_train2017.json").write_text('{"images": []}')
    (tmp_path / "taken").mkdir()
    for file in ("model.ckpt", "weights.pth", "old.mindir", "taken/labels.json", "coco.part"):
        (tmp_path / file).write_text("precious")
    entry = {"height": 8, "width": 8, "predictions": []}
    content = {str(tmp_path / "images" / one): entry for one in ("a.png", "a_pred.png")}
    (tmp_path / "found_pred.png").write_text(json.dumps(content, indent=1))
    (tmp_path / "list.txt").write_text("images/a.png\n")
    os.link(tmp_path / "model.ckpt", tmp_path / "hard.mindir")
    (tmp_path / "link.onnx").symlink_to("config.yaml")
    return tmp_path


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


INFER = "infer.py --config_path {config} --checkpoint_path model.ckpt --pred_input {input} --pred_output {output}"
EVAL = "eval.py --config_path {config} --checkpoint_path model.ckpt"
CONVERT = "convert_from_pt.py --config_path config.yaml --pt_path weights.pth --ckpt_path"
TRAIN = "train.py --config_path cls.yaml --train_dataset classes --val_dataset classes --device_target CPU"
DRAW = "draw_predictions.py --pred_file found_pred.png --out_dir"
EXPORT = "export.py --config_path config.yaml --checkpoint_path model.ckpt --file_format {format} --file_name {output}"


def infer(config: str, pred_input: str, output: str) -> str:
    return INFER.format(config=config, input=pred_input, output=output)


@pytest.mark.parametrize(
    "command,message",
    [
        (infer("config.yaml", "images/a.png", "images/a.png"), "pred_output images/a.png would replace pred_input"),
        (infer("config.yaml", "images", "images/a.png"), "would replace a file of pred_input"),
        (infer("config.yaml", "images", "model.ckpt"), "would replace checkpoint_path"),
        (infer("config.yaml", "images", "hard.mindir"), "would replace checkpoint_path"),
        (infer("config.yaml", "images", "config.yaml"), "would replace the configuration"),
        (infer("config.yaml", "images", "base.yaml"), "would replace the configuration"),
        (infer("config.yaml", "images", "coco") + " --infer_format coco --train_images coco.part",
         "would replace train_images"),
        (infer("config.yaml", "images", "coco") + " --infer_format labelme --val_dataset coco.part", "val_dataset"),
        (infer("config.yaml", "images", "taken") + " --infer_format coco", "labels.json is there already"),
        (infer("config.yaml", "images", "model.ckpt") + " --infer_format labelme", "give the name of a folder"),
        (infer("cls.yaml", "images", "model.ckpt"), "would replace checkpoint_path"),
        (infer("cls.yaml", "images", "new/"), "pred_output new/ is a folder"),
        (infer("config.yaml", "images", "model.ckpt/out.json"), "its folder cannot be made"),
        (infer("config.yaml", "images", "coco/annotations/instances_train2017.json") + " --val_dataset coco/train2017",
         "would replace a file of val_dataset"),
        (infer("seg.yaml", "images", "images"), "images/a_index.png would replace an image of pred_input"),
        (infer("config.yaml", "images", "new.json") + " --draw images", "draw and pred_input are both images"),
        (infer("seg.yaml", "images", "new") + " --draw new", "draw and pred_output are both new"),
        (infer("cls.yaml", "images", "new.json") + " --draw model.ckpt", "draw model.ckpt is a file"),
        (infer("cls.yaml", "list.txt", "images/a.png"), "would replace an image of pred_input"),
        (infer("cls.yaml", "list.txt", "list.txt"), "would replace pred_input"),
        (EVAL.format(config="config.yaml") + " --prediction_path w --pre_trained w.part", "would replace pre_trained"),
        (EVAL.format(config="config.yaml") + " --prediction_path /proc/p.json", "cannot be written"),
        (EVAL.format(config="cls.yaml") + " --report_dir model.ckpt", "report_dir model.ckpt is a file"),
        (EVAL.format(config="config.yaml") + " --report_dir images",
         "report_dir images holds a.png, which no report has written: give another folder"),
        (EXPORT.format(format="MINDIR", output="hard.mindir"), "would replace checkpoint_path"),
        (EXPORT.format(format="ONNX", output="link.onnx"), "would replace the configuration"),
        (EXPORT.format(format="MINDIR", output="folder/"), "file_name folder/ is a folder"),
        (EXPORT.format(format="MINDIR", output="."), "file_name . is a folder"),
        (f"{CONVERT} model.ckpt", "exists already"),
        (f"{CONVERT} /proc/new.ckpt", "cannot be written"),
        (f"{DRAW} images", "a_pred.png would replace an image of pred_file"),
        (f"{DRAW} model.ckpt", "out_dir model.ckpt"),
        (f"{TRAIN} --train_outputs classes/out", "train_outputs classes/out lies in train_dataset"),
        (f"{TRAIN} --num_classes 2 --batch_size 1 --report_dir model.ckpt/report", "report_dir model.ckpt/report"),
    ],
)  # fmt: skip
def test_an_output_that_leads_to_an_input_is_one_line_and_changes_nothing(place, command, message):
    before = digest(place)
    printed = run(*command.split(), status=2, folder=place)
    lines = printed.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], printed
    assert digest(place) == before


def test_predictions_in_the_folder_of_the_images_are_replaced_by_those_of_the_next_run(place):
    (place / "images" / "out.json").write_text(json.dumps({"a.png": {"height": 8, "width": 8}}, indent=1))
    printed = run(*infer("config.yaml", "images", "images/out.json").split(), status=2, folder=place)
    assert "checkpoint model.ckpt cannot be read" in printed
    (place / "images" / "out.json").write_text(json.dumps({"images": [{"id": 1}]}, indent=1))
    printed = run(*infer("config.yaml", "images", "images/out.json").split(), status=2, folder=place)
    assert "would replace a file of pred_input" in printed
