"""What a run has before its first step: the gradient of its convolutions."""

import logging

import numpy as np
import pytest
from mindspore import Tensor, nn, save_checkpoint

from src.checkpoint import load_model_weights
from src.commands.check import environment
from src.config import load_config
from src.config.local_words import act_locally
from src.engine import setup
from src.engine.setup import make_train_step
from src.errors import UserError
from src.ops.conv_gradient import FastGradientConv2D

CONFIG = "configs/demo/mask_rcnn_hrnet_tiny.yaml"
BY_FRAMEWORK = "Gradients of convolutions by the framework"


class Model(nn.Cell):
    """Two convolutions and a batch normalisation."""

    loss_names = ("loss",)

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 4, 1, has_bias=True)
        for parameter in self.trainable_params():
            value = np.random.RandomState(parameter.size).randn(*parameter.shape) * 0.3
            parameter.set_data(Tensor(value.astype(np.float32)))

    def construct(self, x):
        return ((self.last(self.norm(self.first(x))) ** 2).mean(),)


def make_step(model, *keys):
    cfg = load_config(CONFIG, ["--lr", "0.1", "--warmup_step", "1", *keys])
    return make_train_step(cfg, model, steps_per_epoch=10)[0]


def fast_ones(model):
    return [cell for _, cell in model.cells_and_names() if isinstance(cell, FastGradientConv2D)]


def batch(number):
    return Tensor(np.random.RandomState(number).randn(2, 3, 16, 16).astype(np.float32))


@pytest.mark.parametrize(
    "keys,reason,line",
    [
        ((), "", "Gradients of convolutions by oneDNN"),
        (("--fast_gradients", "0"), "", f"{BY_FRAMEWORK} (fast_gradients is 0)"),
        (("--portable", "1"), "", f"{BY_FRAMEWORK} (portable is 1)"),
        ((), "it rains", f"{BY_FRAMEWORK} (it rains)"),
    ],
)
def test_check_and_log_say_whose_gradient_the_convolutions_have(graph_mode, caplog, monkeypatch, keys, reason, line):
    monkeypatch.setattr(setup, "why_not_fast", lambda: reason)
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    model = Model()
    with caplog.at_level(logging.INFO, logger="src"):
        make_step(model, *keys)
    assert {one for one in caplog.messages if one.startswith("Gradients")} == {line}
    assert line in list(environment(load_config(CONFIG, list(keys))))
    assert bool(fast_ones(model)) == (line == "Gradients of convolutions by oneDNN")


def test_a_resumed_step_goes_on_bit_for_bit(graph_mode, tmp_path):
    whole = make_step(Model())
    losses = [whole(batch(k))[0].asnumpy() for k in range(8)]

    half = make_step(Model())
    for k in range(4):
        half(batch(k))
    save_checkpoint(half, str(tmp_path / "half.ckpt"))
    resumed = make_step(Model())
    load_model_weights(resumed, str(tmp_path / "half.ckpt"))
    assert fast_ones(resumed)
    assert [resumed(batch(k))[0].asnumpy() for k in range(4, 8)] == losses[4:]


def test_twenty_steps_give_the_frameworks_losses_within_1e_5(graph_mode):
    losses = []
    for value in ("0", "1"):
        step = make_step(Model(), "--fast_gradients", value)
        losses.append([float(step(batch(k))[0].asnumpy()) for k in range(20)])
    assert losses[0][-1] < 0.9 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


class Headed(nn.Cell):
    """A backbone and what stands behind it; `head` names that part."""

    class_layers = ()

    def __init__(self, head: str, value: float):
        super().__init__()
        self.backbone = nn.Dense(2, 3)
        setattr(self, head, nn.Dense(3, 1))
        for parameter in self.get_parameters():
            parameter.set_data(Tensor(np.full(parameter.shape, value, np.float32)))


@pytest.mark.parametrize("word", ["checkpoint_url", "checkpoint_path"])
def test_weights_by_an_originals_word_may_be_those_of_another_network_with_the_same_backbone(tmp_path, caplog, word):
    """Segmentation starts from a classifier's: the originals load what fits."""
    path = str(tmp_path / "classifier.ckpt")
    save_checkpoint(Headed("classifier", 0.5), path)
    model = Headed("last_layer", 0.0)
    cfg, _ = act_locally(load_config(CONFIG, [f"--{word}", path]), "train.py")
    setup.load_start_weights(cfg, model)
    values = {parameter.name: set(parameter.asnumpy().ravel()) for parameter in model.get_parameters()}
    assert values["backbone.weight"] == {0.5} and values["last_layer.weight"] == {0.0}
    whole = Headed("classifier", 0.0)
    setup.load_start_weights(cfg, whole)
    assert {value for one in whole.get_parameters() for value in one.asnumpy().ravel()} == {0.5}
    with pytest.raises(UserError, match="does not fit the configured model"):
        setup.load_start_weights(load_config(CONFIG, ["--pre_trained", path]), model)
