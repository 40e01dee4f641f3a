"""Start weights of the MindSpore originals: what is drawn, and that the seed alone decides it."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import nn

from src.config import load_config
from src.tasks import build_model

DEMOS = Path(__file__).parents[2] / "configs" / "demo"
CLS = ("hrnet_cls_shapes", "--cls_head.conv_init", "TruncatedNormal", "--cls_head.conv_sigma", "0.027",
       "--cls_head.conv_bias_init", "uniform", "--cls_head.dense_init", "RandomNormal")  # fmt: skip
SEG = ("hrnet_seg_lip_shapes", "--seg_head.conv_init", "HeUniform")
POINTREND = ("pointrend_hrnet_shapes", "--mask_head.weight_init", "Normal")


def built(name: str, *keys: str):
    return build_model(load_config(str(DEMOS / f"{name}.yaml"), ["--device_target", "CPU", *keys]))


def convolutions(model) -> dict[str, nn.Conv2d]:
    return {name: cell for name, cell in model.cells_and_names() if isinstance(cell, nn.Conv2d)}


def bound_of_biases(conv: nn.Conv2d) -> float:
    return 1 / np.sqrt(np.prod(conv.weight.shape[1:]))


def assert_uniform_biases(convs: dict[str, nn.Conv2d]) -> None:
    with_bias = {name: conv for name, conv in convs.items() if conv.has_bias}
    shares = np.concatenate([conv.bias.asnumpy() / bound_of_biases(conv) for conv in with_bias.values()])
    assert len(with_bias) > 1 and np.abs(shares).max() <= 1 and abs(shares.mean()) < 0.15
    np.testing.assert_allclose(shares.std(), 3**-0.5, atol=0.06)


def test_a_classifiers_convolutions_have_one_deviation_whatever_their_size(graph_mode):
    model = built(*CLS)
    convs = convolutions(model)
    large = {name: conv.weight.asnumpy() for name, conv in convs.items() if conv.weight.size > 4000}
    assert len({weight[0].size for weight in large.values()}) > 3
    for name, weight in large.items():
        assert np.abs(weight).max() <= 2 * 0.027 + 1e-7, name
        np.testing.assert_allclose(weight.std(), 0.0237, rtol=0.05, err_msg=name)  # cut at two sigma
    assert_uniform_biases(convs)
    weight, bias = model.classifier.weight.asnumpy(), model.classifier.bias.asnumpy()
    np.testing.assert_allclose(weight.std(), 0.01, rtol=0.1)
    assert not bias.any()


def test_a_segmenters_convolutions_are_he_uniform(graph_mode):
    model = built(*SEG)
    convs = convolutions(model)
    for name, conv in convs.items():
        weight, bound = conv.weight.asnumpy(), np.sqrt(6 / np.prod(conv.weight.shape[1:]))
        assert np.abs(weight).max() <= bound + 1e-7, name
        if weight.size > 4000:
            np.testing.assert_allclose(weight.std(), bound / np.sqrt(3), rtol=0.05, err_msg=name)
    assert "last_layer.0" in convs and any(name.startswith("backbone.") for name in convs)
    assert_uniform_biases(convs)


def test_pointrends_mask_heads_start_as_the_originals(graph_mode):
    head = built(*POINTREND).mask_head
    coarse = (head.coarse_head.reduce_spatial_dim_conv, *head.coarse_head.fcs, head.coarse_head.prediction)
    for layer in (*coarse, head.point_head.predictor):
        np.testing.assert_allclose(layer.weight.asnumpy().std(), 0.01, rtol=0.1)
        assert not layer.bias.asnumpy().any()
    for layer in head.point_head.fcs:
        np.testing.assert_allclose(layer.weight.asnumpy().std(), np.sqrt(2 / layer.weight.shape[1]), rtol=0.1)
        assert not layer.bias.asnumpy().any()


@pytest.mark.parametrize(("case", "part"), [(CLS, ""), (SEG, ""), (POINTREND, "mask_head.")])
def test_the_seed_alone_decides_what_is_drawn(graph_mode, case, part):
    def drawn(seed: int) -> dict[str, np.ndarray]:
        parameters = built(*case, "--seed", str(seed)).get_parameters()
        return {p.name: p.asnumpy() for p in parameters if p.name.startswith(part) and p.name.endswith(".weight")}

    one, again, other = drawn(5), drawn(5), drawn(6)
    for name, value in one.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
        assert (value != other[name]).any(), name


def test_without_the_keys_biases_and_the_classifier_are_as_before(graph_mode):
    model = built(*CLS[:3])
    assert not any(conv.bias.asnumpy().any() for conv in convolutions(model).values() if conv.has_bias)
    assert model.classifier.bias.asnumpy().any()
