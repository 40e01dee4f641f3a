"""oneDNN's convolutions of inference beside PyTorch's, and whose weights the library has."""

import ctypes
import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from src.config import load_config
from src.models.build_operators import set_convolutions
from src.models.fast_inference import use_fast_inference
from src.models.fold import fold_batchnorm
from src.models.layers import AddReLU, ConvNormAct, NormSettings
from src.ops.conv_gradient import LIBRARY, why_not_fast
from src.ops.conv_inference import InferenceConv2D, InferenceConvSum2D
from src.ops.library import file_of
from src.tasks import build_model

CASES = [  # in, out, kernel, stride, dilation, groups, padding, bias, (batch, h, w)
    (3, 64, 7, 2, 1, 1, 3, False, (1, 33, 47)),
    (18, 18, 3, 1, 1, 1, 1, True, (2, 20, 31)),
    (16, 40, 1, 1, 1, 1, 0, True, (3, 7, 7)),
    (8, 12, 3, 1, 2, 4, 2, True, (1, 9, 11)),
    (6, 6, (1, 3), (2, 1), 1, 6, (0, 0, 1, 1), False, (2, 8, 5)),
    (5, 7, 3, 2, 1, 1, "same", True, (1, 10, 9)),
    (11, 5, 1, 1, 1, 1, 0, True, (2, 11, 12)),  # these three: products of the maps as they are
    (16, 40, 1, 1, 1, 1, 0, False, (3, 16, 9)),
    (33, 1, 1, 1, 1, 1, 0, True, (1, 40, 31)),
    (16, 32, 3, 1, 1, 1, 1, True, (1, 65, 66)),  # and these: minimal filtering
    (32, 16, 3, 1, 1, 1, 0, True, (30, 14, 15)),
    (48, 16, 3, 1, 1, 1, (0, 2, 1, 0), False, (2, 50, 47)),
    (16, 16, 3, 1, 1, 1, (3, 1, 2, 5), True, (1, 61, 70)),
    (16, 48, 3, 1, 1, 1, "same", True, (3, 36, 41)),
]
FILTERED = (32, 16, 3, 1, 1, 1, 1, True)  # convolved by minimal filtering where there are 256 tiles of 4x4 pixels


@pytest.fixture(autouse=True)
def needs_onednn():
    if reason := why_not_fast():
        pytest.skip(reason)


def make_conv(inputs, outputs, kernel, stride, dilation, groups, padding, bias, rng) -> nn.Conv2d:
    where = {"pad_mode": "same"} if padding == "same" else {"pad_mode": "pad", "padding": padding}
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, dilation=dilation, group=groups, has_bias=bias, **where)
    conv.weight.set_data(Tensor(rng.randn(*conv.weight.shape).astype(np.float32)))
    if bias:
        conv.bias.set_data(Tensor(rng.randn(outputs).astype(np.float32)))
    return conv


def by_torch(conv: nn.Conv2d, x: np.ndarray) -> np.ndarray:
    x, weight = torch.tensor(x, dtype=torch.float64), torch.tensor(conv.weight.asnumpy(), dtype=torch.float64)
    if conv.pad_mode == "same":
        missing = [
            max((-(-side // step) - 1) * step + size - side, 0)
            for side, step, size in zip(x.shape[2:], conv.stride, conv.kernel_size)
        ]
        top, left = missing[0] // 2, missing[1] // 2
        bottom, right = missing[0] - top, missing[1] - left
    else:
        top, bottom, left, right = conv.conv2d.padding
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    bias = torch.tensor(conv.bias.asnumpy(), dtype=torch.float64) if conv.has_bias else None
    return torch.nn.functional.conv2d(x, weight, bias, conv.stride, 0, conv.dilation, conv.group).numpy()


@pytest.mark.parametrize("case", CASES)
def test_a_convolution_equals_pytorch_s_with_what_follows_it(pynative_mode, case):
    *settings, (batch, height, width) = case
    rng = np.random.RandomState(1)
    conv = make_conv(*settings, rng)
    x = rng.randn(batch, settings[0], height, width).astype(np.float32)
    expected = by_torch(conv, x)
    added = rng.randn(*expected.shape).astype(np.float32)
    is_filtered = settings[2] == 3 and expected[:, 0].size >= 4096
    close = {"rtol": 1e-5, "atol": (3e-5 if is_filtered else 1e-5) * np.abs(expected).max()}
    np.testing.assert_allclose(InferenceConv2D(conv, False)(Tensor(x)).asnumpy(), expected, **close)
    np.testing.assert_allclose(InferenceConv2D(conv, True)(Tensor(x)).asnumpy(), np.maximum(expected, 0), **close)
    both = InferenceConvSum2D(conv, True)(Tensor(x), Tensor(added)).asnumpy()
    np.testing.assert_allclose(both, np.maximum(expected + added, 0), **close)
    alone = InferenceConvSum2D(conv, False)(Tensor(x), Tensor(added)).asnumpy()
    np.testing.assert_allclose(alone, expected + added, **close)


def convolved(layer: InferenceConv2D, x: np.ndarray, *added: np.ndarray) -> np.ndarray:
    return layer(*map(Tensor, (x, *added))).asnumpy()


def test_an_image_has_the_same_bits_at_each_place_of_a_batch_and_by_any_number_of_threads(pynative_mode):
    rng = np.random.RandomState(2)
    layer, x = InferenceConv2D(make_conv(*FILTERED, rng), True), rng.randn(5, 32, 66, 63).astype(np.float32)
    whole = convolved(layer, x)
    for image in range(5):
        np.testing.assert_array_equal(convolved(layer, x[image : image + 1]), whole[image : image + 1])
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    try:
        for threads in (1, 3):
            openmp.omp_set_num_threads(threads)
            np.testing.assert_array_equal(convolved(layer, x), whole)
    finally:
        openmp.omp_set_num_threads(before)


@pytest.mark.parametrize("case", [FILTERED, (32, 16, 1, 1, 1, 1, 0, True)], ids=["3x3", "1x1"])
def test_what_a_shape_gives_does_not_depend_on_the_shapes_before(pynative_mode, case):
    rng = np.random.RandomState(4)
    conv = make_conv(*case, rng)
    layer, x = InferenceConv2D(conv, False), rng.randn(1, 32, 64, 64).astype(np.float32)
    large, small = convolved(layer, x), convolved(layer, x[:, :, :7, :8])
    np.testing.assert_array_equal(convolved(layer, x), large)
    np.testing.assert_array_equal(convolved(layer, x[:, :, :7, :8]), small)
    np.testing.assert_array_equal(convolved(InferenceConv2D(conv, False), x[:, :, :7, :8]), small)


def test_what_is_no_number_stays_near(pynative_mode):
    rng = np.random.RandomState(5)
    layer, x = InferenceConv2D(make_conv(*FILTERED, rng), True), rng.randn(1, 32, 64, 64).astype(np.float32)
    expected = convolved(layer, x)
    x[0, 3, 30, 41] = np.nan
    found, near = convolved(layer, x), np.zeros((64, 64), bool)
    assert np.isnan(found[0, :, 29:32, 40:43]).all()
    near[28:32, 40:44] = True  # its tile: the pixel before and the one after are of the same
    np.testing.assert_array_equal(found[:, :, ~near], expected[:, :, ~near])


class Block(nn.Cell):
    def __init__(self):
        super().__init__()
        self.conv1 = ConvNormAct(8, 8, 3, norm=NormSettings())
        self.conv2 = nn.Conv2d(8, 8, 3, pad_mode="pad", padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.tail = nn.SequentialCell([nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)])
        self.add_relu = AddReLU()

    def construct(self, x: Tensor) -> Tensor:
        return self.tail(self.add_relu(self.bn2(self.conv2(self.conv1(x))), x))


def block(seed: int) -> Block:
    rng, network = np.random.RandomState(seed), Block()
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(rng.uniform(0.1, 1, parameter.shape).astype(np.float32)))
    return network.set_train(False)


def test_relu_and_sum_after_a_folded_convolution_go_into_it(graph_mode):
    x = Tensor(np.random.RandomState(0).randn(2, 8, 9, 9).astype(np.float32))
    expected = block(1)(x).asnumpy()
    network = block(1)
    fold_batchnorm(network)
    assert use_fast_inference(network) == 4
    kinds = [type(cell).__name__ for _, cell in network.cells_and_names()]
    assert kinds.count("InferenceConvSum2D") == 1 and kinds.count("InferenceConv2D") == 3
    assert "ReLU" not in kinds and "AddReLU" not in kinds and "Conv2d" not in kinds
    assert [parameter.dtype for parameter in network.get_parameters() if "weight" not in parameter.name] == []
    np.testing.assert_allclose(network(x).asnumpy(), expected, rtol=2e-5)
    np.testing.assert_array_equal(network(x).asnumpy(), network(x).asnumpy())
    small = Tensor(x.asnumpy()[:1, :, :5, :6])
    np.testing.assert_allclose(network(small).asnumpy(), block(1)(small).asnumpy(), rtol=2e-5)  # another layout, maybe


def test_an_unfolded_normalisation_keeps_its_relu(pynative_mode):
    x = Tensor(np.random.RandomState(0).randn(1, 8, 6, 6).astype(np.float32))
    network = block(1)
    assert use_fast_inference(network) == 4
    np.testing.assert_allclose(network(x).asnumpy(), block(1)(x).asnumpy(), rtol=2e-5)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "Convolutions by oneDNN"),
        (("--fold_batchnorm", "0"), "Convolutions by the framework (fold_batchnorm is 0)"),
        (("--amp_level", "O2"), "Convolutions by the framework (amp_level is O2)"),
        (("--portable", "1"), "Convolutions by the framework (portable is 1)"),
        (("--fast_inference", "0"), None),
    ],
)
def test_a_loaded_network_convolves_by_onednn_unless_a_key_says_otherwise(graph_mode, caplog, words, line):
    caplog.set_level("INFO")
    small = ("--cls_head.final_channels", "16", "--backbone.type", "resnet", "--backbone.depth", "18")
    keys = ["--device_target", "CPU", *small, "--backbone.base_channels", "4", *words]
    cfg = load_config("configs/demo/hrnet_cls_shapes.yaml", keys)
    network = build_model(cfg)
    set_convolutions(cfg, network)
    assert any(isinstance(cell, InferenceConv2D) for _, cell in network.cells_and_names()) == (not words)
    assert [one.message for one in caplog.records if one.message.startswith("Convol")] == ([line] if line else [])


def test_two_layers_in_two_threads_have_their_own_weights(pynative_mode):
    """By the compiled functions: MindSpore itself, PyNative mode and graphs, is for one thread at a time."""
    rng = np.random.RandomState(3)
    x = rng.randn(1, 16, 12, 12).astype(np.float32)
    convs = [make_conv(16, 16, 3, 1, 1, 1, 1, True, rng) for _ in range(2)]
    expected = [by_torch(conv, x) for conv in convs]
    layers = [InferenceConv2D(conv, False) for conv in convs]
    numbers = [(layer.layer.asnumpy(), layer.settings.asnumpy()) for layer in layers]
    library = ctypes.CDLL(str(file_of(LIBRARY)))

    def run(task: int) -> np.ndarray:
        arrays = [x, *numbers[task % 2], np.full_like(x, np.nan)]
        shapes = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays]
        parameters = (ctypes.c_void_p * 4)(*(array.ctypes.data for array in arrays))
        pointers = (ctypes.c_void_p * 4)(*map(ctypes.addressof, shapes))
        assert library.ConvInference(4, parameters, None, pointers, None, None, None) == 0
        return arrays[-1]

    with ThreadPoolExecutor(2) as pool:
        for task, found in enumerate(pool.map(run, range(200))):
            np.testing.assert_allclose(found, expected[task % 2], rtol=1e-4, atol=1e-4)


def test_weights_go_with_their_layer():
    gc.collect()  # what earlier tests have left
    library = ctypes.CDLL(str(file_of(LIBRARY)))
    before = library.CountLayers()
    layer = InferenceConv2D(make_conv(4, 4, 1, 1, 1, 1, 0, False, np.random.RandomState(0)), True)
    assert library.CountLayers() == before + 1
    del layer
    gc.collect()
    assert library.CountLayers() == before
