"""The originals' launchers with the real Python, on the CPU: pointrend's from a Mask R-CNN checkpoint and COCO's tree
to an evaluation, HRNetW48_seg's three steps for the Ascend 310.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.convert.test_mindspore_detectors import NARROW, POINTREND, write_checkpoint
from tests.convert.torch_mindspore_detectors import make_state
from tests.end_to_end.commands import ROOT, run
from tests.end_to_end.test_segmentation_commands import CONFIG, SMALL, miou

SHAPES = ("--lr", "1e-9", "--batch_size", "2", "--num_gts", "16", "--warmup_step", "0", "--log_every", "1")


def launch(script: str, *arguments: object, folder: Path, status: int = 0) -> str:
    """A launcher in `folder`, its device the CPU; what it printed."""
    settings = {**os.environ, "PYTHON": sys.executable, "DEVICE": "cpu", "OMP_NUM_THREADS": "2"}
    line = ["bash", str(ROOT / "scripts" / script), *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, env=settings, capture_output=True, text=True, timeout=800)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A drawn data set in COCO's own tree."""
    place = tmp_path_factory.mktemp("coco")
    run("-m", "src.data.synthetic", "coco", place / "drawn", "--images", 6, "--val-images", 2, "--size", 96)
    root = place / "cocodataset"
    (root / "annotations").mkdir(parents=True)
    for split, folder in (("train", "train"), ("val", "validation")):
        shutil.move(place / "drawn" / folder / "data", root / f"{split}2017")
        labels = root / "annotations" / f"instances_{split}2017.json"
        shutil.move(place / "drawn" / folder / "labels.json", labels)
    return root


@pytest.mark.slow
def test_pointrends_launchers_make_mindrecord_train_from_a_mask_rcnn_and_evaluate(coco, tmp_path):
    labels = json.loads((coco / "annotations" / "instances_train2017.json").read_text())
    names = [category["name"] for category in labels["categories"]]
    write_checkpoint(make_state(classes=len(names) + 1), tmp_path / "maskrcnn.ckpt")
    keys = [*NARROW, "--num_classes", len(names) + 1, "--coco_classes", f"[{', '.join(['background', *names])}]"]
    keys += ["--config_path", POINTREND, *SHAPES]
    given = (0, coco, "record", "maskrcnn.ckpt", "True", *keys, "--max_steps", 3)
    printed = launch("run_standalone_train_gpu.sh", *given, folder=tmp_path)
    assert "NOT_MASK True has no effect" in printed and "mask_head of another kind (finetune)" in printed
    assert "6 images in 1 shards verified" in printed and "finetune: mask_head" in printed
    assert (tmp_path / "log" / "train.log").read_text().count("INFO: epoch: 1, step: ") == 3
    (run_folder,) = [path for path in (tmp_path / "log").iterdir() if (path / "config.yaml").is_file()]
    checkpoint = next((run_folder / "ckpt").glob("*.ckpt"))
    (converted,) = (tmp_path / "log" / "converted").iterdir()
    given = (0, coco, "record", checkpoint, *keys)
    evaluated = launch("run_eval.sh", *given, folder=tmp_path)
    assert "segm_mAP" in evaluated and "2 images in 1 shards verified" in evaluated
    assert "segm_mAP" in (tmp_path / "eval_log" / "eval.log").read_text()
    again = launch("run_standalone_train_gpu.sh", 0, coco, "record", "maskrcnn.ckpt", *keys, folder=tmp_path, status=2)
    assert "holds a run already" in again
    assert "converted already, into" in again and str(converted) in again
    assert "shards verified" not in again


@pytest.mark.slow
def test_the_three_steps_by_the_310_launchers_name_give_evals_miou(tmp_path):
    data = tmp_path / "lip"
    run("-m", "src.data.synthetic", "lip", data, "--images", 4, "--val-images", 3, "--size", 48)
    folders = ("--train_dataset", data, "--val_dataset", data, "--train_outputs", tmp_path / "runs")
    run("train.py", "--config_path", CONFIG, *folders, *SMALL)
    (trained,) = (tmp_path / "runs").iterdir()
    common = ("--config_path", trained / "config.yaml", "--checkpoint_path", next((trained / "best_ckpt").iterdir()))
    expected = miou(run("eval.py", *common, "--val_dataset", data))
    run("export.py", *common, "--file_name", tmp_path / "net", "--file_format", "MINDIR")
    given = ("net.mindir", data, 0, "--config_path", trained / "config.yaml")
    printed = launch("ascend_310_infer.sh", *given, folder=tmp_path)
    assert miou(printed) == pytest.approx(expected, abs=1e-3)
    assert miou((tmp_path / "acc.log").read_text()) == miou(printed)
    assert len(list((tmp_path / "result_Files").glob("*_0.bin"))) == 6
    assert "6 results" in (tmp_path / "infer.log").read_text() and (tmp_path / "time_Result").is_dir()
    again = launch("ascend310_inference.sh", *given, folder=tmp_path, status=2)
    assert "preprocess_Result is there already, and nothing is deleted" in again
