import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.train_step import StepSettings, TrainStep
from src.models.detection.roi_conv import RoIConv
from src.models.layers import NormSettings, batch_norm


class Linear(nn.Cell):
    loss_names = ("loss",)

    def __init__(self, weight):
        super().__init__()
        self.dense = nn.Dense(3, 2, weight_init=Tensor(weight), bias_init="zeros")

    def construct(self, x, target):
        return (((self.dense(x) - target) ** 2).mean(),)


def data(steps=6):
    rng = np.random.RandomState(0)
    weight = rng.randn(2, 3).astype(np.float32)
    return weight, [(rng.randn(4, 3).astype(np.float32), rng.randn(4, 2).astype(np.float32)) for _ in range(steps)]


def torch_weights(kind, clip=0.0, accumulate=1, decay_bias=True, rate=0.1):
    weight, batches = data()
    layer = torch.nn.Linear(3, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.zeros(2)
    groups = [
        {"params": [layer.weight], "weight_decay": 0.01},
        {"params": [layer.bias], "weight_decay": 0.01 if decay_bias else 0.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=rate) if kind == "adam" else torch.optim.SGD(groups, lr=rate, momentum=0.9)
    for number, (x, target) in enumerate(batches, 1):
        (((layer(torch.tensor(x)) - torch.tensor(target)) ** 2).mean() / accumulate).backward()
        if number % accumulate == 0:
            if clip:
                torch.nn.utils.clip_grad_norm_(layer.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


@pytest.mark.parametrize(
    "kind,clip,accumulate,decay_bias",
    [("sgd", 0, 1, True), ("momentum", 0.3, 1, True), ("adam", 0, 1, False), ("sgd", 0.3, 3, False)],
)
@pytest.mark.parametrize("mode", ["graph_mode", "pynative_mode"])
def test_six_steps_equal_torch(request, mode, kind, clip, accumulate, decay_bias):
    request.getfixturevalue(mode)
    weight, batches = data()
    model = Linear(weight)
    optimizer = build_optimizer(model, np.full(6, 0.1), OptimizerSettings(kind, 0.9, 0.01, decay_bias))
    step = TrainStep(model, optimizer, StepSettings(64.0, clip, accumulate))
    step.set_train(True)
    for x, target in batches:
        step(Tensor(x), Tensor(target))
    expected = torch_weights(kind, clip, accumulate, decay_bias)
    np.testing.assert_allclose(model.dense.weight.asnumpy(), expected[0], rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(model.dense.bias.asnumpy(), expected[1], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("start", "last"),
    [(0, 6), (3, 5), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((0, 5), (2, 6), (5, 6)))],
)
def test_a_window_of_fewer_steps_is_divided_by_as_many_as_it_has(graph_mode, start, last):
    """Windows of 4 over a schedule of `last` steps, from step `start` on; each has its own rate."""
    weight, batches = data()
    model = Linear(weight)
    rates = np.float32([0.1, 0.3])
    optimizer = build_optimizer(model, rates, OptimizerSettings("sgd", momentum=0.0))
    step = TrainStep(model, optimizer, StepSettings(accumulate=4, last_step=last))
    step.start_at(start)
    layer = torch.nn.Linear(3, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.zeros(2)
    window = []
    for number, (x, target) in list(enumerate(batches, 1))[start:last]:
        step(Tensor(x), Tensor(target))
        window.append(((layer(torch.tensor(x)) - torch.tensor(target)) ** 2).mean())
        if number in (4, last):
            layer.zero_grad()
            torch.stack(window).mean().backward()
            for parameter in layer.parameters():
                parameter.data -= float(rates[(number - 1) // 4]) * parameter.grad
            window = []
    np.testing.assert_allclose(model.dense.weight.asnumpy(), layer.weight.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.dense.bias.asnumpy(), layer.bias.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert int(optimizer.global_step.asnumpy()) == -(-last // 4) and int(step.window.asnumpy()) == 0


def test_a_batch_that_is_not_finite_changes_no_weight_and_its_number_is_kept(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("momentum")))
    step(*(Tensor(x) for x in batches[0]))
    before = model.dense.weight.asnumpy().copy()
    for _ in range(2):
        step(Tensor(np.full((4, 3), np.inf, np.float32)), Tensor(batches[0][1]))
    np.testing.assert_array_equal(model.dense.weight.asnumpy(), before)
    assert int(step.bad_step.asnumpy()) == 2 and int(step.step.asnumpy()) == 3


class Normalised(nn.Cell):
    """Each kind of batch normalisation that the networks here have."""

    loss_names = ("loss",)

    def __init__(self):
        super().__init__()
        self.framework = nn.BatchNorm2d(2)
        self.own = batch_norm(2, NormSettings())
        self.rois = RoIConv(2, 2, NormSettings())
        self.valid = Tensor([True, False, True])

    def construct(self, x):
        return ((self.framework(x) + self.own(x) + self.rois(x, self.valid)).mean(),)


@pytest.mark.parametrize("mode", ["graph_mode", "pynative_mode"])
def test_a_batch_that_is_not_finite_leaves_the_running_statistics_as_they_were(request, mode):
    request.getfixturevalue(mode)
    model = Normalised()
    step = TrainStep(model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("momentum")))
    step.set_train(True)

    def statistics():
        return {p.name: p.asnumpy().copy() for p in model.get_parameters() if "moving" in p.name}

    good = Tensor(np.random.RandomState(0).randn(3, 2, 4, 4).astype(np.float32) + 3)
    seen = [statistics()]
    for x in (good, Tensor(np.full((3, 2, 4, 4), np.nan, np.float32)), good):
        step(x)
        seen.append(statistics())
    assert len(seen[0]) == 6 and int(step.bad_step.asnumpy()) == 2
    for name, value in seen[1].items():
        np.testing.assert_array_equal(seen[2][name], value, err_msg=name)
        assert np.abs(seen[0][name] - value).max() > 1e-3 and np.abs(seen[3][name] - value).max() > 1e-3, name


def test_losses_are_reported_without_the_loss_scale(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("sgd")), StepSettings(1024.0))
    (loss,) = step(*(Tensor(x) for x in batches[0]))
    x, target = batches[0]
    np.testing.assert_allclose(float(loss.asnumpy()), ((x @ weight.T - target) ** 2).mean(), rtol=1e-5)


def test_rmsprop_follows_its_definition_with_epsilon_inside_the_root(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(model, build_optimizer(model, np.full(6, 0.01), OptimizerSettings("rmsprop", 0.9, 0.1, eps=0.001)))
    expected = {"weight": weight.astype(np.float64), "bias": np.zeros(2)}
    state = {name: (np.ones_like(value), np.zeros_like(value)) for name, value in expected.items()}
    for x, target in batches:
        step(Tensor(x), Tensor(target))
        difference = (x @ expected["weight"].T + expected["bias"] - target) * 2 / target.size
        gradients = {"weight": difference.T @ x, "bias": difference.sum(0)}
        for name, value in expected.items():
            gradient = gradients[name] + 0.1 * value
            square, moment = state[name]
            square = 0.9 * square + 0.1 * gradient**2
            moment = 0.9 * moment + 0.01 * gradient / np.sqrt(square + 0.001)
            state[name], expected[name] = (square, moment), value - moment
    np.testing.assert_allclose(model.dense.weight.asnumpy(), expected["weight"], rtol=1e-4)
    np.testing.assert_allclose(model.dense.bias.asnumpy(), expected["bias"], rtol=1e-4)


def test_the_moving_average_is_kept_and_lent_to_the_model_for_evaluation(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(
        model, build_optimizer(model, np.full(6, 0.1), OptimizerSettings("sgd")), StepSettings(ema_decay=0.2)
    )
    average = weight.astype(np.float64)
    for number, (x, target) in enumerate(batches):
        step(Tensor(x), Tensor(target))
        decay = min(0.2, (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * model.dense.weight.asnumpy()
    own = model.dense.weight.asnumpy().copy()
    with step.averaged():
        np.testing.assert_allclose(model.dense.weight.asnumpy(), average, rtol=1e-4)
        assert np.abs(model.dense.weight.asnumpy() - own).max() > 1e-4
    np.testing.assert_array_equal(model.dense.weight.asnumpy(), own)


def test_a_run_can_start_late_in_its_schedule(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    rates = np.float32([9, 9, 9, 0.1, 9, 9])
    step = TrainStep(model, build_optimizer(model, rates, OptimizerSettings("sgd", momentum=0.0)))
    step.start_at(3)
    x, target = batches[0]
    step(Tensor(x), Tensor(target))
    gradient = ((x @ weight.T - target) * 2 / target.size).T @ x
    np.testing.assert_allclose(model.dense.weight.asnumpy(), weight - 0.1 * gradient, rtol=1e-4)
    assert int(step.step.asnumpy()) == 4
