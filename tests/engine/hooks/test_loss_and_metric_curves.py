from pathlib import Path

import numpy as np
import pytest

from src.engine.curves import CsvTable
from src.engine.hooks.curves import LossCurves, MetricCurves
from src.engine.run import Epoch, Run
from src.engine.trainer import loop
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, broken_off_at, make_run

CONFIG = str(Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


@pytest.fixture()
def pictures():
    """They are drawn."""


@pytest.fixture()
def run(graph_mode, tmp_path) -> Run:
    return make_run(tmp_path, CONFIG)


def test_losses_after_the_resume_point_and_half_lines_are_cut(run):
    hook = LossCurves()
    hook.on_start(run, {})
    hook.on_rows(run, [{"epoch": 1, "step": n, "global_step": n, "lr": 0.1, "loss": 1.5} for n in (1, 2, 3)])
    with open(hook.table.path, "a") as file:
        file.write("1,4,4,0.1,")
    run.done = 2
    hook.on_start(run, {})
    assert [row["global_step"] for row in hook.table.read()] == [1, 2]
    assert hook.table.path.read_text().splitlines()[1] == "1,1,1,0.1,1.5"
    assert not list(hook.table.path.parent.glob("*.damaged"))  # what a kill leaves is nothing to speak of


def test_the_losses_are_drawn_at_the_end_of_an_epoch(run):
    hook = LossCurves()
    hook.on_start(run, {})
    hook.on_rows(run, [{"epoch": 1, "step": n, "global_step": n, "lr": 0.1, "loss": 1.5} for n in (1, 2, 3)])
    hook.on_epoch(run, evaluated(1))
    assert (run.experiment.folder / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_resumed_before_its_first_checkpoint_starts_its_losses_anew(run):
    (run.experiment.folder / "losses.csv").write_text("epoch,step,global_step,lr,loss\n1,1,1,0.1,1.5\n")
    LossCurves().on_start(run, {})
    assert not (run.experiment.folder / "losses.csv").exists()


def evaluated(epoch: int, **metrics: float) -> Epoch:
    return Epoch(epoch, STEPS_PER_EPOCH, epoch * STEPS_PER_EPOCH, 1.0, 0.5, metrics)


def test_metrics_of_evaluations_after_the_resume_point_are_cut_too(run):
    hook = MetricCurves()
    hook.on_start(run, {})
    for epoch in (1, 2, 3):
        hook.on_epoch(run, evaluated(epoch, score=0.25 * epoch))
    run.done = 2 * STEPS_PER_EPOCH
    hook.on_start(run, {})
    assert hook.table.path.read_text() == "epoch,global_step,train_loss,score\n1,6,0.5,0.25\n2,12,0.5,0.5\n"
    assert (run.experiment.folder / "metrics.png").read_bytes().startswith(b"\x89PNG")
    run.done = 0
    hook.on_start(run, {})
    assert not hook.table.path.exists()


def test_a_metric_that_is_no_number_does_not_stop_a_resume(run):
    hook = MetricCurves()
    hook.on_start(run, {})
    hook.on_epoch(run, evaluated(1, score=0.0, Loss=np.nan, worst=np.inf))
    run.done = STEPS_PER_EPOCH
    hook.on_start(run, {})
    expected = "epoch,global_step,train_loss,score,Loss,worst\n1,6,0.5,0.0,nan,inf\n"
    assert hook.table.path.read_text() == expected


def epochs_of(folder: Path) -> list[tuple]:
    return [tuple(row.values()) for row in CsvTable(folder / "epochs.csv").read()]


@pytest.mark.parametrize("first", ["without an evaluation", "killed after the state of an epoch", "evaluated each one"])
def test_a_run_that_does_not_evaluate_each_epoch_has_their_losses_in_a_file(
    pynative_mode, tmp_path, monkeypatch, first
):
    """However the part before a resume was run, and wherever it ended."""
    keys = ("--run_eval", "1" if first.startswith("evaluated") else "0")
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        if first.startswith("killed"):
            patch.setattr(Run, "tell_epoch", lambda run, seconds: next(broken_off_at(1)))
        run = make_run(tmp_path, CONFIG, *keys, evaluate=lambda model: {"score": 0.5})
        loop(run, broken_off_at(STEPS_PER_EPOCH + 2))
    assert (tmp_path / "epochs.csv").exists() == first.startswith("without")
    second = make_run(tmp_path, CONFIG, "--resume", "1")
    loop(second, batches(second.done, TOTAL))
    losses = [row["loss"] for row in CsvTable(tmp_path / "losses.csv").read()]
    means = [sum(losses[k : k + STEPS_PER_EPOCH]) / STEPS_PER_EPOCH for k in (0, STEPS_PER_EPOCH)]
    assert second.done == TOTAL and epochs_of(tmp_path) == [(1, STEPS_PER_EPOCH, means[0]), (2, TOTAL, means[1])]


def test_an_epoch_in_which_a_run_ended_is_one_row_once_it_went_on(pynative_mode, tmp_path):
    loop(make_run(tmp_path, CONFIG, "--max_steps", "4"), batches(0, TOTAL))
    assert [row[:2] for row in epochs_of(tmp_path)] == [(1, 4)]
    loop(make_run(tmp_path, CONFIG, "--resume", "1"), batches(4, TOTAL))
    assert [row[:2] for row in epochs_of(tmp_path)] == [(1, STEPS_PER_EPOCH), (2, TOTAL)]
