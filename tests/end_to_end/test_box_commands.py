"""The commands around a detector without masks, on labels of boxes alone: train, evaluate, infer, draw, export."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.config.thresholds import read_thresholds, thresholds_text
from src.data.images import read_bgr
from src.inference.backends import open_model, read_metadata, run_model
from tests.end_to_end.commands import ROOT, losses, run, table

pytestmark = pytest.mark.usefixtures("networks_are_kept")
CONFIG = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
# With a fixed number of samples the framework's RoIAlign and the compiled one are the same up to rounding.
KEYS = ("--config_path", CONFIG, "--detector", "faster_rcnn", "--roi.roi_layer.sampling_ratio", 2)
LOW = ("--test_cfg.rcnn.score_thr", 0.0, "--test_batch_size", 1, "--test_cfg.rcnn.max_per_img", 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Drawn images whose labels have no `segmentation`."""
    out = tmp_path_factory.mktemp("boxes") / "data"
    run("-m", "src.data.synthetic", "coco", out, "--images", 6, "--val-images", 3, "--size", 64, "--seed", 3)
    for path in out.glob("*/labels.json"):
        content = json.loads(path.read_text())
        for one in content["annotations"]:
            del one["segmentation"]
        path.write_text(json.dumps(content))
    return out


@pytest.fixture(scope="module")
def trained(data) -> tuple[Path, str]:
    """The folder of a run of two epochs, and what it printed."""
    places = ("--train_dataset", data / "train", "--val_dataset", data / "validation")
    limits = ("--train_outputs", data / "out", "--epoch_size", 2, "--max_steps", 4, "--filter_empty_gt", 0)
    printed = run("train.py", *KEYS, *places, *limits)
    return next((data / "out").iterdir()), printed


def common(data: Path, trained: tuple[Path, str]) -> tuple:
    checkpoint = next((trained[0] / "best_ckpt").iterdir())
    return *KEYS, *LOW, "--val_dataset", data / "validation", "--checkpoint_path", checkpoint


def test_training_on_boxes_reports_the_metrics_of_boxes_alone(trained):
    folder, printed = trained
    assert {path.name for path in folder.iterdir()} >= {"losses.png", "metrics.png", "ckpt", "best_ckpt"}
    rows, metrics = losses(folder), table(folder / "metrics.csv")
    assert [name for name in rows[0] if name.startswith("loss_")] == [
        "loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox",
    ]  # fmt: skip
    assert len(metrics) == 2 and "bbox_mAP" in metrics[0] and not any("seg" in name for name in metrics[0])
    assert re.search(r"Result metrics for epoch 2: \{'bbox_mAP': \S+, 'loss': \S+\}", printed)
    assert "Segmentation" not in printed and "boxes alone are trained" not in printed
    assert "objects have no mask: boxes alone are learned of them" in printed


@pytest.fixture(scope="module")
def evaluated(data, trained) -> str:
    """What eval.py printed of the checkpoint; its predictions are in saved.json."""
    return run("eval.py", *common(data, trained), "--prediction_path", data / "saved.json")


def scores(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.match(r"\w+_mAP: ", line)]


def test_saved_predictions_have_boxes_alone_and_score_the_same(data, evaluated):
    saved = data / "saved.json"
    assert json.loads(saved.read_text()) and "segmentation" not in saved.read_text()
    evaluate = ("eval.py", *KEYS, "--val_dataset", data / "validation", "--prediction_path", saved, "--analysis", 1)
    again = run(*evaluate, "--report_dir", data / "report")
    assert scores(again) == scores(evaluated) and len(scores(again)) == 1
    assert "segm" not in again + evaluated and "Errors: duplicate" in again
    facts = json.loads((data / "report" / "report.json").read_text())
    assert scores(again) == [f"bbox_mAP: {facts['metrics']['bbox_mAP']:.4f}"] and list(facts["kinds"]) == ["bbox"]
    assert sorted(read_thresholds(data / "report" / "thresholds.yaml")) == sorted(facts["classes"])


@pytest.mark.parametrize("kind", ["onnx", pytest.param("mindir", marks=pytest.mark.slow)])
def test_exported_files_give_boxes_alone_and_say_so(data, trained, evaluated, kind):
    printed = run("export.py", *common(data, trained), "--file_name", data / "m", "--file_format", kind.upper())
    assert re.search(r"validation/data/\S+: \d+ detections, 0 without a partner; largest .* scores \S+$", printed, re.M)
    facts = read_metadata(data / f"m.{kind}", kind)
    assert facts["has_masks"] is False and "mask_threshold" not in facts
    file = (*common(data, trained)[:-1], data / f"m.{kind}", "--backend", kind)
    printed = run("eval.py", *file, "--detector", "mask_rcnn", status=2)
    assert f"m.{kind} is of a detector without masks; detector is mask_rcnn" in printed
    if kind == "mindir":  # whose graph is compiled anew for each command; what it gives has been compared
        return
    assert scores(run("eval.py", *file)) == scores(evaluated)
    model = open_model(data / "m.onnx", kind)
    assert [output.name for output in model.session.get_outputs()] == ["boxes", "scores", "labels"]
    outputs = run_model(model, np.zeros((1, 3, 64, 64), np.float32), np.int32([[64, 64]]))
    assert [output.shape for output in outputs] == [(1, 20, 4), (1, 20), (1, 20), (1, 20)]
    inferred_and_drawn(file, data)
    deployed(data / "m.onnx", next((data / "validation" / "data").iterdir()))


def inferred_and_drawn(file: tuple, data: Path) -> None:
    """The commands of an exported file (those of a checkpoint only compile longer)."""
    out, images, least = data / "out.json", data / "validation" / "data", data / "thresholds.yaml"
    first, *others = read_metadata(Path(file[-3]), file[-1])["class_names"]
    least.write_text(thresholds_text("", [(name, 0, "") for name in (first, *others)]))
    run("infer.py", *file, "--infer_score_thr", least, "--pred_input", images, "--pred_output", out)
    found = [item for entry in json.loads(out.read_text()).values() for item in entry["predictions"]]
    assert found and all(set(item) == {"bbox", "class", "score"} for item in found)
    least.write_text(thresholds_text("", [(name, 0, "") for name in others]))
    given = ("--infer_score_thr", least, "--pred_input", images, "--pred_output", data / "other.json")
    assert f"infer_score_thr: {least} has no threshold for {first}" in run("infer.py", *file, *given, status=2)
    draw = ("draw_predictions.py", "--pred_file", out, "--out_dir", data / "drawn", "--score_thr", 0)
    run(*draw, "--allow_outside", 1)
    assert len(list((data / "drawn").iterdir())) == 3


def deployed(model: Path, image: Path) -> None:
    """The page for ONNX files finds and draws boxes."""
    command = [sys.executable, "-I", ROOT / "deploy" / "onnx_detect.py", model, image, "o.png", "0"]
    done = subprocess.run(list(map(str, command)), cwd=model.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines and all(re.fullmatch(r"\w+ \S+ box \[\S+, \S+, \S+, \S+\]", line) for line in lines)
    assert (read_bgr(model.parent / "o.png") != read_bgr(image)).any()
