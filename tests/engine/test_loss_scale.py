"""A dynamic loss scale: what an overflow does to a step, to a run, to its files, and to a run that is resumed."""

import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.checkpoint import read_checkpoint
from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.loss_scale import ScaleSettings, configured_scale, counted_losses
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.train_step import StepSettings, TrainStep
from src.engine.trainer import loop
from src.errors import UserError
from tests.engine.test_train_step import Linear, Normalised, data
from tests.engine.toy import TOTAL, batches, make_run

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
HALF = ("--amp_level", "O1", "--loss_scale", "dynamic", "--opt_type", "sgd", "--warmup_step", "0")
MODES = pytest.mark.parametrize("mode", ["graph_mode", "pynative_mode"])
BAD = np.full((4, 3), np.inf, np.float32)


def value(parameter):
    return parameter.asnumpy().item()


@MODES
def test_an_overflow_makes_no_update_and_halves_the_scale_which_doubles_after_a_window_of_good_steps(request, mode):
    request.getfixturevalue(mode)
    weight, batches = data(9)
    model = Linear(weight)
    optimizer = build_optimizer(model, np.full(9, 0.1), OptimizerSettings("momentum"))
    step = TrainStep(model, optimizer, StepSettings(ema_decay=0.5, dynamic=ScaleSettings(8.0, window=2, most=3)))
    step.set_train(True)
    kept = [*model.get_parameters(), *step.ema, *(one for one in step.get_parameters() if "moments" in one.name)]
    scales, found = [], []
    for number, (x, target) in enumerate(batches, 1):
        bad = number in (2, 3, 8)
        before = [one.asnumpy().copy() for one in kept]
        loss, scale, overflow = step(Tensor(BAD if bad else x), Tensor(target))
        assert bool(overflow.asnumpy()) == bad == (not np.isfinite(loss.asnumpy()))
        changed = [(one.asnumpy() != old).any() for one, old in zip(kept, before)]
        assert not any(changed) if bad else all(changed)
        assert value(optimizer.global_step) == number  # the rates go on with the batches
        scales.append(value(scale))
        found.append((value(step.scaler.scale), value(step.scaler.good), value(step.scaler.in_row)))
    assert scales == [8, 8, 4, 2, 2, 4, 4, 8, 4]  # of the steps
    assert found == [
        (8, 1, 0), (4, 0, 1), (2, 0, 2), (2, 1, 0), (4, 0, 0), (4, 1, 0), (8, 0, 0), (4, 0, 1), (4, 1, 0),
    ]  # fmt: skip
    assert value(step.scaler.overflows) == 3 and value(step.bad_step) == 0


def test_the_scale_changes_no_update_and_no_loss(graph_mode):
    weight, batches = data()
    found = []
    for settings in (StepSettings(), StepSettings(dynamic=ScaleSettings(1024.0, window=2))):
        model = Linear(weight)
        step = TrainStep(model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("sgd")), settings)
        step.set_train(True)
        losses = [step(Tensor(x), Tensor(target))[0].asnumpy() for x, target in batches]
        found.append((model.dense.weight.asnumpy(), np.float32(losses)))
    np.testing.assert_array_equal(found[0][0], found[1][0])  # powers of two are exact
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert value(step.scaler.scale) == 8192


def test_the_running_statistics_stay_over_an_overflow(graph_mode):
    model = Normalised()
    step = TrainStep(
        model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("sgd")), StepSettings(dynamic=ScaleSettings())
    )
    step.set_train(True)
    step(Tensor(np.random.RandomState(0).randn(3, 2, 4, 4).astype(np.float32)))
    before = {one.name: one.asnumpy().copy() for one in model.get_parameters() if "moving" in one.name}
    step(Tensor(np.full((3, 2, 4, 4), np.nan, np.float32)))
    assert len(before) == 6 and value(step.scaler.overflows) == 1
    for one in model.get_parameters():
        if "moving" in one.name:
            np.testing.assert_array_equal(one.asnumpy(), before[one.name], err_msg=one.name)


@MODES
def test_a_window_of_accumulation_is_divided_by_its_finite_batches(request, mode):
    """Windows of 3 over 11 batches, each with its own rate, against PyTorch's mean over the finite ones."""
    request.getfixturevalue(mode)
    weight, pairs = data(11)
    bad = {2, 3, 7, 8, 9}  # ends of windows among them; the third window has none that is finite
    model, rates = Linear(weight), np.float32([0.1, 0.2, 0.3, 0.4])
    optimizer = build_optimizer(model, rates, OptimizerSettings("sgd", momentum=0.0))
    settings = StepSettings(accumulate=3, last_step=11, dynamic=ScaleSettings(4.0, window=2))
    step = TrainStep(model, optimizer, settings)
    step.set_train(True)
    layer = torch.nn.Linear(3, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.zeros(2)
    window = []
    for number, (x, target) in enumerate(pairs, 1):
        step(Tensor(BAD if number in bad else x), Tensor(target))
        if number not in bad:
            window.append(((layer(torch.tensor(x)) - torch.tensor(target)) ** 2).mean())
        if number % 3 == 0 or number == 11:
            layer.zero_grad()
            if window:
                torch.stack(window).mean().backward()
                for parameter in layer.parameters():
                    parameter.data -= float(rates[(number - 1) // 3]) * parameter.grad
            window = []
            assert value(step.window) == 0 and value(optimizer.global_step) == -(-number // 3)
        np.testing.assert_allclose(model.dense.weight.asnumpy(), layer.weight.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_500_steps_with_overflows_go_on_and_only_as_many_in_a_row_as_the_key_says_end_a_run(
    graph_mode, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    bad = tuple(sorted(np.random.RandomState(0).choice(490, 80, replace=False)))
    keys = (*HALF, "--loss_scale_window", "20", "--loss_scale_overflows", "4", "--epoch_size", "50", "--lr", "0.001")
    run = make_run(tmp_path / "a", CONFIG, *keys, steps_per_epoch=10)
    loop(run, batches(0, 500, bad=bad))
    rows = CsvTable(tmp_path / "a" / "losses.csv").read()
    assert [int(row["global_step"]) - 1 for row in rows if row["overflow"]] == list(map(int, bad))
    assert run.done == 500 and value(run.step.scaler.overflows) == 80
    assert np.mean(counted_losses(rows[-50:])) < np.mean(counted_losses(rows[:50]))
    scale, good = 65536.0, 0
    for row in rows:
        assert row["loss_scale"] == scale
        good = 0 if row["overflow"] else good + 1
        scale = scale / 2 if row["overflow"] else min(scale * 2, 2**24) if good == 20 else scale
        good %= 20
    messages = [record.getMessage() for record in caplog.records]
    lines = [line for line in messages if " of the run: no update" in line]
    first = rows[int(bad[0])]
    assert len(lines) == 80 and "overflow 80 of the run" in lines[-1]
    assert lines[0] == (
        f"epoch: {first['epoch']:.0f}, step: {first['step']:.0f}, overflow 1 of the run: no update, loss scale "
        f"{first['loss_scale']:g} -> {first['loss_scale'] / 2:g}"
    )
    assert any("loss scale" in line and "overflow" not in line for line in messages)  # it has grown
    losses = [line for line in messages if ", loss: " in line]
    assert len(losses) == 250 and 0 < sum("nan" in line for line in losses) < 20  # of two steps that both overflowed

    run = make_run(tmp_path / "b", CONFIG, *keys, steps_per_epoch=10)
    with pytest.raises(UserError) as raised:
        loop(run, batches(0, 500, bad=(2, 5, 6, 7, 11, 12, 13, 14)))
    assert run.done in (15, 16) and "\n" not in str(raised.value)
    assert str(raised.value).startswith(
        "loss or gradients were not finite 4 times in a row (loss_scale_overflows), at epoch 2, step 5 (global step "
        "15): training stops; the last good checkpoint is "
    )


@pytest.mark.parametrize("accumulate", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_a_run_that_is_resumed_amid_its_overflows_ends_with_the_same_bits(pynative_mode, tmp_path, accumulate):
    keys = (*HALF, "--loss_scale_window", "2", "--accumulate_step", accumulate, "--lr_type", "linear")
    bad = (2, 4, 5, 8)
    whole = make_run(tmp_path / "whole", CONFIG, *keys)
    loop(whole, batches(0, TOTAL, bad=bad))
    run = make_run(tmp_path / "parts", CONFIG, *keys)
    with pytest.raises(SystemExit):
        loop(run, stopped_at(5, bad))
    assert run.done == 5
    run = make_run(tmp_path / "parts", CONFIG, *keys, "--resume", "1")
    assert value(run.step.scaler.overflows) == 2 and value(run.step.scaler.scale) == 32768
    loop(run, batches(run.done, TOTAL, bad=bad))
    ends = [read_checkpoint(one.experiment.checkpoints.newest_first()[0]) for one in (whole, run)]
    assert set(ends[0]) == set(ends[1]) and {name for name in ends[0] if "loss_scale" in name} == {
        f"state/loss_scale{name}" for name in ("", "_good_steps", "_overflows", "_overflows_in_row")
    }
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name], err_msg=name)
    texts = [(tmp_path / name / "losses.csv").read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1] and "overflow" in texts[0]


def stopped_at(step: int, bad: tuple[int, ...]):
    """All batches; a signal comes before this step (from 1)."""
    for number, batch in enumerate(batches(0, TOTAL, bad=bad), 1):
        if number == step:
            os.kill(os.getpid(), signal.SIGTERM)
        yield batch


@pytest.mark.parametrize(("scale", "shown"), [("dynamic", "dynamic"), ("1024", "1024"), ("1", "")])
def test_in_float32_a_loss_scale_does_nothing_and_says_so(pynative_mode, tmp_path, caplog, scale, shown):
    caplog.set_level(logging.INFO)
    run = make_run(tmp_path, CONFIG, "--loss_scale", scale)
    said = [record.getMessage() for record in caplog.records if "loss_scale" in record.getMessage()]
    line = f"loss_scale {shown} does nothing in float32 (amp_level O0): it is there for half precision"
    assert said == ([line] if shown else [])
    assert not [one.name for one in run.step.get_parameters() if "loss_scale" in one.name]
    with pytest.raises(UserError, match="the loss is not finite at epoch 1, step 3 "):
        loop(run, batches(0, TOTAL, bad=(2,)))
    assert list(CsvTable(tmp_path / "losses.csv").read()[0])[-2:] == ["loss_a", "loss_b"]
    assert "loss_scale" not in run.hooks


def test_the_key_is_a_number_or_dynamic():
    def read(scale):
        return configured_scale(load_config(CONFIG, ["--amp_level", "O2", "--loss_scale", scale]))

    assert read("128") == (128.0, None)
    assert read("dynamic") == (1.0, ScaleSettings(65536.0, 2000, 25))
    for wrong, said in (("static", "it may be a number or dynamic"), ("0", "it must be at least 1e-06")):
        with pytest.raises(UserError, match=said):
            read(wrong)
