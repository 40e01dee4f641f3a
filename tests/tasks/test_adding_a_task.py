"""The page docs/adding_a_task.md, followed word by word, through the commands."""

import json

import cv2
import numpy as np
import pytest

from src.commands import check
from src.commands.evaluate import evaluate
from src.commands.export import export
from src.commands.infer import infer
from src.config import EXTRA_KEYS, load_config
from src.config.checks import TASK_CHECKS
from src.engine.trainer import train
from src.errors import UserError
from src.tasks import TASKS
from tests.page_blocks import add_module, blocks


@pytest.fixture()
def configured(tmp_path, monkeypatch, added):
    """config(*keys): the page's configuration on drawn images; the page's code is in its places."""
    task_text, keys_text, yaml_text = blocks("adding_a_task.md")
    keys_module = add_module("src.config.counting_keys", keys_text, tmp_path, monkeypatch)
    monkeypatch.setitem(TASK_CHECKS, "counting", keys_module.check_counting)
    added(EXTRA_KEYS, keys_module.CountingKeys)
    task_module = add_module("src.tasks.counting", task_text, tmp_path, monkeypatch)
    monkeypatch.setitem(TASKS, "counting", task_module.Counting())
    (tmp_path / "counting.yaml").write_text(yaml_text, encoding="utf-8")
    rng = np.random.RandomState(0)
    for split, number in (("train", 6), ("val", 3)):
        (tmp_path / split).mkdir()
        for k in range(number):
            image = np.zeros((40, 48, 3), np.uint8)
            for _ in range(k % 3):
                cv2.circle(image, tuple(rng.randint(8, 36, 2).tolist()), 4, (255, 255, 255), -1)
            cv2.imwrite(str(tmp_path / split / f"{k % 3}_{k}.png"), image)
    data = [f"--{split}_dataset={tmp_path / split}" for split in ("train", "val")]

    def config(*keys: object):
        return load_config(str(tmp_path / "counting.yaml"), [*data, *map(str, keys)])

    return config


@pytest.mark.slow
def test_a_task_from_outside_trains_evaluates_infers_exports_and_is_checked(configured, tmp_path, capsys, graph_mode):
    folder = train(configured("--train_outputs", tmp_path / "runs"))
    assert folder.name.endswith("_counting_count") and len(list((folder / "ckpt").iterdir())) == 4
    resumed = train(configured("--train_outputs", tmp_path / "runs", "--resume", 1))
    assert resumed == folder and "complete already" in (folder / "train.log").read_text()
    (best, *_) = (folder / "best_ckpt").iterdir()

    checkpoint = ("--checkpoint_path", best)
    metrics = evaluate(configured(*checkpoint))
    assert set(metrics) == {"within_one", "mean_error"} and np.isfinite(metrics["mean_error"])
    infer(configured(*checkpoint, "--pred_input", tmp_path / "val", "--pred_output", tmp_path / "out.json"))
    counts = [entry["predictions"][0]["count"] for entry in json.loads((tmp_path / "out.json").read_text()).values()]
    assert np.mean(np.abs(np.array(counts) - [0, 1, 2])) == pytest.approx(metrics["mean_error"], rel=1e-5)

    exported = export(configured(*checkpoint, "--file_name", tmp_path / "count", "--file_format", "ONNX"))
    again = evaluate(configured("--checkpoint_path", exported, "--backend", "onnx"))
    assert again["mean_error"] == pytest.approx(metrics["mean_error"], rel=1e-4)

    capsys.readouterr()
    lines = [line for title, part in check.sections(configured()) for line in (title, *part)]
    assert any("6 images of 0 to 2" in line for line in lines)
    assert any(line.startswith("losses loss_count") for line in lines)


def test_its_check_and_its_keys_are_looked_at(configured):
    with pytest.raises(UserError, match="counting takes square images"):
        configured("--input_size", 0, "--img_width", 64, "--img_height", 32)
    with pytest.raises(UserError, match="counting_width is 0; it must be at least 1"):
        configured("--counting_width", 0)
