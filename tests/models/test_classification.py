"""HRNet classification against timm and PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mindspore import Tensor, ops

from src.config import load_config
from src.errors import UserError
from src.models.classification import truncated_normal_convolutions
from src.models.losses import cross_entropy
from src.tasks import build_model
from tests.models.full_size import count_of, shapes_of
from tests.models.timm_models import import_timm
from tests.models.torch_originals import assert_gradients_equal, give_random_weights

CONFIGS = Path(__file__).parents[2] / "configs"
W18 = str(CONFIGS / "hrnet_w18_cls.yaml")
DEMO = str(CONFIGS / "demo" / "hrnet_cls_shapes.yaml")

RESNET = ("--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "4",
          "--cls_head.head_channels", "[4,4,4,4]", "--cls_head.final_channels", "16")  # fmt: skip


def bare(name: str) -> str:
    return name.removeprefix("backbone.")


SMALL = (
    "--backbone.extra.stage1.num_blocks", "[1]", "--backbone.extra.stage1.num_channels", "[32]",
    "--backbone.extra.stage2.num_blocks", "[2,2]", "--backbone.extra.stage2.num_channels", "[16,32]",
    "--backbone.extra.stage3.num_modules", "1", "--backbone.extra.stage3.num_blocks", "[2,2,2]",
    "--backbone.extra.stage3.num_channels", "[16,32,64]",
    "--backbone.extra.stage4.num_modules", "1", "--backbone.extra.stage4.num_blocks", "[2,2,2,2]",
    "--backbone.extra.stage4.num_channels", "[16,32,64,128]",
)  # fmt: skip


def both(name: str):
    """Our network and timm's with the same random weights."""
    cpu = ["--device_target", "CPU", "--cls_head.conv_init", "HeNormal"]
    ours = build_model(load_config(W18, [*cpu, *(SMALL if name.endswith("small") else ())]))
    theirs = import_timm().create_model(name)
    with torch.no_grad():
        give_random_weights(ours, theirs, bare)
    return ours, theirs


@pytest.mark.parametrize(
    ("name", "mode"),
    [pytest.param("hrnet_w18", "graph", marks=pytest.mark.slow), ("hrnet_w18_small", "pynative")],
)
def test_logits_equal_timms(request, name, mode):
    request.getfixturevalue(f"{mode}_mode")
    ours, theirs = both(name)
    ours.set_train(False)
    image = np.random.RandomState(1).randn(2, 3, 64, 96).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(image)).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours(Tensor(image)).asnumpy(), expected, atol=1e-4 * scale)


@pytest.mark.parametrize("mode", ["pynative", pytest.param("graph", marks=pytest.mark.slow)])
def test_loss_and_gradients_of_training_equal_timms(request, mode):
    request.getfixturevalue(f"{mode}_mode")
    ours, theirs = both("hrnet_w18_small")
    ours.set_train(True)
    image = np.random.RandomState(1).randn(4, 3, 96, 96).astype(np.float32)
    labels = np.int32([3, 999, 0, 41])
    inputs = [Tensor(x) for x in (image, labels, labels, np.ones(4, np.float32))]

    def loss(*batch):
        return ours(*batch)[0]

    value, gradients = ops.value_and_grad(loss, None, ours.trainable_params())(*inputs)
    logits = theirs.train()(torch.tensor(image))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(labels).long(), label_smoothing=0.1)
    expected.backward()
    np.testing.assert_allclose(float(value), expected.item(), rtol=1e-4)
    assert_gradients_equal(ours, gradients, theirs, bare)


@pytest.mark.parametrize(
    "variant,count",
    [
        ("w18", 21299004), ("w30", 37712220), ("w32", 41232680), ("w40", 57557160), ("w44", 67064984),
        ("w48", 77469864), ("w64", 128059944), ("w18_small", 13187464), ("w18_small_v2", 15597464),
    ],
)  # fmt: skip
def test_full_size_networks_have_the_authors_number_of_parameters(graph_mode, variant, count):
    assert count_of(shapes_of(f"hrnet_{variant}_cls.yaml")) == count


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_and_its_gradient_equal_torch(graph_mode, smoothing):
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(5, 7).astype(np.float32), np.int32([0, 6, 3, 3, 1])

    def mean_loss(logits, labels):
        return cross_entropy(logits, labels, smoothing).mean()

    value, gradient = ops.value_and_grad(mean_loss, 0)(Tensor(logits), Tensor(labels))
    leaf = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(leaf, torch.tensor(labels).long(), label_smoothing=smoothing)
    loss.backward()
    np.testing.assert_allclose(float(value), loss.item(), rtol=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), leaf.grad.numpy(), atol=1e-6)


def test_a_mixed_batch_has_the_loss_of_both_labels_by_share(pynative_mode):
    model = build_model(load_config(DEMO, ["--label_smoothing", "0.1", *RESNET]))
    model.set_train(False)
    image = Tensor(np.random.RandomState(0).randn(3, 3, 64, 64).astype(np.float32))
    labels, others, share = np.int32([0, 1, 2]), np.int32([2, 1, 7]), np.float32([0.3, 0.5, 1.0])
    logits = torch.tensor(model.logits(image).asnumpy())
    parts = [torch.nn.functional.cross_entropy(logits, torch.tensor(y).long(), reduction="none", label_smoothing=0.1)
             for y in (labels, others)]  # fmt: skip
    expected = (parts[0] * torch.tensor(share) + parts[1] * (1 - torch.tensor(share))).mean().item()
    (loss,) = model.losses(image, Tensor(labels), Tensor(others), Tensor(share))
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)


def test_truncated_normal_weights_have_the_right_spread_and_no_tails(graph_mode):
    model = build_model(load_config(DEMO, ["--cls_head.conv_init", "HeNormal"]))
    truncated_normal_convolutions(model, np.random.RandomState(0))
    weight = model.final_layer[0].weight.asnumpy()
    spread = np.sqrt(1 / weight[0].size)
    np.testing.assert_allclose(weight.std(), spread, rtol=0.05)
    assert np.abs(weight).max() <= 2 * spread / 0.8796 + 1e-6


def test_head_widths_that_do_not_fit_the_backbone_are_named(graph_mode):
    with pytest.raises(UserError, match="cls_head.head_channels"):
        build_model(load_config(DEMO, ["--cls_head.head_channels", "[8,16]"]))
