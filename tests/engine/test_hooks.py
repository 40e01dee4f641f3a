"""The hooks of a run: their order, what they are told, and what they keep over a resume."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from src.checkpoint import read_checkpoint
from src.config import load_config
from src.engine import hooks
from src.engine.curves import CsvTable
from src.engine.hooks import HOOKS, Hook, make_hooks
from src.engine.trainer import loop
from src.errors import UserError
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, broken_off_at, interrupted_at, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")


class Counter(Hook):
    """Counts what it hears of, over all parts of a run."""

    def __init__(self):
        self.counts = {"steps": 0, "rows": 0, "epochs": 0}
        self.loss = 0.0
        self.ends: list[BaseException | None] = []

    def on_start(self, run, state):
        self.resumed = {name: value.tolist() for name, value in state.items()}
        self.counts |= {name: self.resumed.get(name, 0) for name in self.counts}
        self.loss = self.resumed.get("loss", 0.0)

    def on_step(self, run, losses):
        assert run.done == self.counts["steps"] + 1 and len(losses) == len(run.model.loss_names)
        self.counts["steps"] += 1

    def on_rows(self, run, rows):
        assert [row["global_step"] for row in rows] == [self.counts["rows"] + k for k in range(1, len(rows) + 1)]
        self.counts["rows"] += len(rows)
        self.loss += sum(row["loss"] for row in rows)

    def on_epoch(self, run, epoch):
        assert epoch.global_step == self.counts["rows"] == epoch.number * STEPS_PER_EPOCH
        self.counts["epochs"] += 1

    def on_end(self, error):
        self.ends.append(error)

    def state(self):
        return {name: np.asarray(value) for name, value in self.counts.items()} | {"loss": np.asarray(self.loss)}


def reorder(monkeypatch, names) -> None:
    """Let `HOOKS` have the order of `names`."""
    monkeypatch.setattr(hooks, "HOOKS", {name: HOOKS[name] for name in names})


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(
    "data,step,error,kept",
    [
        (interrupted_at, 5, SystemExit, {"steps": 5, "rows": 5, "epochs": 0}),
        (broken_off_at, 6, MemoryError, {"steps": 4, "rows": 4, "epochs": 0}),
        (broken_off_at, 8, MemoryError, {"steps": 6, "rows": 6, "epochs": 1}),
    ],
    ids=["signal", "kill", "kill after an epoch"],
)
def test_a_hook_from_outside_hears_of_everything_and_gets_its_state_back(
    pynative_mode, tmp_path, monkeypatch, place, data, step, error, kept
):
    names = list(HOOKS)
    monkeypatch.setitem(HOOKS, "counter", lambda cfg: Counter())
    reorder(monkeypatch, [*names, "counter"] if place == "last" else ["counter", *names])
    first = make_run(tmp_path, CONFIG)
    with pytest.raises(error) as stopped:
        loop(first, data(step))
    counter = first.hooks["counter"]
    assert counter.resumed == {} and counter.ends == [stopped.value]
    second = make_run(tmp_path, CONFIG, "--resume", "1")
    assert second.done == kept["steps"]
    loop(second, batches(second.done, TOTAL))
    counter = second.hooks["counter"]
    assert {name: counter.resumed[name] for name in kept} == kept
    assert counter.counts == {"steps": TOTAL, "rows": TOTAL, "epochs": 2} and counter.ends == [None]
    rows = CsvTable(tmp_path / "losses.csv").read()
    assert len(rows) == TOTAL and counter.loss == pytest.approx(sum(row["loss"] for row in rows))


def test_the_checkpoint_of_a_run_whose_hooks_keep_nothing_holds_the_steps_parameters_and_place(pynative_mode, tmp_path):
    run = make_run(tmp_path, CONFIG)
    loop(run, batches(0, TOTAL))
    model = {parameter.name for parameter in run.model.get_parameters()}
    step = {parameter.name for parameter in run.step.get_parameters()}
    found = set(read_checkpoint(run.experiment.checkpoints.newest_first()[0]))
    own = {"state/hooks/run/steps_per_epoch", "state/hooks/run/told"}
    assert found == model | {f"state/{name}" for name in step - model - {"learning_rate"}} | own


def test_the_best_weights_so_far_are_named_even_where_others_are_kept_too(pynative_mode, tmp_path, caplog):
    run = make_run(tmp_path, CONFIG, "--run_eval", "1", "--keep_best_checkpoints_max", "5")
    scores = iter([0.5, 0.25, 0.125, 0.0625])
    run.evaluate = lambda model: {"score": next(scores)}
    with caplog.at_level("INFO"):
        loop(run, batches(0, TOTAL))
    told = [line.rpartition("/")[2] for line in caplog.messages if line.startswith("Best checkpoint so far: ")]
    assert len(told) > 1 and set(told) == {"score_0.5000_epoch_0001.ckpt"}


class Keeper(Hook):
    """Keeps the step's number as soon as it hears of rows, as a hook may that looks for the lowest loss."""

    def __init__(self):
        self.kept: list[int] = []

    def on_rows(self, run, rows):
        run.fetch_rows()
        self.kept.append(run.done)


ORDERS = {
    "of today": lambda names: names,
    "reversed": lambda names: names[::-1],
    "writers first": lambda names: sorted(
        names, key=lambda name: name not in ("checkpoints", "best_weights", "keeper")
    ),
    "by name": sorted,
}


@pytest.mark.parametrize("bad_step", [5, STEPS_PER_EPOCH])
@pytest.mark.parametrize("order", ORDERS)
def test_in_no_order_of_the_hooks_a_state_is_written_after_a_step_that_was_not_finite(
    pynative_mode, tmp_path, monkeypatch, order, bad_step
):
    """The bad step is one after which a checkpoint is due and nothing else, or an epoch's last."""
    monkeypatch.setitem(HOOKS, "keeper", lambda cfg: Keeper())
    reorder(monkeypatch, ORDERS[order](list(HOOKS)))
    run = make_run(tmp_path, CONFIG, "--run_eval", "1", "--save_every", "5", "--log_every", "4")
    run.evaluate = lambda model: {"score": 0.5}
    with pytest.raises(UserError) as raised:
        loop(run, batches(0, TOTAL, bad=(bad_step - 1,)))
    good = list((tmp_path / "ckpt").iterdir())
    assert [path.name for path in good] == ["epoch_0001_step_0000005.ckpt"] * (bad_step == STEPS_PER_EPOCH)
    assert not list((tmp_path / "best_ckpt").iterdir())
    assert run.done == bad_step and bad_step not in run.hooks["keeper"].kept
    kept = f"the last good checkpoint is {good[0]}" if good else "no checkpoint had been written yet"
    assert str(raised.value) == (
        f"the loss is not finite at epoch 1, step {bad_step} (global step {bad_step}): training stops; {kept}. "
        "A lower lr, a longer warmup_step or grad_clip may help"
    )


def test_a_gradient_that_is_not_finite_is_told_from_a_loss_that_is_not(pynative_mode, tmp_path):
    run = make_run(tmp_path, CONFIG, "--loss_scale", "3e38")
    with pytest.raises(UserError) as raised:
        loop(run, batches(0, TOTAL))
    assert str(raised.value) == (
        "the loss is finite, but not its gradient times loss_scale 3e+38, at epoch 1, step 1 (global step 1): "
        "training stops; no checkpoint had been written yet. A lower loss_scale or lr, a longer warmup_step or "
        "grad_clip may help"
    )


class EarlyStop(Hook):
    """Ends the run when the score falls."""

    def __init__(self):
        self.best = 0.0

    def on_epoch(self, run, epoch):
        if epoch.metrics["score"] < self.best:
            run.last = run.done
        self.best = max(self.best, epoch.metrics["score"])


@pytest.mark.parametrize(
    ("start", "every", "evaluated"),
    [(0, 2, [2, 4, 5]), (1, 2, [1, 3, 5]), (3, 2, [3, 5]), (2, 1, [2, 3, 4, 5]), (9, 1, [5])],
)
def test_evaluation_begins_with_the_epoch_that_eval_start_names_and_follows_the_last_step(start, every, evaluated):
    hook = make_hooks(load_config(CONFIG, ["--eval_start", str(start), "--eval_every", str(every)]))["evaluation"]
    runs = [SimpleNamespace(epoch=epoch, finished=epoch == 5) for epoch in range(1, 6)]
    assert [run.epoch for run in runs if hook.is_due(run)] == evaluated


def test_a_hook_can_end_the_run_after_an_epoch(pynative_mode, tmp_path, monkeypatch):
    monkeypatch.setitem(HOOKS, "early_stop", lambda cfg: EarlyStop())
    run = make_run(tmp_path, CONFIG, "--run_eval", "1", "--epoch_size", "5")
    scores = iter((0.5, 0.75, 0.25, 1.0))
    run.evaluate = lambda model: {"score": next(scores)}
    loop(run, batches(0, 5 * STEPS_PER_EPOCH))
    assert run.done == 3 * STEPS_PER_EPOCH
    assert run.experiment.checkpoints.newest_first()[0].name == "epoch_0003_step_0000006.ckpt"
    assert run.experiment.best.top().name == "score_0.7500_epoch_0002.ckpt"


def test_hooks_that_the_configuration_switches_off_are_not_made():
    cfg = load_config(CONFIG, ["--run_eval", "0"])
    off = {"evaluation", "best_weights", "metric_curves", "mlflow", "profiling", "loss_scale"}
    assert not off & set(make_hooks(cfg))
    assert not {"tensorboard", "sample_pictures", "epoch_losses"} & set(make_hooks(load_config(CONFIG)))
    on = ("mlflow", "enable_profiling", "patience", "val_loss", "tensorboard", "sample_pictures")
    switches = ["--amp_level", "O1", "--loss_scale", "dynamic", "--eval_every", "2"]
    cfg = load_config(CONFIG, [*switches, *(word for name in on for word in (f"--{name}", "1"))])
    assert list(make_hooks(cfg)) == list(HOOKS)
