"""A run in TensorBoard's event files, read back by TensorBoard itself."""

import errno
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.hooks import make_hooks
from src.engine.trainer import loop
from src.errors import UserError
from src.integrations import tensorboard as ours
from src.process.runtime import Runtime
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, broken_off_at, interrupted_at, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
EVALUATED = ("--run_eval", "1", "--sample_pictures", "2")


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """No curves are drawn."""
    monkeypatch.setattr("src.engine.hooks.curves.plot_losses", lambda rows, path: None)
    monkeypatch.setattr("src.engine.hooks.curves.plot_metrics", lambda rows, names, path: None)


def drawn(cfg, count: int):
    """Pictures whose names are no text and not English."""
    names = ("straße \udcff", "照片")[:count]
    return lambda model: {name: np.full((20, 30 + k, 3), 40 * k, np.uint8) for k, name in enumerate(names)}


def make(folder: Path, *settings: str):
    run = make_run(folder, CONFIG, "--tensorboard", "1", *settings, evaluate=lambda model: {"score": 0.5, "Loss": 1.5})
    run.task.sample_pictures = drawn
    return run


def read_back(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def points(found, tag: str) -> list[tuple[int, float]]:
    return [(one.step, one.value) for one in found.Scalars(tag)]


def columns(folder: Path, name: str) -> list[tuple[int, float]]:
    rows = CsvTable(folder / "losses.csv").read()
    return [(int(row["global_step"]), float(np.float32(row[name]))) for row in rows]


def test_every_column_metric_epoch_and_picture_is_there_at_its_step(pynative_mode, tmp_path):
    loop(make(tmp_path, *EVALUATED), batches(0, TOTAL))
    found = read_back(tmp_path)
    ends = [STEPS_PER_EPOCH, TOTAL]
    names = {"lr", "loss", "loss_a", "loss_b"}
    own = {"epoch/train_loss", "eval/score", "eval/Loss"}
    assert set(found.Tags()["scalars"]) == {f"train/{name}" for name in names} | own
    for name in names:
        assert points(found, f"train/{name}") == columns(tmp_path, name) and len(columns(tmp_path, name)) == TOTAL
    assert points(found, "eval/score") == [(end, 0.5) for end in ends]
    means = [np.float32(row["train_loss"]) for row in CsvTable(tmp_path / "metrics.csv").read()]
    assert points(found, "epoch/train_loss") == list(zip(ends, means))
    assert found.Tags()["images"] == ["pictures/straße ?", "pictures/照片"]
    for tag, width in zip(found.Tags()["images"], (30, 31)):
        images = found.Images(tag)
        assert [(one.step, one.width, one.height) for one in images] == [(end, width, 20) for end in ends]
        assert cv2.imdecode(np.frombuffer(images[0].encoded_image_string, np.uint8), 1).shape == (20, width, 3)


@pytest.mark.parametrize(
    ("data", "step", "error"),
    [(interrupted_at, 5, SystemExit), (broken_off_at, 6, MemoryError), (broken_off_at, 8, MemoryError)],
    ids=["signal", "kill", "kill after an epoch"],
)
def test_a_resumed_run_has_each_point_once(pynative_mode, tmp_path, data, step, error):
    with pytest.raises(error):
        loop(make(tmp_path, *EVALUATED), data(step))
    second = make(tmp_path, *EVALUATED, "--resume", "1")
    assert 0 < second.done < TOTAL
    loop(second, batches(second.done, TOTAL))
    found = read_back(tmp_path)
    assert points(found, "train/loss") == columns(tmp_path, "loss")
    assert points(found, "eval/score") == [(STEPS_PER_EPOCH, 0.5), (TOTAL, 0.5)]
    assert len(list((tmp_path / "tb").iterdir())) == 2


def test_an_epoch_that_is_made_up_has_its_metrics_and_last_losses_once(pynative_mode, tmp_path, monkeypatch):
    def killed(self, run, epoch):
        raise MemoryError("killed")

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr("src.engine.hooks.curves.MetricCurves.on_epoch", killed)  # TensorBoard has heard of the epoch
        loop(make(tmp_path, *EVALUATED), batches(0, TOTAL))
    second = make(tmp_path, *EVALUATED, "--resume", "1")
    assert second.owes_epoch
    loop(second, batches(second.done, TOTAL))
    found = read_back(tmp_path)
    assert points(found, "train/loss") == columns(tmp_path, "loss")
    assert points(found, "eval/score") == [(STEPS_PER_EPOCH, 0.5), (TOTAL, 0.5)]


def test_a_missing_package_is_one_clear_line_before_the_first_step(pynative_mode, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run = make(tmp_path)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        loop(run, batches(0, TOTAL))
    assert run.done == 0 and not (tmp_path / "tb").exists()


def test_a_full_disk_is_said_once_and_ends_nothing(pynative_mode, tmp_path, monkeypatch, caplog):
    from tensorboardX import RecordWriter

    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make(tmp_path, *EVALUATED)
    monkeypatch.setattr(RecordWriter, "flush", full)
    loop(run, batches(0, TOTAL))
    said = [line for line in caplog.messages if "TensorBoard cannot be written" in line]
    assert run.finished and said == [f"{tmp_path / 'tb'}: events for TensorBoard cannot be written (No space left on "
                                     "device)"]  # fmt: skip


def test_other_ranks_and_runs_without_the_key_write_nothing(pynative_mode, tmp_path):
    assert "tensorboard" not in make_hooks(load_config(CONFIG))
    run = make(tmp_path)
    run.process = Runtime(rank=1)
    hook = run.hooks["tensorboard"]
    hook.on_start(run, {})
    hook.on_rows(run, [{"epoch": 1, "step": 1, "global_step": 1, "loss": 0.5}])
    hook.on_end(None)
    assert not (tmp_path / "tb").exists() and ours.EVENTS == "events.out.tfevents."
