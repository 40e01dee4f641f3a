"""Nesterov Adam and each tensor's own clipping, as the MindSpore originals have them."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.config import load_config
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.engine.setup import make_train_step
from src.engine.train_step import StepSettings, TrainStep
from src.errors import UserError

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
STEPS, RATE, DECAY = 5, 0.05, 0.01
UNCLIPPED = StepSettings()
SLOPES = np.float32([[3, -4, 0], [0.1, 0.2, -0.2]])


class Slopes(nn.Cell):
    """A loss whose gradients are `SLOPES` rows, of norms 5 and 0.3, plus a share of the weights."""

    loss_names = ("loss",)

    def __init__(self, bend: float = 0.0):
        super().__init__()
        self.steep, self.flat = nn.Dense(3, 1, has_bias=False), nn.Dense(3, 1, has_bias=False)
        self.bend = bend
        for layer, row in ((self.steep, 0), (self.flat, 1)):
            layer.weight.set_data(Tensor(np.float32([[1, 2, 3 + row]])))

    def construct(self, x):
        steep, flat = self.steep(x[0:1]), self.flat(x[1:2])
        bent = (self.steep.weight**2).sum() + (self.flat.weight**2).sum()
        return (steep.sum() + flat.sum() + self.bend * bent,)


def weights(model: Slopes) -> np.ndarray:
    return np.concatenate([parameter.asnumpy() for parameter in model.trainable_params()])


def trained(optimizer_of, settings=UNCLIPPED, bend=0.3, steps=STEPS) -> np.ndarray:
    """(steps + 1, 2, 3) weights before and after each step."""
    model = Slopes(bend)
    step = TrainStep(model, optimizer_of(model), settings)
    step.set_train(True)
    found = [weights(model)]
    for _ in range(steps):
        step(Tensor(SLOPES))
        found.append(weights(model).copy())
    return np.stack(found)


def adam(nesterov: bool):
    settings = OptimizerSettings("adam", 0.9, DECAY, "mindspore", nesterov=nesterov)
    return lambda model: build_optimizer(model, np.full(STEPS, RATE), settings)


def test_nesterov_adam_is_mindspores_own_and_the_definition(graph_mode):
    ours = trained(adam(True))
    theirs = trained(
        lambda m: nn.Adam(m.trainable_params(), [RATE] * STEPS, weight_decay=DECAY, use_nesterov=True)
    )
    np.testing.assert_array_equal(ours, theirs)
    w, m, v = ours[0].astype(np.float64), 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = SLOPES + 2 * 0.3 * w + DECAY * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        rate = RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w = w - rate * (0.9 * m + 0.1 * g) / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(ours[t], w, rtol=1e-5)
    assert np.abs(ours[-1] - trained(adam(False))[-1]).max() > 1e-3


def test_each_tensor_is_clipped_by_its_own_norm(graph_mode):
    settings = OptimizerSettings("momentum", 0.0)
    found = trained(
        lambda m: build_optimizer(m, np.ones(1), settings), StepSettings(grad_clip=1.0, clip_each=True), bend=0, steps=1
    )
    moved = found[0] - found[1]
    np.testing.assert_allclose(moved, [SLOPES[0] / 5, SLOPES[1]], rtol=1e-5)
    theirs = [nn.ClipByNorm()(Tensor(row), Tensor([1.0])).asnumpy() for row in SLOPES]
    np.testing.assert_allclose(moved, theirs, rtol=1e-5)


@pytest.mark.parametrize(("by", "norm"), [("global", 0.1), ("tensor", np.sqrt(0.02))])
def test_the_key_chooses_whose_norm_is_bounded(graph_mode, by, norm):
    keys = ["--grad_clip=0.1", f"--grad_clip_by={by}", "--opt_type=momentum", "--momentum=0", "--lr=1",
            "--warmup_step=0", "--weight_decay=0"]  # fmt: skip
    model = Slopes()
    step, _ = make_train_step(load_config(CONFIG, keys), model, 3)
    before = weights(model)
    step(Tensor(SLOPES))
    assert np.linalg.norm(before - weights(model)) == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "rmsprop"])
def test_nesterov_with_another_optimizer_is_one_line(kind):
    with pytest.raises(UserError, match=f"nesterov is for opt_type adam; it is '{kind}'"):
        load_config(CONFIG, ["--nesterov", "1", "--opt_type", kind])
