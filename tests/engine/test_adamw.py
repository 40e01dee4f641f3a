"""AdamW is torch.optim.AdamW: twenty steps with a schedule, its count of updates, its entries in checkpoints."""

import re

import numpy as np
import pytest
import torch
from mindspore import Parameter, ParameterTuple, Tensor, nn

from src.checkpoint import load_training_state, read_checkpoint, save_training_state
from src.convert.sources.mindspore import STATE
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.train_step import StepSettings, TrainStep

STEPS, DECAY, EPS, BETAS = 20, 0.05, 1e-5, (0.8, 0.97)
RATES = np.float32(0.02 * np.minimum(np.arange(1, STEPS + 1) / 5, 1) * np.cos(np.arange(STEPS) / STEPS * np.pi / 2))
SHAPES = {"conv.weight": (4, 3, 3, 3), "norm.gamma": (4,), "norm.beta": (4,), "last.bias": (2,)}
SETTINGS = OptimizerSettings("adamw", 0.9, DECAY, False, EPS, beta1=BETAS[0], beta2=BETAS[1])


class Slopes(nn.Cell):
    """A loss whose gradients are the inputs, one a parameter."""

    loss_names = ("loss",)

    def __init__(self):
        super().__init__()
        self.weights = ParameterTuple([Parameter(Tensor(value), name=name) for name, value in first().items()])

    def construct(self, *slopes):
        total = 0.0
        for weight, slope in zip(self.weights, slopes):
            total = total + (weight * slope).sum()
        return (total,)


def first() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(0)
    return {name: rng.randn(*shape).astype(np.float32) for name, shape in SHAPES.items()}


def slopes(step: int) -> list[np.ndarray]:
    """Gradients of every size, 1e-6 to 100, and some of them zero."""
    rng = np.random.RandomState(step)
    factor = 10.0 ** rng.uniform(-6, 2, len(SHAPES))
    return [np.float32(rng.randn(*shape) * f * (rng.rand(*shape) > 0.2)) for f, shape in zip(factor, SHAPES.values())]


def ours(**changes):
    model = Slopes()
    step = TrainStep(model, build_optimizer(model, RATES, SETTINGS), StepSettings(**changes))
    step.set_train(True)
    return model, step


def run(step: TrainStep, numbers) -> None:
    for number in numbers:
        step(*map(Tensor, slopes(number)))


def values(model) -> dict[str, np.ndarray]:
    return {parameter.name: parameter.asnumpy().copy() for parameter in model.trainable_params()}


def by_torch(numbers) -> dict[str, np.ndarray]:
    weights = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in first().items()}
    groups = [{"params": [w], "weight_decay": DECAY if name == "conv.weight" else 0.0} for name, w in weights.items()]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPS)
    for number in numbers:
        for group in optimizer.param_groups:
            group["lr"] = float(RATES[number])
        for weight, slope in zip(weights.values(), slopes(number)):
            weight.grad = torch.tensor(slope)
        optimizer.step()
    return {name: weight.detach().numpy() for name, weight in weights.items()}


@pytest.mark.parametrize("mode", ["graph_mode", pytest.param("pynative_mode", marks=pytest.mark.slow)])
def test_twenty_steps_of_a_schedule_are_those_of_torch(request, mode):
    request.getfixturevalue(mode)
    model, step = ours()
    run(step, range(STEPS))
    expected, found = by_torch(range(STEPS)), values(model)
    assert np.abs(found["conv.weight"] - first()["conv.weight"]).mean() > 0.02
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_run_that_begins_within_the_schedule_starts_its_count_of_updates_at_one(graph_mode):
    model, step = ours()
    step.start_at(15)
    run(step, range(15, STEPS))
    for name, expected in by_torch(range(15, STEPS)).items():
        np.testing.assert_allclose(values(model)[name], expected, rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_resumed_run_goes_on_bit_for_bit_and_converters_know_its_entries(graph_mode, tmp_path):
    changes = {"accumulate": 2, "ema_decay": 0.9}
    model, step = ours(**changes)
    run(step, range(7))
    save_training_state(step, model, tmp_path / "state.ckpt")
    run(step, range(7, 12))
    again, second = ours(**changes)
    load_training_state(second, again, tmp_path / "state.ckpt")
    second.go_on_from(7)
    run(second, range(7, 12))
    for one, other in zip(step.get_parameters(), second.get_parameters()):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy(), err_msg=one.name)
    entries = {name.removeprefix("state/") for name in read_checkpoint(tmp_path / "state.ckpt")}
    own = {"exp_avg_updates", *(f"{kind}.{name}" for kind in ("exp_avg", "exp_avg_sq") for name in SHAPES)}
    assert own <= entries and "learning_rate" not in entries
    assert all(any(re.fullmatch(pattern, name) for pattern, _ in STATE) for name in own)
