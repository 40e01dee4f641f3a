"""Networks with the fused operators for training against the same networks without."""

import platform
import sys

import numpy as np
import pytest
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from src.models.backbones.hrnet import Fusion, HRNet, StageSettings
from src.models.backbones.resnet import ResNet
from src.models.detection.roi_conv import RoIConv
from src.models.fused import FusedNorm, fuse_for_training
from src.models.layers import ConvNormAct, NormSettings, ResizeBilinear, UpsampleNearest
from src.models.sync_norm import SyncBatchNorm, synchronise_batchnorm
from src.ops.conv_gradient import why_not_fast

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="oneDNN's wheel is for x86-64 Linux"
)

WIDTHS = (4, 6, 8, 10)


@pytest.fixture(autouse=True)
def _there(graph_mode):
    assert why_not_fast() == ""


def hrnet(upsampling: str) -> HRNet:
    """All kinds of chains: blocks of both kinds, stages, transitions, fusion."""
    stages = [StageSettings(1, "BOTTLENECK", (1,), (4,))]
    stages += [StageSettings(1, "BASIC", (1,) * (k + 2), WIDTHS[: k + 2]) for k in range(3)]
    return HRNet(stages, fusion=Fusion(upsampling))


def spread(network: nn.Cell) -> nn.Cell:
    """Parameters that a mistake would show in."""
    rng = np.random.RandomState(0)
    for parameter in network.get_parameters():
        value = rng.randn(*parameter.shape) * (0.3 if parameter.ndim > 1 else 0.1) + parameter.name.endswith("gamma")
        if not parameter.name.endswith("moving_variance"):
            parameter.set_data(Tensor(value.astype(np.float32)))
    return network


class Gradients(nn.Cell):
    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network
        self.weights = ParameterTuple(sorted(network.trainable_params(), key=lambda parameter: parameter.name))
        self.run = ops.value_and_grad(self.energy, None, self.weights)

    def energy(self, x):
        total = 0
        for y in self.network(x):
            total = total + (y * y).mean()
        return total

    def construct(self, x):
        return self.run(x)


@pytest.mark.parametrize(
    ("upsampling", "mode"),
    [("nearest", "pynative"), *(pytest.param(one, "graph", marks=pytest.mark.slow) for one in ("nearest", "bilinear"))],
)
def test_loss_gradients_statistics_and_names_are_those_of_the_plain_network(request, upsampling, mode):
    request.getfixturevalue(f"{mode}_mode")
    x = Tensor(np.random.RandomState(1).randn(2, 3, 128, 160).astype(np.float32))
    plain, fused = spread(hrnet(upsampling)), spread(hrnet(upsampling))
    names = {parameter.name for parameter in fused.get_parameters()}
    assert fuse_for_training(fused) == sum(isinstance(cell, nn.BatchNorm2d) for _, cell in plain.cells_and_names())
    assert {parameter.name for parameter in fused.get_parameters()} == names
    results = []
    for network in (plain, fused):
        gradients = Gradients(network).set_train()
        loss, values = gradients(x)
        found = {parameter.name: value.asnumpy() for parameter, value in zip(gradients.weights, values)}
        results.append((float(loss), found, {p.name: p.asnumpy() for p in network.get_parameters()}))
    (loss, gradients, after), (fused_loss, fused_gradients, fused_after) = results
    assert abs(fused_loss - loss) <= 1e-5 * abs(loss)
    for name, value in gradients.items():
        assert np.linalg.norm(fused_gradients[name] - value) <= 2e-3 * np.linalg.norm(value) + 1e-7, name
    for name in after:
        np.testing.assert_allclose(fused_after[name], after[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_evaluation_stays_bit_for_bit(pynative_mode):
    x = Tensor(np.random.RandomState(1).randn(1, 3, 64, 64).astype(np.float32))
    plain, fused = spread(hrnet("bilinear")), spread(hrnet("bilinear"))
    fuse_for_training(fused)
    for ours, theirs in zip(fused.set_train(False)(x), plain.set_train(False)(x)):
        np.testing.assert_array_equal(ours.asnumpy(), theirs.asnumpy())


def test_each_norm_takes_in_the_relu_that_follows_it():
    network = ResNet(18)
    fuse_for_training(network)
    relus = [name for name, cell in network.cells_and_names() if isinstance(cell, nn.ReLU)]
    assert all(name.endswith("then") for name in relus) and len(relus) == 1 + 8


def test_frozen_synchronised_and_roi_heads_norms_stay():
    frozen = ResNet(18, norm=NormSettings(frozen=True))
    assert fuse_for_training(frozen) == 0
    synchronised = ConvNormAct(3, 4, 1, norm=NormSettings())
    synchronise_batchnorm(synchronised, 2)
    assert fuse_for_training(synchronised) == 0 and isinstance(synchronised.bn, SyncBatchNorm)
    assert fuse_for_training(RoIConv(3, 4, norm=NormSettings())) == 0
    half = ConvNormAct(3, 4, 1, norm=NormSettings()).to_float(Parameter(Tensor(0.0).half()).dtype)
    assert fuse_for_training(half) == 0
    own = ConvNormAct(3, 4, 1, norm=NormSettings())
    assert fuse_for_training(own) == 1 and isinstance(own.bn, FusedNorm) and fuse_for_training(own) == 0


@pytest.mark.parametrize(
    "cell",
    [UpsampleNearest(2), ResizeBilinear(), ResizeBilinear(coordinates="align_corners")],
    ids=["nearest", "bilinear", "aligned"],
)
def test_resizing_takes_the_operator_in_training_only(cell):
    x = Tensor(np.random.RandomState(0).randn(1, 2, 3, 4).astype(np.float32))
    inputs = (x,) if isinstance(cell, UpsampleNearest) else (x, Tensor(np.zeros((6, 8), np.float32)))
    plain = cell(*inputs).asnumpy()
    fuse_for_training(cell)
    names = [type(child).__name__ for child in cell.cells()]
    assert names in (["NearestUpsampling"], ["BilinearResizing"])
    np.testing.assert_array_equal(cell.set_train(False)(*inputs).asnumpy(), plain)
    np.testing.assert_allclose(cell.set_train()(*inputs).asnumpy(), plain, rtol=0, atol=1e-6)


def test_resizing_without_half_pixels_keeps_its_own_arithmetic_in_training():
    cell = ResizeBilinear(coordinates="asymmetric")
    fuse_for_training(cell)
    out = cell.set_train()(Tensor(np.float32([[[[0, 1]]]])), Tensor(np.zeros((1, 4), np.float32)))
    np.testing.assert_array_equal(out.asnumpy().ravel(), [0, 0.5, 1, 1])
