"""A run that is resumed: with another schedule, on other images, from a version of before, out of an evaluation."""

import functools
import logging
import os
import signal
import time
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import STATE_PREFIX, read_checkpoint, save_weights
from src.engine import hooks
from src.engine.curves import CsvTable
from src.engine.hooks import HOOKS, Hook
from src.engine.trainer import loop
from src.errors import UserError
from tests.engine.toy import STEPS_PER_EPOCH, TOTAL, batches, broken_off_at, fresh_model, interrupted_at, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
# By SIGTERM: a SIGINT MindSpore may send on as SIGTERM too, which would come in the midst of the next test.
stopped_at = functools.partial(interrupted_at, by=signal.SIGTERM)
SGD = ("--opt_type", "sgd", "--warmup_step", "0")


def rows_of(folder, name="losses.csv"):
    return CsvTable(folder / name).read()


def weights_of(run) -> dict[str, np.ndarray]:
    return {parameter.name: parameter.asnumpy().copy() for parameter in run.model.get_parameters()}


@pytest.mark.parametrize("accumulate", [pytest.param("1", marks=pytest.mark.slow), "4"])
@pytest.mark.parametrize(
    ("first", "then", "done", "last"),
    [
        (("--epoch_size", "2"), ("--epoch_size", "3"), TOTAL, 18),
        (("--epoch_size", "3"), ("--epoch_size", "2"), 7, 12),
        ((), ("--lr", "0.03"), 7, 12),
        ((), ("--lr_type", "cosine", "--warmup_step", "3"), 7, 12),
    ],
    ids=["more epochs", "fewer epochs", "another rate", "another schedule"],
)
def test_a_resumed_run_may_have_another_schedule(pynative_mode, tmp_path, accumulate, first, then, done, last):
    first, then = ((*SGD, "--lr_type", "linear", "--accumulate_step", accumulate, *more) for more in (first, then))
    run = make_run(tmp_path, CONFIG, *first)
    if done < TOTAL:
        with pytest.raises(SystemExit):
            loop(run, stopped_at(done))
    else:
        loop(run, batches(0, TOTAL))
    before = rows_of(tmp_path)
    run = make_run(tmp_path, CONFIG, "--resume", "1", *then)
    assert run.done == len(before) == done
    loop(run, batches(done, last))
    rows = rows_of(tmp_path)
    assert rows[:done] == before and len(rows) == last
    rates = make_run(tmp_path / "other", CONFIG, *then).schedule.rates[np.arange(done, last) // int(accumulate)]
    np.testing.assert_allclose([row["lr"] for row in rows[done:]], rates, rtol=1e-6)


def test_a_run_that_is_shortened_below_what_is_done_is_evaluated_and_complete(pynative_mode, tmp_path):
    with pytest.raises(SystemExit):
        loop(make_run(tmp_path, CONFIG), stopped_at(9))
    run = make_run(tmp_path, CONFIG, "--resume", "1", "--epoch_size", "1", "--run_eval", "1", evaluate=scores())
    loop(run, [])
    assert run.finished and [row["global_step"] for row in rows_of(tmp_path, "metrics.csv")] == [9]


def test_the_rate_of_a_resumed_runs_schedule_moves_the_weights(pynative_mode, tmp_path):
    keys = (*SGD, "--momentum", "0", "--weight_decay", "0", "--max_steps", "4", "--lr_type", "linear")
    loop(make_run(tmp_path, CONFIG, *keys), batches(0, 4))
    moved = []
    for rate in ("0.1", "0.05"):
        run = make_run(tmp_path, CONFIG, *keys, "--resume", "1", "--lr", rate, "--min_lr", "0", "--max_steps", "5")
        before = weights_of(run)
        loop(run, batches(4, 5))
        moved.append(np.abs(weights_of(run)["dense.weight"] - before["dense.weight"]).max())
        (tmp_path / "ckpt" / "epoch_0001_step_0000005.ckpt").unlink()
    assert moved[0] == pytest.approx(2 * moved[1], rel=1e-3) and moved[1] > 1e-4


@pytest.mark.parametrize("kind", ["sgd", "momentum"])
def test_a_checkpoint_holds_no_rates_and_the_weights_twice_at_most(pynative_mode, tmp_path, kind):
    run = make_run(tmp_path, CONFIG, "--opt_type", kind)
    loop(run, batches(0, TOTAL))
    kept = read_checkpoint(run.experiment.checkpoints.newest_first()[0])
    assert not [name for name in kept if "learning_rate" in name]
    assert sorted(name for name in kept if name.endswith("dense.weight")) == [
        "dense.weight", f"{STATE_PREFIX}moments.dense.weight",
    ]  # fmt: skip


def make_it_of_before(path: Path) -> None:
    """What MindSpore's SGD and its list of rates left in a checkpoint; nothing of the run's own."""
    old = {}
    for name, value in read_checkpoint(path).items():
        if name.startswith(f"{STATE_PREFIX}hooks/run/") or name == f"{STATE_PREFIX}window":
            continue
        name = name.replace(f"{STATE_PREFIX}moments.", f"{STATE_PREFIX}accum.")
        old[name] = value
        if ".accum." in name or name.startswith(f"{STATE_PREFIX}accum."):
            old[name.replace("accum.", "stat.")] = np.zeros_like(value)
    old[f"{STATE_PREFIX}learning_rate"] = np.full(17, 0.1, np.float32)
    path.chmod(0o644)
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in old.items()], str(path))


@pytest.mark.parametrize("accumulate", ["1", "4"])
def test_a_run_of_before_goes_on_as_if_it_had_not_been_stopped(pynative_mode, tmp_path, accumulate):
    keys = ("--opt_type", "sgd", "--accumulate_step", accumulate)
    whole = make_run(tmp_path / "whole", CONFIG, *keys)
    loop(whole, batches(0, TOTAL))
    first = make_run(tmp_path / "parts", CONFIG, *keys)
    with pytest.raises(SystemExit):
        loop(first, stopped_at(7))
    make_it_of_before(first.experiment.checkpoints.newest_first()[0])
    second = make_run(tmp_path / "parts", CONFIG, "--resume", "1", *keys)
    assert second.done == 7
    loop(second, batches(7, TOTAL))
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    for name, value in weights_of(whole).items():
        np.testing.assert_array_equal(weights_of(second)[name], value, err_msg=name)


@pytest.mark.parametrize(("steps", "of_before"), [(3, False), (9, False), (9, True)])
def test_a_run_is_not_resumed_on_another_number_of_images_and_the_message_says_so(
    pynative_mode, tmp_path, steps, of_before
):
    run = make_run(tmp_path, CONFIG)
    with pytest.raises(SystemExit):
        loop(run, stopped_at(9 if of_before else 4))
    path = run.experiment.checkpoints.newest_first()[0]
    if of_before:
        make_it_of_before(path)
    said = f"{path} is of a run with 6 steps an epoch, the training set now gives {steps}: .*--pre_trained"
    with pytest.raises(UserError, match=said):
        make_run(tmp_path, CONFIG, "--resume", "1", steps_per_epoch=steps)


def damage(*paths: Path) -> None:
    for path in paths:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-3])


def test_an_older_state_takes_the_rows_after_it_with_it(pynative_mode, tmp_path):
    keys = ("--run_eval", "1", "--save_every", "3")
    first = make_run(tmp_path, CONFIG, *keys, evaluate=scores())
    loop(first, batches(0, TOTAL))
    before = [rows_of(tmp_path, name) for name in ("losses.csv", "metrics.csv")]
    damage(*first.experiment.checkpoints.newest_first()[:3])
    second = make_run(tmp_path, CONFIG, "--resume", "1", *keys, evaluate=scores())
    assert second.done == 3
    loop(second, batches(3, TOTAL))
    for name, rows in zip(("losses.csv", "metrics.csv"), before):
        assert rows_of(tmp_path, name) == rows
    # those that could not be read lie beside the new ones, among which none of them counts
    assert len(second.experiment.checkpoints.damaged()) == 3 and len(second.experiment.checkpoints.newest_first()) == 4


@pytest.mark.parametrize("kind", ["damaged", "none"])
def test_a_run_that_begins_again_in_its_folder_has_its_own_rows_and_loses_nothing(
    pynative_mode, tmp_path, caplog, monkeypatch, kind
):
    keys = ("--run_eval", "1", "--save_every", "2")
    whole = make_run(tmp_path, CONFIG, *keys, evaluate=scores())
    if kind == "none":  # killed before its first checkpoint
        whole.hooks.pop("checkpoints")
        with pytest.raises(MemoryError):
            loop(whole, broken_off_at(4))
    else:
        loop(whole, batches(0, TOTAL))
    old = {path.name: path.read_bytes() for path in tmp_path.rglob("*.csv")}
    best = {path.name for path in (tmp_path / "best_ckpt").iterdir()}
    damage(*whole.experiment.checkpoints.newest_first())
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    with caplog.at_level("WARNING"):
        again = make_run(tmp_path, CONFIG, "--resume", "1", *keys, "--max_steps", "4", evaluate=scores())
    assert again.done == 0
    loop(again, batches(0, 4))
    assert [row["global_step"] for row in rows_of(tmp_path)] == [1, 2, 3, 4]
    assert len(again.experiment.checkpoints.newest_first()) == 2
    assert best <= {path.name for path in (tmp_path / "best_ckpt").iterdir()}
    if kind == "damaged":
        kept = {path.name: path.read_bytes() for path in (tmp_path / "before_1").iterdir()}
        assert old.items() <= kept.items() and len([name for name in kept if name.endswith(".damaged")]) == 5
        assert "begins again with its first step" in caplog.text and f"--pre_trained {tmp_path}" in caplog.text


# ------------------------------------------------------------------------------------------------------- evaluations


class Epochs(Hook):
    """Keeps the numbers of the epochs that it hears of."""

    def __init__(self):
        self.heard: list[int] = []

    def on_start(self, run, state):
        self.heard = state.get("heard", np.zeros(0, int)).tolist()

    def on_epoch(self, run, epoch):
        self.heard.append(epoch.number)

    def state(self):
        return {"heard": np.array(self.heard)} if self.heard else {}


def scores(*killed: int):
    """An evaluation that is killed in the calls of these numbers, and gives a score that follows from the weights."""
    calls = []

    def evaluate(model):
        calls.append(len(calls) + 1)
        if calls[-1] in killed:
            raise MemoryError("killed")
        return {"score": round(float(np.abs(model.dense.weight.asnumpy()).mean()), 4)}

    evaluate.calls = calls
    return evaluate


@pytest.mark.parametrize("epoch", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place,ema", [("first", "0"), ("last", "0"), ("none", "0"), ("none", "0.9")])
def test_an_evaluation_in_which_a_run_was_killed_is_made_up(pynative_mode, tmp_path, monkeypatch, epoch, place, ema):
    """place: of a hook from outside with a state, among the others."""
    own = {} if place == "none" else {"epochs": lambda cfg: Epochs()}
    monkeypatch.setattr(hooks, "HOOKS", own | HOOKS if place == "first" else HOOKS | own)
    keys = ("--run_eval", "1", "--ema_decay", ema)
    whole = make_run(tmp_path / "whole", CONFIG, *keys, evaluate=scores())
    loop(whole, batches(0, TOTAL))
    with pytest.raises(MemoryError):
        loop(make_run(tmp_path / "parts", CONFIG, *keys, evaluate=scores(epoch)), batches(0, TOTAL))
    second = make_run(tmp_path / "parts", CONFIG, "--resume", "1", *keys, evaluate=scores())
    assert second.done == epoch * STEPS_PER_EPOCH
    loop(second, batches(second.done, TOTAL))
    assert len(second.evaluate.calls) == 3 - epoch
    for name in ("metrics.csv", "losses.csv"):
        assert rows_of(tmp_path / "parts", name) == rows_of(tmp_path / "whole", name)
    names = [sorted(path.name for path in (tmp_path / one / "best_ckpt").iterdir()) for one in ("whole", "parts")]
    assert names[0] == names[1] and len(names[0]) == 2
    if place != "none":
        assert second.hooks["epochs"].heard == whole.hooks["epochs"].heard == [1, 2]
    third = make_run(tmp_path / "parts", CONFIG, "--resume", "1", *keys, evaluate=scores())
    loop(third, [])
    assert third.finished and third.evaluate.calls == []


def test_an_epoch_whose_last_step_met_a_stop_is_evaluated_when_the_run_goes_on(pynative_mode, tmp_path):
    keys = ("--run_eval", "1")
    first = make_run(tmp_path, CONFIG, *keys, evaluate=scores())
    with pytest.raises(SystemExit):
        loop(first, stopped_at(STEPS_PER_EPOCH))
    second = make_run(tmp_path, CONFIG, "--resume", "1", *keys, evaluate=scores())
    loop(second, batches(STEPS_PER_EPOCH, TOTAL))
    assert first.evaluate.calls == [] and [row["epoch"] for row in rows_of(tmp_path, "metrics.csv")] == [1, 2]


def test_an_epoch_whose_last_step_met_a_stop_is_told_though_it_is_not_evaluated(pynative_mode, tmp_path):
    keys = ("--run_eval", "1", "--eval_every", "2")
    with pytest.raises(SystemExit):
        loop(make_run(tmp_path, CONFIG, *keys, evaluate=scores()), stopped_at(STEPS_PER_EPOCH))
    second = make_run(tmp_path, CONFIG, "--resume", "1", *keys, evaluate=scores())
    told = []
    tell = second.hooks["epoch_log"].on_epoch
    second.hooks["epoch_log"].on_epoch = lambda run, epoch: (told.append((epoch.number, epoch.loss)), tell(run, epoch))
    loop(second, batches(STEPS_PER_EPOCH, TOTAL))
    rows = rows_of(tmp_path, "epochs.csv")
    assert told == [(1, pytest.approx(rows[0]["train_loss"])), (2, pytest.approx(rows[1]["train_loss"]))]


def test_a_signal_within_an_evaluation_is_answered_at_once_and_ends_the_run_after_it(pynative_mode, tmp_path, caplog):
    caplog.set_level("INFO")
    before = []

    def evaluate(model):
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not before and time.monotonic() < deadline:
            time.sleep(0.01)
            before.extend(line for line in caplog.messages if line.startswith("Signal "))
        return {"score": 0.5}

    run = make_run(tmp_path, CONFIG, "--run_eval", "1", evaluate=evaluate)
    with pytest.raises(SystemExit) as stopped:
        loop(run, batches(0, TOTAL))
    assert before == ["Signal 15: the run ends after this evaluation; a second one ends it at once"]
    assert stopped.value.code == 143 and [row["epoch"] for row in rows_of(tmp_path, "metrics.csv")] == [1]
    assert run.done == STEPS_PER_EPOCH + 1


def test_an_evaluation_of_the_average_changes_nothing_of_the_training(pynative_mode, tmp_path):
    keys = ("--ema_decay", "0.9", "--opt_type", "adam")
    loop(make_run(tmp_path / "no", CONFIG, *keys), batches(0, TOTAL))
    loop(make_run(tmp_path / "yes", CONFIG, *keys, "--run_eval", "1", evaluate=scores()), batches(0, TOTAL))
    assert rows_of(tmp_path / "no") == rows_of(tmp_path / "yes")


def test_epochs_without_an_evaluation_owe_none(pynative_mode, tmp_path):
    keys = ("--run_eval", "1", "--eval_every", "2", "--epoch_size", "4")
    with pytest.raises(MemoryError):
        loop(make_run(tmp_path, CONFIG, *keys, evaluate=scores()), broken_off_at(STEPS_PER_EPOCH + 1))
    run = make_run(tmp_path, CONFIG, "--resume", "1", *keys, evaluate=scores())
    assert run.done == STEPS_PER_EPOCH and not run.owes_epoch


# -------------------------------------------------------------------------------------------------- the whole command


def test_a_resumed_run_opens_its_training_set_once_and_needs_pre_trained_no_more(command, tmp_path):
    save_weights(fresh_model(), tmp_path / "start.ckpt")
    keys = ("--pre_trained", tmp_path / "start.ckpt", "--ema_decay", "0.9")
    folder, _ = command(*keys, "--max_steps", 7)
    (tmp_path / "start.ckpt").unlink()
    _, opened = command(*keys, "--resume", 1)
    assert opened == 1 and [row["global_step"] for row in rows_of(folder)] == list(range(1, TOTAL + 1))


def test_a_start_with_wrong_weights_leaves_nothing_that_refuses_the_right_ones(command, tmp_path):
    save_weights(fresh_model(), tmp_path / "start.ckpt")
    (tmp_path / "wrong.ckpt").write_bytes(b"half")
    for wrong in ("wrong.ckpt", "nowhere.ckpt"):
        with pytest.raises(UserError, match=wrong):
            command("--pre_trained", tmp_path / wrong)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["start.ckpt", "wrong.ckpt"]
    folder, _ = command("--pre_trained", tmp_path / "start.ckpt", "--lr", 0.05)
    assert len(rows_of(folder)) == TOTAL


def test_a_run_that_has_no_step_left_keeps_its_configuration(command):
    folder, _ = command()
    before = (folder / "config.yaml").read_text()
    command("--resume", 1, "--epoch_size", 1, "--lr", 0.5)
    assert (folder / "config.yaml").read_text() == before


def test_where_no_checkpoint_is_readable_the_run_begins_with_its_start_weights(command, tmp_path):
    start = fresh_model()
    start.dense.weight.set_data(Tensor(np.full((4, 3), 0.25, np.float32)))
    save_weights(start, tmp_path / "start.ckpt")
    keys = ("--pre_trained", tmp_path / "start.ckpt", "--ema_decay", "0.9", "--save_every", "1")
    folder, _ = command(*keys, "--max_steps", 1)
    state = folder / "ckpt" / "epoch_0001_step_0000001.ckpt"
    first = read_checkpoint(state)
    state.chmod(0o644)
    state.write_bytes(b"half")
    command(*keys, "--resume", 1, "--max_steps", 1)
    for name, value in read_checkpoint(state).items():
        np.testing.assert_array_equal(value, first[name], err_msg=name)


def test_a_run_that_ended_before_its_first_state_says_that_it_begins_with_its_first_step(command, capsys):
    folder, _ = command("--max_steps", 2)
    rows = (folder / "losses.csv").read_bytes()
    for state in (folder / "ckpt").iterdir():
        state.unlink()
    capsys.readouterr()
    command("--max_steps", 2, "--resume", 1)
    assert "ckpt holds no state yet: the run begins with its first step" in capsys.readouterr().out
    assert (folder / "losses.csv").read_bytes() == rows


def test_one_line_says_what_goes_on_and_what_starts_anew(command, capsys):
    command("--max_steps", 7)
    capsys.readouterr()
    command("--resume", 1, "--epoch_size", 3, "--lr", 0.03)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "other keys than before" in line]
    assert "max_steps 7 -> 0" in line and "epoch_size 2 -> 3" in line and "lr 0.1 -> 0.03" in line
    assert "the count of steps (7 of 18) continue; the learning rates start anew" in line
    command("--resume", 1, "--epoch_size", 3, "--lr", 0.03)
    assert "other keys" not in capsys.readouterr().out
    command("--resume", 1, "--epoch_size", 3, "--lr", 0.03, "--max_steps", 18)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "other keys than before" in line]
    assert "max_steps 0 -> 18" in line and line.endswith("the count of steps (18 of 18) continue")
