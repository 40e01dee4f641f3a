"""A run in a real MLflow store, and runs whose tracking server is dead, silent or slow."""

import csv
import importlib.util
import json
import logging
import socket
import time
from pathlib import Path

import pytest

from src.config import load_config
from src.engine.hooks import make_hooks
from src.engine.run import Run
from src.engine.trainer import loop
from src.errors import UserError
from src.integrations import mlflow as ours
from src.process.runtime import Runtime
from tests.engine.toy import STEPS_PER_EPOCH, batches, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
TOTAL = 2 * STEPS_PER_EPOCH


def make(folder: Path, *settings: str) -> Run:
    return make_run(folder, CONFIG, "--mlflow", "1", "--train_outputs", str(folder.parent), *settings)


def train(folder: Path, *settings: str) -> Path:
    """Run the toy over two epochs with an evaluation after each, told to MLflow; the experiment's folder."""
    run = make(folder, "--run_eval", "1", *settings)
    scores = iter((0.25, 0.75))
    run.evaluate = lambda model: {"score": next(scores), "other": 1.5}
    (folder / "config.yaml").write_text("lr: 0.1\n")
    loop(run, batches(run.done, TOTAL))
    return folder


def stored(folder: Path):
    from mlflow import MlflowClient

    known = json.loads((folder / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=known["uri"])
    return client, client.get_run(known["run_id"])


def rows_of(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    return train(tmp_path_factory.mktemp("outputs") / "run")


def test_parameters_losses_and_metrics_are_in_the_store_step_for_step(finished):
    client, run = stored(finished)
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert run.data.params["lr"] == "0.1" and run.data.params["train_cfg.rcnn.sampler.order"] == "random"
    losses = rows_of(finished / "losses.csv")
    assert len(losses) == TOTAL
    for name in ("loss", "loss_a", "loss_b", "lr"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(one.step, one.value) for one in history] == [
            (int(row["global_step"]), float(row[name])) for row in losses
        ]
    scores = client.get_metric_history(run.info.run_id, "eval/score")
    assert [(one.step, one.value) for one in scores] == [(STEPS_PER_EPOCH, 0.25), (TOTAL, 0.75)]


def test_the_runs_files_and_the_best_checkpoints_path_are_in_the_store(finished):
    client, run = stored(finished)
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"config.yaml", "losses.csv", "losses.png", "metrics.csv", "metrics.png"}
    assert Path(run.data.tags["best_checkpoint"]) == finished / "best_ckpt" / "score_0.7500_epoch_0002.ckpt"
    assert Path(run.data.tags["best_checkpoint"]).is_file()


def test_the_same_metrics_are_in_a_csv_and_a_picture_without_any_service(finished):
    rows = rows_of(finished / "metrics.csv")
    assert [list(row.values()) for row in rows] == [
        ["1", "6", rows[0]["train_loss"], "0.25", "1.5"],
        ["2", "12", rows[1]["train_loss"], "0.75", "1.5"],
    ]
    assert list(rows[0]) == ["epoch", "global_step", "train_loss", "score", "other"]
    assert (finished / "metrics.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(graph_mode, tmp_path):
    def ending():
        yield from batches(0, 4)
        raise ValueError("the data ended")

    with pytest.raises(ValueError, match="the data ended"):
        loop(make(tmp_path / "run"), ending())
    _, first = stored(tmp_path / "run")
    assert first.info.status == "FAILED"
    train(tmp_path / "run", "--resume", "1")
    client, second = stored(tmp_path / "run")
    assert second.info.run_id == first.info.run_id and second.info.status == "FINISHED"
    steps = [one.step for one in client.get_metric_history(second.info.run_id, "loss")]
    assert steps == list(range(1, TOTAL + 1))


@pytest.fixture()
def said():
    """Warnings of the module under test, however other tests have left the loggers above it."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    ours.logger.addHandler(handler)
    yield lines
    ours.logger.removeHandler(handler)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_dead_server_is_said_once_and_changes_and_delays_nothing(graph_mode, tmp_path, finished, said):
    started = time.perf_counter()
    folder = train(tmp_path / "run", "--mlflow_uri", f"http://127.0.0.1:{free_port()}")
    seconds = time.perf_counter() - started
    losses = [row["loss"] for row in rows_of(folder / "losses.csv")]
    assert losses == [row["loss"] for row in rows_of(finished / "losses.csv")]
    assert [("training goes on without it" in line, "were not logged" in line) for line in said] == [
        (True, False),
        (False, True),
    ]
    assert seconds < 15


def test_a_server_that_never_answers_holds_up_neither_steps_nor_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        cfg = load_config(CONFIG, ["--mlflow", "1", "--mlflow_uri", uri])
        tmp_path.joinpath("run").mkdir()
        record = ours.MlflowRecord(cfg, tmp_path / "run")
        started = time.perf_counter()
        for step in range(3 * ours.QUEUE_SIZE):
            record.write_losses([{"epoch": 1, "step": step, "global_step": step, "loss": 0.5}])
        assert time.perf_counter() - started < 1
        assert record._jobs.qsize() <= ours.QUEUE_SIZE and record.dropped >= ours.QUEUE_SIZE
        record.close(None)
        assert time.perf_counter() - started < 6


def test_a_server_that_comes_back_gets_what_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "PAUSE", 0.01)
    blocked = tmp_path / "mlruns"
    blocked.write_text("a file where the store's folder should be")
    (tmp_path / "run").mkdir()
    cfg = load_config(CONFIG, ["--mlflow", "1", "--mlflow_uri", blocked.as_uri()])
    record = ours.MlflowRecord(cfg, tmp_path / "run")
    deadline = time.monotonic() + 20
    while not record.failing and time.monotonic() < deadline:
        time.sleep(0.01)
    assert record.failing
    blocked.unlink()
    record.write_losses([{"epoch": 1, "step": 2, "global_step": 2, "loss": 0.5}])
    record.close(SystemExit(130))
    client, run = stored(tmp_path / "run")
    assert run.info.status == "KILLED" and run.data.metrics["loss"] == 0.5 and run.data.params["lr"]


def test_a_missing_package_is_one_clear_line_before_the_first_step(graph_mode, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run = make(tmp_path / "run")
    with pytest.raises(UserError, match="pip install mlflow-skinny"):
        loop(run, batches(0, TOTAL))
    assert run.done == 0


def test_other_ranks_and_runs_without_the_key_write_nothing_to_mlflow(graph_mode, tmp_path):
    assert "mlflow" not in make_hooks(load_config(CONFIG))
    run = make(tmp_path / "run")
    run.process = Runtime(rank=1)
    hook = run.hooks["mlflow"]
    hook.on_start(run, {})
    hook.on_rows(run, [{"epoch": 1, "step": 1, "global_step": 1, "loss": 0.5}])
    hook.on_end(None)
    assert not (tmp_path / "mlruns").exists() and not (tmp_path / "run" / "mlflow.json").exists()
