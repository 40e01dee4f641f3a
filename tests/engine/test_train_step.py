import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from src.engine.optimizer import build_optimizer
from src.engine.train_step import TrainStep


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
    optimizer = build_optimizer(model, kind, np.full(6, 0.1), 0.9, 0.01, decay_bias)
    step = TrainStep(model, optimizer, loss_scale=64.0, grad_clip=clip, accumulate=accumulate)
    step.set_train(True)
    for x, target in batches:
        step(Tensor(x), Tensor(target))
    expected = torch_weights(kind, clip, accumulate, decay_bias)
    np.testing.assert_allclose(model.dense.weight.asnumpy(), expected[0], rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(model.dense.bias.asnumpy(), expected[1], rtol=2e-4, atol=2e-5)


def test_a_batch_that_is_not_finite_changes_no_weight_and_its_number_is_kept(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(model, build_optimizer(model, "momentum", np.full(6, 0.1), 0.9, 0.0))
    step(*(Tensor(x) for x in batches[0]))
    before = model.dense.weight.asnumpy().copy()
    for _ in range(2):
        step(Tensor(np.full((4, 3), np.inf, np.float32)), Tensor(batches[0][1]))
    np.testing.assert_array_equal(model.dense.weight.asnumpy(), before)
    assert int(step.bad_step.asnumpy()) == 2 and int(step.step.asnumpy()) == 3


def test_losses_are_reported_without_the_loss_scale(graph_mode):
    weight, batches = data()
    model = Linear(weight)
    step = TrainStep(model, build_optimizer(model, "sgd", np.full(6, 0.1), 0.9, 0.0), loss_scale=1024.0)
    (loss,) = step(*(Tensor(x) for x in batches[0]))
    x, target = batches[0]
    np.testing.assert_allclose(float(loss.asnumpy()), ((x @ weight.T - target) ** 2).mean(), rtol=1e-5)
