"""Weight decay reaches the parameters that `norm_bias_decay` says, in every optimizer: twenty steps against PyTorch."""

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from src.engine.optimizer import OPTIMIZERS, OptimizerSettings, build_optimizer
from src.engine.train_step import TrainStep

STEPS, RATE, MOMENTUM, DECAY = 20, 0.02, 0.9, 0.5
DECAYED = {  # the value of norm_bias_decay: names of the parameters that decay
    True: {"conv.weight", "norm.gamma", "norm.beta", "last.weight", "last.bias"},
    False: {"conv.weight", "last.weight"},
    "mindspore": {"conv.weight", "last.weight", "last.bias"},
}
TORCH = {
    "sgd": lambda groups: torch.optim.SGD(groups, RATE, MOMENTUM),
    "momentum": lambda groups: torch.optim.SGD(groups, RATE, MOMENTUM),
    "adam": lambda groups: torch.optim.Adam(groups, RATE),
    "adamw": lambda groups: torch.optim.AdamW(groups, RATE),
    "rmsprop": lambda groups: from_ones(torch.optim.RMSprop(groups, RATE, alpha=0.9, eps=1e-10, momentum=MOMENTUM)),
}


class Model(nn.Cell):
    """A convolution, a batch normalisation and a linear layer."""

    loss_names = ("loss",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, pad_mode="valid")
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.last = nn.Dense(4, 3)
        for name, value in first_values().items():
            self.parameters_dict()[name].set_data(Tensor(value))

    def construct(self, x, target):
        features = self.relu(self.norm(self.conv(x))).mean(axis=(2, 3))
        return (((self.last(features) - target) ** 2).mean(),)


def first_values() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(0)
    shapes = {"conv.weight": (4, 2, 3, 3), "norm.gamma": 4, "norm.beta": 4, "last.weight": (3, 4), "last.bias": 3}
    return {name: rng.uniform(0.3, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}


def batches():
    rng = np.random.RandomState(1)
    return [(rng.randn(4, 2, 6, 6).astype(np.float32), rng.randn(4, 3).astype(np.float32)) for _ in range(STEPS)]


def from_ones(optimizer):
    """TensorFlow's and MindSpore's mean square starts from ones, PyTorch's from zeros."""
    for group in optimizer.param_groups:
        for value in group["params"]:
            square, buffer = torch.ones_like(value), torch.zeros_like(value)
            optimizer.state[value] = {"step": torch.tensor(0.0), "square_avg": square, "momentum_buffer": buffer}
    return optimizer


def trained(optimizer_of) -> tuple[list[float], dict[str, np.ndarray]]:
    model = Model()
    step = TrainStep(model, optimizer_of(model))
    step.set_train(True)
    losses = [float(step(Tensor(x), Tensor(target))[0].asnumpy()) for x, target in batches()]
    return losses, {parameter.name: parameter.asnumpy() for parameter in model.trainable_params()}


def ours(kind: str, rule: bool | str):
    settings = OptimizerSettings(kind, MOMENTUM, DECAY, rule)
    return trained(lambda model: build_optimizer(model, np.full(STEPS, RATE), settings))


def by_torch(kind: str, decayed: set[str]):
    values = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in first_values().items()}
    groups = [{"params": [value], "weight_decay": DECAY if name in decayed else 0.0} for name, value in values.items()]
    optimizer, losses = TORCH[kind](groups), []
    for x, target in batches():
        y = torch.nn.functional.conv2d(torch.tensor(x), values["conv.weight"])
        y = torch.nn.functional.batch_norm(y, None, None, values["norm.gamma"], values["norm.beta"], training=True)
        y = torch.relu(y).mean(dim=(2, 3)) @ values["last.weight"].T + values["last.bias"]
        loss = ((y - torch.tensor(target)) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses, {name: value.detach().numpy() for name, value in values.items()}


EACH = [  # every rule with one optimizer, every optimizer with one rule; the others with --all
    pytest.param(kind, rule, marks=() if kind == "momentum" or rule == "mindspore" else pytest.mark.slow)
    for kind in OPTIMIZERS
    for rule in DECAYED
]


@pytest.mark.parametrize("kind,rule", EACH)
def test_twenty_steps_equal_torch_with_the_same_parameters_decayed(graph_mode, kind, rule):
    losses, values = ours(kind, rule)
    expected, wanted = by_torch(kind, DECAYED[rule])
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    for name, value in wanted.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_word_mindspore_is_the_regime_of_an_ungrouped_list_bit_for_bit(graph_mode):
    losses, values = ours("momentum", "mindspore")
    rates = [RATE] * STEPS
    expected, wanted = trained(lambda m: nn.Momentum(m.trainable_params(), rates, MOMENTUM, weight_decay=DECAY))
    assert losses == expected
    for name, value in wanted.items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)
