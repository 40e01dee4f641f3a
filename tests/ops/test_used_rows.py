"""Convolutions of batches of which only some rows are used, against the framework's on whole batches."""

import numpy as np
import pytest
from mindspore import Tensor, ops

from src.models.detection.roi_conv import RoIConv
from src.models.layers import NormSettings
from src.ops.conv_gradient import UsedRowsConv2D, use_fast_gradients, why_not_fast
from tests.models.detection.test_roi_conv import WeightedSum
from tests.ops.test_conv_gradient import CASES, gradients, make_conv, pytestmark, random, relative  # noqa: F401

USED = {"none": [], "one": [3], "first": [0, 1, 2, 20, 21], "many": list(range(19)), "all": list(range(40))}


@pytest.fixture(autouse=True)
def _there(graph_mode):
    assert why_not_fast() == ""


@pytest.mark.parametrize(
    "name,rows", [("3x3", 5), ("3x3", 40), ("7x7, stride 2", 40), ("same, dilated", 40), ("four paddings", 40)]
)
def test_used_rows_are_the_frameworks_and_the_others_are_zero_or_too(graph_mode, name, rows):
    conv = make_conv(name)
    x = random(rows, CASES[name][0], *CASES[name][2])
    used = np.arange(rows) % 5 < 2
    whole = conv(Tensor(x)).asnumpy()
    found = UsedRowsConv2D(conv)(Tensor(x), conv.weight, Tensor(used)).asnumpy()
    np.testing.assert_allclose(found[used], whole[used], rtol=1e-5, atol=1e-5)
    assert found.shape == whole.shape
    zero = np.array([not row.any() for row in found])
    np.testing.assert_allclose(found[~zero], whole[~zero], rtol=1e-5, atol=1e-5)
    assert zero.sum() == (24 if rows == 40 else 0)


@pytest.mark.parametrize("used", USED)
def test_gradients_of_rows_without_any_are_zero_and_add_nothing(graph_mode, used):
    x, weights = random(40, 5, 9, 12), random(40, 7, 9, 12)
    weights[[row for row in range(40) if row not in USED[used]]] = 0
    framework, ours = make_conv("3x3"), make_conv("3x3")
    use_fast_gradients(ours)
    expected, found = gradients(framework, x, weights), gradients(ours, x, weights)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * max(np.abs(other).max(), 1e-9))


@pytest.mark.parametrize(
    "norm,used",
    [
        (NormSettings(), "first"), (NormSettings(), "none"),
        *(pytest.param(norm, "first", marks=pytest.mark.slow) for norm in (None, NormSettings(frozen=True))),
    ],  # fmt: skip
)
def test_a_roi_head_that_convolves_used_rows_alone_learns_the_same(graph_mode, norm, used):
    x, weights = random(40, 6, 7, 7), random(40, 8, 7, 7)
    valid = np.isin(np.arange(40), USED[used])
    weights[~valid] = 0
    results = []
    for fast in (False, True):
        conv = RoIConv(6, 8, norm)
        for parameter in conv.trainable_params():
            value = random(*parameter.shape)
            parameter.set_data(Tensor(np.abs(value) if parameter.name.startswith("bn") else value))
        if fast:
            assert use_fast_gradients(conv) == 1
        conv.set_train(True)
        names = list(conv.parameters_dict())
        total, found = ops.value_and_grad(WeightedSum(conv), 0, conv.trainable_params())(
            Tensor(x), Tensor(valid), Tensor(weights)
        )
        conv.set_train(False)
        outputs = conv(Tensor(x), Tensor(valid)).asnumpy()
        results.append([float(total), found[0].asnumpy(), *(one.asnumpy() for one in found[1]), outputs, names])
    assert results[0].pop() == results[1].pop()
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)
    assert relative(results[1][1][valid], results[0][1][valid]) < 1e-5 if used != "none" else not results[1][1].any()
