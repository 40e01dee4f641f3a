from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.config import load_config
from src.models.fold import fold_batchnorm
from src.tasks import build_model
from tests.models.test_any_backbone import TINY, overrides

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_cls_shapes.yaml")
IMAGE = np.random.RandomState(2).randn(1, 3, 128, 128).astype(np.float32)


def with_used_norms(cfg) -> nn.Cell:
    """A model whose normalisations are no identities."""
    model = build_model(cfg)
    rng = np.random.RandomState(1)
    for parameter in model.get_parameters():
        kind = parameter.name.rpartition(".")[2]
        shape = tuple(parameter.shape)
        if kind in ("moving_variance", "gamma"):
            parameter.set_data(Tensor(rng.uniform(0.6, 1.4, shape).astype(np.float32)))
        elif kind in ("moving_mean", "beta"):
            parameter.set_data(Tensor((0.1 * rng.randn(*shape)).astype(np.float32)))
    model.set_train(False)
    return model


def norms(model: nn.Cell) -> int:
    return sum(isinstance(cell, nn.BatchNorm2d) for _, cell in model.cells_and_names())


def assert_folds_to_the_same(model: nn.Cell, *run) -> None:
    for call in run:
        assert call(model)
    before = [call(model) for call in run]
    count = norms(model)
    assert count > 5 and fold_batchnorm(model) == count and norms(model) == 0
    names = [parameter.name for parameter in model.get_parameters()]
    assert len(set(names)) == len(names)
    for old, call in zip(before, run):
        for left, right in zip(old, call(model)):
            np.testing.assert_allclose(right, left, atol=1e-4 * max(np.abs(left).max(), 1))


SAME = {"hrnet": ["conv"], "resnet": ["conv", "pool"], "spinenet": []}


CASES = [*((name, "symmetric") for name in SAME), ("hrnet", "same"), ("resnet", "same")]


@pytest.mark.parametrize(
    "backbone,padding",
    [pytest.param(*one, marks=pytest.mark.slow if one == ("hrnet", "symmetric") else ()) for one in CASES],
)
def test_every_backbone_gives_the_same_maps(pynative_mode, backbone, padding):
    keys = [f"--backbone.{part}_padding={padding}" for part in SAME[backbone]]
    model = with_used_norms(load_config(TINY, [*overrides(backbone, "mask_rcnn"), *keys]))
    features = Tensor(np.random.RandomState(3).randn(4, 32, 14, 14).astype(np.float32))
    valid = Tensor(np.ones(4, bool))
    assert_folds_to_the_same(
        model,
        lambda m: [x.asnumpy() for x in m.neck(m.backbone(Tensor(IMAGE)))],
        lambda m: [m.mask_head.logits(features, valid).asnumpy()],
    )


def test_a_classifier_gives_the_same_logits(pynative_mode):
    model = with_used_norms(load_config(DEMO))
    assert_folds_to_the_same(model, lambda m: [m(Tensor(IMAGE[:, :, :64, :64])).asnumpy()])
