import csv
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from src.checkpoint import read_checkpoint
from src.engine.trainer import loop
from src.errors import UserError
from src.process.logs import start_logging
from tests.engine.toy import STEPS_PER_EPOCH, batches, broken_off_at, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
TOTAL = 2 * STEPS_PER_EPOCH
OPTIONS = {
    "sgd": ("--opt_type", "sgd"),
    "adam": ("--opt_type", "adam", "--lr_type", "cosine"),
    "accumulated momentum": ("--opt_type", "momentum", "--accumulate_step", "3", "--grad_clip", "0.5"),
}


def losses_of(folder) -> list[dict]:
    with open(folder / "losses.csv", newline="") as file:
        return list(csv.DictReader(file))


def weights_of(run) -> dict[str, np.ndarray]:
    return {parameter.name: parameter.asnumpy() for parameter in run.step.get_parameters()}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_stopped_by_a_signal_and_resumed_equals_an_uninterrupted_one(graph_mode, tmp_path, name):
    whole = make_run(tmp_path / "whole", CONFIG, *OPTIONS[name])
    loop(whole, batches(0, TOTAL))

    def interrupted():
        for number, batch in enumerate(batches(0, TOTAL)):
            if number == 6:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    first = make_run(tmp_path / "parts", CONFIG, *OPTIONS[name])
    with pytest.raises(SystemExit) as stopped:
        loop(first, interrupted())
    assert stopped.value.code == 130
    second = make_run(tmp_path / "parts", CONFIG, "--resume", "1", *OPTIONS[name])
    assert second.done == 7
    loop(second, batches(7, TOTAL))
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    expected, resumed = weights_of(whole), weights_of(second)
    for key in expected:
        np.testing.assert_array_equal(resumed[key], expected[key], err_msg=key)


def test_a_kill_between_checkpoints_loses_only_the_steps_after_the_last_one(graph_mode, tmp_path):
    whole = make_run(tmp_path / "whole", CONFIG)
    loop(whole, batches(0, TOTAL))
    killed = make_run(tmp_path / "parts", CONFIG)

    def dying():
        for number, batch in enumerate(batches(0, TOTAL)):
            if number == 5:
                raise MemoryError("killed")
            yield batch

    with pytest.raises(MemoryError):
        loop(killed, dying())
    (tmp_path / "parts" / "ckpt" / ".epoch_0001_step_0000005.99.ckpt").write_bytes(b"half")
    second = make_run(tmp_path / "parts", CONFIG, "--resume", "1")
    assert second.done == 4
    loop(second, batches(4, TOTAL))
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(graph_mode, tmp_path):
    run = make_run(tmp_path, CONFIG)
    with pytest.raises(UserError, match=r"epoch 1, step 6 .*epoch_0001_step_0000004\.ckpt"):
        loop(run, batches(0, TOTAL, bad=(5,)))
    checkpoints = run.experiment.checkpoints.newest_first()
    assert [path.name for path in checkpoints] == ["epoch_0001_step_0000004.ckpt"]
    assert all(np.isfinite(weight.asnumpy()).all() for weight in run.model.trainable_params())
    assert all(np.isfinite(value).all() for value in read_checkpoint(checkpoints[0]).values())


def test_log_lines_have_the_originals_form_and_every_loss_is_kept(graph_mode, tmp_path, capsys):
    run = make_run(tmp_path, CONFIG, "--warmup_step", "0")
    start_logging(tmp_path / "train.log")
    loop(run, batches(0, TOTAL))
    lines = (tmp_path / "train.log").read_text().splitlines()
    rows = losses_of(tmp_path)
    mean = (float(rows[0]["loss"]) + float(rows[1]["loss"])) / 2
    stamp = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\] INFO: "
    pace = r", eta: 0:00:\d\d, \d+\.\d img/s, data: \d+%, memory: \d+ MB"
    assert re.fullmatch(stamp + rf"epoch: 1, step: 2, loss: {mean:.6f},  lr: 0\.100000{pace}", lines[0])
    times = r"Train epoch time: \d+\.\d{3} ms, per step time: \d+\.\d{3} ms, avg loss: (.*)"
    means = [float(found[1]) for line in lines if (found := re.fullmatch(stamp + times, line))]
    epochs = [[float(row["loss"]) for row in rows if row["epoch"] == number] for number in "12"]
    np.testing.assert_allclose(means, [np.mean(one) for one in epochs], atol=1e-6)
    assert len(rows) == TOTAL and list(rows[0]) == ["epoch", "step", "global_step", "lr", "loss", "loss_a", "loss_b"]


def test_norms_are_columns_behind_the_losses_and_words_behind_those_of_the_line(graph_mode, tmp_path):
    keys = ("--log_norms", "1", "--accumulate_step", "2", "--lr_factors.norm", "0.1")
    run = make_run(tmp_path / "whole", CONFIG, *keys)
    start_logging(tmp_path / "train.log")
    loop(run, batches(0, TOTAL))
    rows = losses_of(tmp_path / "whole")
    columns = ["epoch", "step", "global_step", "lr", "loss", "loss_a", "loss_b", "grad_norm", "weight_norm"]
    assert list(rows[0]) == columns and len(rows) == TOTAL
    for row in rows:
        assert float(row["loss"]) == pytest.approx(float(row["loss_a"]) + float(row["loss_b"]))
    learning = [parameter.asnumpy().ravel() for parameter in run.model.trainable_params()]
    assert float(rows[-1]["weight_norm"]) == pytest.approx(np.linalg.norm(np.concatenate(learning)), rel=1e-6)
    assert rows[1]["grad_norm"] == rows[2]["grad_norm"] != rows[3]["grad_norm"]
    mean = sum(float(row["grad_norm"]) for row in rows[2:4]) / 2
    line = next(one for one in (tmp_path / "train.log").read_text().splitlines() if "epoch: 1, step: 4," in one)
    assert re.search(rf",  lr: \d\.\d{{6}}, grad_norm: {mean:.6g}, weight_norm: [\d.]+, eta: ", line)
    with pytest.raises(MemoryError):
        loop(make_run(tmp_path / "parts", CONFIG, *keys), broken_off_at(6))
    second = make_run(tmp_path / "parts", CONFIG, "--resume", "1", *keys)
    loop(second, batches(second.done, TOTAL))
    assert losses_of(tmp_path / "parts") == rows


def test_max_steps_ends_the_run_early_with_a_checkpoint(graph_mode, tmp_path):
    run = make_run(tmp_path, CONFIG, "--max_steps", "3")
    loop(run, batches(0, TOTAL))
    assert len(losses_of(tmp_path)) == 3
    assert run.experiment.checkpoints.newest_first()[0].name == "epoch_0001_step_0000003.ckpt"


@pytest.mark.parametrize(
    ("every", "lines"), [("4", ["1, step: 4", "2, step: 4", "2, step: 6"]), ("100", ["1, step: 6", "2, step: 6"])]
)
def test_an_epoch_of_fewer_steps_than_log_every_shows_its_loss_at_its_end(pynative_mode, tmp_path, every, lines):
    run = make_run(tmp_path, CONFIG, "--log_every", every)
    start_logging(tmp_path / "train.log")
    loop(run, batches(0, TOTAL))
    text = (tmp_path / "train.log").read_text()
    assert re.findall(r"epoch: (\d, step: \d), loss", text) == lines
