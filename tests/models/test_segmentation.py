"""HRNet segmentation against PyTorch written from the authors' definition, on the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mindspore import Tensor, ops
from mindspore.nn.utils import no_init_parameters

from src.config import load_config
from src.models.losses import OhemCrossEntropy, PixelCrossEntropy
from src.tasks import build_model
from tests.models.torch_hrnet_seg import AUTHORS, Convention, TorchHRNetSeg, enlarge, ohem_cross_entropy
from tests.models.torch_originals import assert_gradients_equal, give_random_weights

CONFIGS = Path(__file__).parents[2] / "configs"
CITYSCAPES = str(CONFIGS / "hrnet_w18_small_seg_cityscapes.yaml")
STAGE1 = (8, 1)
STAGES = [([8, 16], [1, 1], 1), ([8, 16, 32], [1, 1, 1], 2), ([8, 16, 32, 64], [1, 1, 1, 1], 1)]
NARROW = [f"--backbone.extra.stage1.{name}=[{value}]" for name, value in zip(("num_channels", "num_blocks"), STAGE1)]
for number, (widths, blocks, modules) in enumerate(STAGES, start=2):
    stage = f"--backbone.extra.stage{number}"
    NARROW += [f"{stage}.num_channels={widths}", f"{stage}.num_blocks={blocks}", f"{stage}.num_modules={modules}"]


def bare(name: str) -> str:
    return name.removeprefix("backbone.")


def both(*keys: str, kernel: int = 1, convention: Convention = AUTHORS):
    ours = build_model(load_config(CITYSCAPES, [*NARROW, "--device_target", "CPU", *keys]))
    theirs = TorchHRNetSeg(19, STAGE1, STAGES, kernel, convention)
    with torch.no_grad():
        give_random_weights(ours, theirs, bare)
    return ours, theirs


@pytest.mark.parametrize("size,kernel", [((64, 128), 1), ((59, 93), 3)])  # odd sizes: maps of sides that do not double
def test_logits_equal_the_originals_at_any_image_size(graph_mode, size, kernel):
    ours, theirs = both(f"--seg_head.final_conv_kernel={kernel}", kernel=kernel)
    ours.set_train(False)
    image = np.random.RandomState(1).randn(2, 3, *size).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(image)).numpy()
    assert expected.shape[2:] == (-(-size[0] // 4), -(-size[1] // 4))
    np.testing.assert_allclose(ours(Tensor(image)).asnumpy(), expected, atol=1e-4 * np.abs(expected).max())


CONVENTIONS = {  # whose network, by our keys and by the definition written out
    "mindspore": (Convention(asymmetric=True), ["--seg_head.bilinear=asymmetric"]),
    "mmsegmentation": (Convention(two_steps=True), ["--seg_head.fusion_steps=2"]),
    "paddleseg": (Convention(same=True), ["--backbone.conv_padding=same"]),
}


@pytest.mark.parametrize("name", ["mindspore", pytest.param("mmsegmentation", marks=pytest.mark.slow), "paddleseg"])
def test_logits_equal_the_relatives_by_their_settings(pynative_mode, name):
    convention, keys = CONVENTIONS[name]
    ours, theirs = both(*keys, convention=convention)
    plain = both()[0].set_train(False)
    ours.set_train(False)
    for size in ((64, 128), (73, 89)):
        image = np.random.RandomState(1).randn(1, 3, *size).astype(np.float32)
        with torch.no_grad():
            expected = theirs.eval()(torch.tensor(image)).numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours(Tensor(image)).asnumpy(), expected, atol=1e-5 * scale)
        differs = np.abs(plain(Tensor(image)).asnumpy() - expected).max() > 1e-3 * scale
        assert differs == (name != "mmsegmentation" or size == (73, 89))  # its two steps are one at multiples of 32


@pytest.mark.parametrize("bilinear", ["half_pixel", pytest.param("asymmetric", marks=pytest.mark.slow)])
def test_training_loss_gradients_and_statistics_equal_the_originals(graph_mode, bilinear):
    weights = np.random.RandomState(3).uniform(0.5, 1.5, 19).round(3).tolist()
    convention = Convention(asymmetric=bilinear == "asymmetric")
    ours, theirs = both(f"--class_weights={weights}", f"--seg_head.bilinear={bilinear}", convention=convention)
    ours.set_train(True)
    image = np.random.RandomState(1).randn(2, 3, 64, 96).astype(np.float32)
    label = np.random.RandomState(2).randint(0, 20, (2, 64, 96)).astype(np.int32)
    label[label == 19] = 255

    def loss(image, label):
        return ours(image, label)[0]

    value, gradients = ops.value_and_grad(loss, None, ours.trainable_params())(Tensor(image), Tensor(label))
    scores = enlarge(theirs.train()(torch.tensor(image)), (64, 96), convention)
    expected = torch.nn.functional.cross_entropy(
        scores, torch.tensor(label).long(), torch.tensor(weights), ignore_index=255
    )
    expected.backward()
    np.testing.assert_allclose(float(value), expected.item(), rtol=1e-4)
    assert_gradients_equal(ours, gradients, theirs, bare)
    running = theirs.state_dict()["last_layer.1.running_mean"].numpy()
    np.testing.assert_allclose(ours.last_layer[1].moving_mean.asnumpy(), running, rtol=1e-3, atol=1e-5)


def random_case(seed: int = 0, ignored: float = 0.2):
    rng = np.random.RandomState(seed)
    logits = (3 * rng.randn(2, 7, 12, 15)).astype(np.float32)
    labels = rng.randint(0, 7, (2, 12, 15)).astype(np.int32)
    labels[rng.rand(2, 12, 15) < ignored] = 255
    return logits, labels


def value_and_gradient(loss, logits, labels):
    value, gradient = ops.value_and_grad(loss, 0)(Tensor(logits), Tensor(labels))
    return float(value), gradient.asnumpy()


@pytest.mark.parametrize("weights", [(), (0.5, 1, 2, 0, 1.5, 1, 0.3)])
def test_pixel_cross_entropy_and_its_gradient_equal_torch(graph_mode, weights):
    logits, labels = random_case()
    value, gradient = value_and_gradient(PixelCrossEntropy(255, weights), logits, labels)
    leaf = torch.tensor(logits, requires_grad=True)
    weight = torch.tensor(weights) if weights else None
    expected = torch.nn.functional.cross_entropy(leaf, torch.tensor(labels).long(), weight, ignore_index=255)
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), atol=1e-7)


@pytest.mark.parametrize("threshold,min_kept", [(0.7, 20), (0.2, 150), (0.7, 100000), (1e-6, 1)])
@pytest.mark.parametrize("weights", [(), (0.5, 1, 2, 0, 1.5, 1, 0.3)])
def test_ohem_loss_and_its_gradient_equal_the_originals(graph_mode, threshold, min_kept, weights):
    logits, labels = random_case(1)
    value, gradient = value_and_gradient(OhemCrossEntropy(255, weights, threshold, min_kept), logits, labels)
    leaf = torch.tensor(logits, requires_grad=True)
    weight = torch.tensor(weights) if weights else None
    expected = ohem_cross_entropy(leaf, torch.tensor(labels).long(), threshold, min_kept, 255, weight)
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), atol=1e-7)


@pytest.mark.parametrize("loss", [PixelCrossEntropy(), OhemCrossEntropy()], ids=["plain", "ohem"])
def test_a_batch_in_which_every_pixel_is_ignored_gives_zero_and_no_gradient(graph_mode, loss):
    logits, _ = random_case()
    value, gradient = value_and_gradient(loss, logits, np.full((2, 12, 15), 255, np.int32))
    assert value == 0 and not gradient.any()


def test_w48_has_the_authors_number_of_parameters(graph_mode):
    with no_init_parameters():
        model = build_model(load_config(str(CONFIGS / "hrnet_w48_seg_cityscapes.yaml"), ["--device_target", "CPU"]))
    assert sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params()) == 65859379
