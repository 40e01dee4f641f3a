from pathlib import Path

import numpy as np
import pytest

from src.engine.hooks.curves import LossCurves, MetricCurves
from src.engine.run import Epoch, Run
from tests.engine.toy import STEPS_PER_EPOCH, make_run

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
