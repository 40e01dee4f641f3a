"""`patience`: a run that no longer gets better ends in good order, at one and the same evaluation if it was resumed."""

import logging
import math
from pathlib import Path

import pytest

from src.checkpoint import read_checkpoint
from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.hooks import make_hooks
from src.engine.trainer import loop
from tests.engine.toy import STEPS_PER_EPOCH, batches, make_run

CONFIG = str(Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
EPOCHS = 7
LAST = EPOCHS * STEPS_PER_EPOCH
SCORES = {1: 0.3, 2: 0.5, 3: 0.4, 4: math.nan, 5: 0.5, 6: 0.9, 7: 0.1}  # no gain after epochs 3, 4 and 5


@pytest.fixture()
def lines(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    caplog.set_level("INFO")
    return lambda: caplog.messages


def run_in(folder, patience: int, *keys: str):
    """A run of the toy whose evaluations score as `SCORES` says."""
    keys = ("--run_eval", "1", "--epoch_size", str(EPOCHS), "--patience", str(patience), *keys)
    run = make_run(folder, CONFIG, *keys)
    run.evaluate = lambda model: {"score": SCORES[run.epoch]}
    return run


def evaluated(folder) -> list[int]:
    return [int(row["epoch"]) for row in CsvTable(folder / "metrics.csv").read()]


def killed_in_epoch(run, epoch: int) -> None:
    """Go on until the run is killed in the evaluation of this epoch."""
    score = run.evaluate

    def evaluate(model):
        if run.epoch == epoch:
            raise MemoryError("killed")
        return score(model)

    run.evaluate = evaluate
    with pytest.raises(MemoryError):
        loop(run, batches(run.done, LAST))


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (3, 5), (4, 7)])
def test_the_run_ends_after_so_many_evaluations_without_gain(pynative_mode, tmp_path, lines, patience, last):
    run = run_in(tmp_path, patience)
    loop(run, batches(0, LAST))
    assert evaluated(tmp_path) == list(range(1, last + 1)) and run.done == last * STEPS_PER_EPOCH
    assert run.experiment.checkpoints.newest_first()[0].name == f"epoch_{last:04d}_step_0000006.ckpt"
    said = [line for line in lines() if line.startswith("Early stopping")]
    reason = f"{patience} evaluations in a row without gain of score; the best is 0.5000 after epoch 2"
    assert said == ([] if last == EPOCHS else [f"Early stopping: {reason}"])


def test_the_final_state_is_saved_where_checkpoints_are_seldom(pynative_mode, tmp_path):
    run = run_in(tmp_path, 1, "--save_every_epochs", "5")
    loop(run, batches(0, LAST))
    assert [path.name for path in run.experiment.checkpoints.newest_first()] == ["epoch_0003_step_0000006.ckpt"]
    again = run_in(tmp_path, 1, "--save_every_epochs", "5", "--resume", "1")
    assert again.done == 3 * STEPS_PER_EPOCH and again.finished and not again.owes_epoch


@pytest.mark.parametrize("epochs", [(4,), (3, 5)], ids=str)
def test_a_resumed_run_ends_at_the_same_evaluation_with_the_same_state(pynative_mode, tmp_path, epochs):
    """Killed within the evaluations of these epochs, the last of which is the one that ends it."""
    whole = run_in(tmp_path / "whole", 3)
    loop(whole, batches(0, LAST))
    for part, epoch in enumerate(epochs):
        killed_in_epoch(run_in(tmp_path / "parts", 3, "--resume", str(int(part > 0))), epoch)
    last = run_in(tmp_path / "parts", 3, "--resume", "1")
    assert last.owes_epoch
    loop(last, batches(last.done, LAST))
    assert evaluated(tmp_path / "parts") == evaluated(tmp_path / "whole") == [1, 2, 3, 4, 5]
    states = [read_checkpoint(run.experiment.checkpoints.newest_first()[0]) for run in (whole, last)]
    assert states[0].keys() == states[1].keys() and "state/hooks/early_stopping/count" in states[0]
    assert all((states[0][name] == value).all() for name, value in states[1].items())


def test_a_run_that_stopped_early_is_complete_until_its_patience_is_larger(pynative_mode, tmp_path, lines):
    loop(run_in(tmp_path, 2), batches(0, LAST))
    again = run_in(tmp_path, 2, "--resume", "1")
    loop(again, iter(()))
    assert again.finished and again.done == 4 * STEPS_PER_EPOCH and evaluated(tmp_path) == [1, 2, 3, 4]
    said = [line for line in lines() if line.startswith("The run ")]
    assert said[0].startswith("The run stopped early: 2 evaluations in a row without gain of score; the best is 0.5000")
    assert said[0].endswith("a larger --patience goes on, or 0")
    assert said[1] == "The run is complete already: 24 of 24 steps are done"
    more = run_in(tmp_path, 3, "--resume", "1")
    loop(more, batches(more.done, LAST))
    assert evaluated(tmp_path) == [1, 2, 3, 4, 5]
    without = run_in(tmp_path, 0, "--resume", "1")
    loop(without, batches(without.done, LAST))
    assert evaluated(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_is_counted_where_nothing_is_evaluated_or_no_patience_is_asked_for():
    made = [make_hooks(load_config(CONFIG, [f"--run_eval={one}", f"--patience={two}"])) for one, two in ("01", "10")]
    assert not [hooks for hooks in made if "early_stopping" in hooks]
    assert "early_stopping" in make_hooks(load_config(CONFIG, ["--run_eval=1", "--patience=1"]))
