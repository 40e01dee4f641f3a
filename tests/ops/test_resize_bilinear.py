"""Bilinear resizing in inference against PyTorch, the definition, and the matrix products whose place it takes."""

import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.config import load_config
from src.models.build_operators import set_resizing
from src.models.layers import DoubleBilinear, ResizeBilinear, resize_bilinear
from src.ops import library
from src.ops.resize import InferenceDoubling, InferenceResizing
from src.tasks import build_model
from tests.models.test_layers import asymmetric

SIZES = [(10, 14), (11, 13), (5, 7), (3, 20), (1, 1), (64, 33), (5, 9), (13, 7)]


def some_map(*shape: int) -> np.ndarray:
    return np.random.RandomState(sum(shape)).randn(*shape).astype(np.float32)


def resized(coordinates: str, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    like = Tensor(np.zeros((1, *size), np.int32))
    return InferenceResizing(coordinates)(Tensor(x), like).asnumpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_resizing_is_the_definition_and_the_products(pynative_mode, coordinates, size):
    x = some_map(2, 3, 5, 7)
    found = resized(coordinates, x, size)
    if coordinates == "asymmetric":
        expected = asymmetric(x, *size)
    else:
        keys = {"mode": "bilinear", "align_corners": coordinates == "align_corners"}
        expected = torch.nn.functional.interpolate(torch.tensor(x), size, **keys).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # its positions are float32
    products = resize_bilinear(Tensor(x), *size, coordinates=coordinates).asnumpy()
    np.testing.assert_allclose(found, products, rtol=0, atol=5e-7)


def test_maps_of_several_threads_are_those_of_one(pynative_mode):
    x = some_map(1, 40, 33, 65)
    whole = resized("half_pixel", x, (131, 190))  # 40 maps, 3 pieces
    for k in range(40):
        np.testing.assert_array_equal(whole[:, k], resized("half_pixel", x[:, k : k + 1], (131, 190))[:, 0])


def test_a_zero_has_no_sign_and_what_is_no_number_stays_where_it_is(pynative_mode):
    assert not np.signbit(resized("half_pixel", np.full((1, 1, 3, 3), -0.0, np.float32), (5, 5))).any()
    x = np.zeros((1, 1, 1, 8), np.float32)
    x[..., 6] = np.nan
    found = resized("half_pixel", x, (1, 16))[0, 0, 0]
    np.testing.assert_array_equal(np.isnan(found), [False] * 11 + [True] * 4 + [False])


def test_doubling_is_resizing_to_twice_the_size(pynative_mode):
    x = some_map(2, 3, 6, 4)
    np.testing.assert_array_equal(
        InferenceDoubling("half_pixel")(Tensor(x)).asnumpy(), resized("half_pixel", x, (12, 8))
    )


@pytest.mark.parametrize("portable", [0, 1])
def test_a_loaded_network_resizes_by_the_operator_unless_portable(graph_mode, portable):
    words = ["--device_target", "CPU", "--portable", str(portable)]
    cfg = load_config("configs/demo/pointrend_hrnet_shapes.yaml", words)
    network = build_model(cfg).set_train(False)
    set_resizing(cfg, network)
    kinds = (ResizeBilinear, DoubleBilinear)
    found = [cell.for_inference for _, cell in network.cells_and_names() if isinstance(cell, kinds)]
    assert any(found) and all(isinstance(one, InferenceResizing) for one in found) if not portable else not any(found)


def test_a_segmenter_needs_no_compiled_operator(graph_mode, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    cfg = load_config("configs/demo/hrnet_seg_cityscapes_shapes.yaml", ["--device_target", "CPU"])
    network = build_model(cfg)
    set_resizing(cfg, network)
    assert network.resize.for_inference is None
