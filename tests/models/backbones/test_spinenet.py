from dataclasses import replace

import numpy as np
import pytest
import torch
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from src.models.backbones.spinenet import ARCHITECTURES, SpineNet
from tests.models.torch_originals import TorchSpineNet, give_random_weights


def endpoint_by_level(name: str) -> str:
    """The ports number the endpoint convolutions by level, ours count from 0."""
    if name.startswith("endpoint_convs."):
        _, number, rest = name.split(".", 2)
        return f"endpoint_convs.{int(number) + 3}.{rest}"
    return name


@pytest.mark.parametrize("arch,width", [("49S", 0.13), pytest.param("143", 0.06, marks=pytest.mark.slow)])
def test_maps_equal_torch(graph_mode, arch, width):
    scaling = replace(
        ARCHITECTURES[arch], width=width, endpoint_channels=12, repeats=min(ARCHITECTURES[arch].repeats, 2)
    )
    ours = SpineNet(scaling)
    theirs = TorchSpineNet(12, width, scaling.alpha, scaling.repeats)
    give_random_weights(ours, theirs, endpoint_by_level)
    ours.set_train(False)
    theirs.eval()
    image = np.random.RandomState(1).randn(1, 3, 128, 256).astype(np.float32)
    with torch.no_grad():
        expected = theirs(torch.tensor(image))
    outputs = ours(Tensor(image))
    assert [x.shape[2:] for x in outputs] == ours.feature_shapes((128, 256))
    for out, reference in zip(outputs, expected):
        scale = np.abs(reference.numpy()).max()
        np.testing.assert_allclose(out.asnumpy(), reference.numpy(), atol=1e-4 * scale)


@pytest.mark.parametrize(
    "arch,count",
    [
        ("49S", 9089215), ("49", 21831488), ("96", 36262976), ("143", 60247616),
        pytest.param("190", 126587664, marks=pytest.mark.slow),
    ],  # fmt: skip
)
def test_full_size_networks_have_the_ports_number_of_parameters(graph_mode, arch, count):
    with no_init_parameters():
        model = SpineNet(ARCHITECTURES[arch])
    assert sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params()) == count


def test_one_edge_joins_the_unused_block_11_to_output_14(graph_mode):
    network = SpineNet(replace(ARCHITECTURES["49"], width=0.1))
    assert {k + 2: extra for k, extra in enumerate(network.extras) if extra} == {14: (11,)}


def test_residual_blocks_start_as_their_shortcuts_and_the_stem_can_be_frozen(graph_mode):
    network = SpineNet(replace(ARCHITECTURES["49"], width=0.1), frozen_stages=0)
    assert not network.scale_permuted_blocks[0][0].bn3.gamma.asnumpy().any()
    assert not network.scale_permuted_blocks[1][0].bn2.gamma.asnumpy().any()
    learning = {parameter.name for parameter in network.trainable_params()}
    assert not any(name.startswith(("conv1", "init_block")) for name in learning) and len(learning) > 100
