import numpy as np
import pytest
import torch
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from src.models.backbones.resnet import DEPTHS, ResNet
from src.models.layers import NormSettings
from tests.models.torch_originals import TorchResNet, give_random_weights

COUNTS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True), 101: ((3, 4, 23, 3), True)}


PADDINGS = {"pool_padding": "same_pool", "conv_padding": "same_convs"}


@pytest.mark.parametrize(
    "depth,style,same",
    [(18, "pytorch", ()), (50, "pytorch", ()), (50, "caffe", ()), (18, "pytorch", ["pool_padding"]),
     (50, "pytorch", ["pool_padding", "conv_padding"])],
)  # fmt: skip
def test_maps_equal_torch(graph_mode, depth, style, same):
    ours = ResNet(depth, style=style, base_channels=8, **dict.fromkeys(same, "same"))
    theirs = TorchResNet(*COUNTS[depth], base=8, style=style, **{PADDINGS[name]: True for name in same})
    give_random_weights(ours, theirs)
    ours.set_train(False)
    theirs.eval()
    image = np.random.RandomState(1).randn(2, 3, 64, 96).astype(np.float32)
    with torch.no_grad():
        expected = theirs(torch.tensor(image))
    outputs = ours(Tensor(image))
    assert [x.shape[1] for x in outputs] == list(ours.out_channels)
    assert [x.shape[2:] for x in outputs] == ours.feature_shapes((64, 96))
    for out, reference in zip(outputs, expected):
        scale = np.abs(reference.numpy()).max()
        np.testing.assert_allclose(out.asnumpy(), reference.numpy(), atol=1e-4 * scale)


@pytest.mark.parametrize("depth,millions", [(18, 11.177), (34, 21.285), (50, 23.508), (101, 42.500)])
def test_full_size_networks_have_torchvisions_number_of_parameters_without_the_classifier(graph_mode, depth, millions):
    assert set(DEPTHS) == set(COUNTS)
    with no_init_parameters():
        model = ResNet(depth)
    count = sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params())
    assert round(count / 1e6, 3) == millions


def test_frozen_stages_and_detectrons_frozen_norm_do_not_learn(graph_mode):
    learning = {p.name for p in ResNet(18, frozen_stages=1, base_channels=8).trainable_params()}
    assert not any(name.startswith(("conv1", "bn1", "layer1")) for name in learning)
    assert any(name.startswith("layer2.0.bn1.gamma") for name in learning)
    fixed = NormSettings(frozen=True, learns=False)
    learning = {p.name for p in ResNet(18, fixed, base_channels=8).trainable_params()}
    assert "layer2.0.conv1.weight" in learning and not any(name.endswith(("gamma", "beta")) for name in learning)
