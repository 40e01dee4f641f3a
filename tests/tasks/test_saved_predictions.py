"""Scoring saved predictions takes no network: MindSpore is not loaded for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from src.config import default_config
from src.errors import UserError
from src.inference.prediction_file import save_predictions
from src.tasks import TASKS, Task, evaluating
from src.tasks.detection_scores import evaluate_saved
from tests.reports.four_images import results, write_data

ROOT = Path(__file__).parents[2]
COMMAND = """
import runpy, sys
sys.argv[0] = "eval.py"
runpy.run_path("eval.py", run_name="__main__")
print("loaded:", [name for name in sys.modules if name.partition(".")[0] in ("mindspore", "onnxruntime")])
"""


@pytest.fixture()
def saved(tmp_path) -> dict[str, object]:
    """Keys that score predictions of four images."""
    write_data(tmp_path / "data")
    save_predictions(tmp_path / "found.json", results(), {"size": "100x100"})
    return {"val_dataset": tmp_path / "data", "val_data_type": "coco", "prediction_path": tmp_path / "found.json"}


def config(keys: dict[str, object], **more: object):
    return default_config([f"--{name}={value}" for name, value in (keys | more).items()])


def test_the_command_scores_analyses_and_reports_without_mindspore(saved, tmp_path):
    (tmp_path / "c.yaml").write_text("detector: mask_rcnn\n")
    keys = {"config_path": tmp_path / "c.yaml", **saved, "analysis": 1, "report_dir": tmp_path / "report"}
    command = [sys.executable, "-c", COMMAND, *(f"--{name}={value}" for name, value in keys.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout and "the network is not run" in done.stdout and "Errors: " in done.stdout
    told = json.loads((tmp_path / "report" / "report.json").read_text())["metrics"]
    cfg = config(saved)
    metrics = evaluate_saved(cfg, TASKS["detection"].open(cfg, "val"))
    assert told == {name: None if value == -1 else value for name, value in metrics.items()}
    assert 0 < told["seg_mAP"] < 1


def test_the_task_is_asked_where_there_is_more_to_do_than_to_score(saved, tmp_path):
    """A checkpoint beside the predictions says whether they are its own; without predictions the network runs."""
    assert not isinstance(evaluating(config(saved)), Task)
    for more in ({"checkpoint_path": "k.ckpt"}, {"prediction_path": tmp_path / "new.json"}, {"format_only": 1}):
        assert evaluating(config(saved, **more)) is TASKS["detection"]
    task = evaluating(config(saved, task="classification"))
    assert task is TASKS["classification"]
    with pytest.raises(UserError, match="prediction_path is for detection only; task is classification"):
        task.evaluate(config(saved, task="classification"))


def test_a_task_is_made_once_when_it_is_asked_for():
    assert TASKS["detection"] is TASKS["detection"] and isinstance(TASKS["segmentation"], Task)
    assert list(TASKS) == ["detection", "segmentation", "classification"]
    with pytest.raises(KeyError):
        TASKS["nothing"]
