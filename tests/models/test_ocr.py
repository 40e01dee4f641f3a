"""HRNet + OCR against PyTorch written from the definition, by weights that the converter brought over."""

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops
from mindspore.nn.utils import no_init_parameters

from src.config import load_config
from src.models.layers import MatrixProduct, NormSettings, conv2d
from src.models.losses import PixelCrossEntropy
from src.models.ocr import OCRHead, OCRSegmenter, OCRSettings, drop_channels
from src.tasks import build_model
from tests.convert.case import convert, randomise
from tests.models.test_segmentation import NARROW, STAGE1, STAGES
from tests.models.torch_hrnet_ocr import AuthorsOCR, MMSegOCR, authors_losses, mmseg_losses

CONFIGS = Path(__file__).parents[2] / "configs"
CHANNELS, KEYS = 16, 8
SMALL = [*NARROW, "--seg_head.ocr.mid_channels", str(CHANNELS), "--seg_head.ocr.key_channels", str(KEYS)]
WEIGHTS = np.random.RandomState(3).uniform(0.5, 1.5, 19).round(3).tolist()
OHEM = (0.7, 1000)
ORIGINALS = {  # the network, its configuration, keys
    "authors": (AuthorsOCR, "hrnet_w48_ocr_cityscapes", [f"--class_weights={WEIGHTS}"]),
    "mmsegmentation": (MMSegOCR, "hrnet_w48_ocr_cityscapes_mmseg", []),
}


@pytest.fixture(scope="module", params=ORIGINALS)
def pair(request, tmp_path_factory):
    """The original's name, it with random weights, ours with what the converter made of its file, our names: theirs."""
    network, config, keys = ORIGINALS[request.param]
    theirs = randomise(network(19, STAGE1, STAGES, CHANNELS, KEYS))
    path = tmp_path_factory.mktemp("ocr") / "theirs.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    ours, done = convert(CONFIGS / f"{config}.yaml", path, *SMALL, "--seg_head.ocr.dropout=0", *keys)
    assert not done.unset and not done.zeros
    return request.param, theirs, ours, done.used


@pytest.mark.parametrize("size", [(64, 96), (59, 93)])  # odd sizes: maps of sides that do not double
def test_converted_weights_give_the_originals_logits(pynative_mode, pair, size):
    _, theirs, ours, _ = pair
    image = np.random.RandomState(1).randn(2, 3, *size).astype(np.float32)
    with torch.no_grad():
        expected = [x.numpy() for x in theirs.eval()(torch.tensor(image))]
    ours.set_train(False)
    found = [x.asnumpy() for x in ours.logits(Tensor(image))]
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-4 * np.abs(other).max())
    np.testing.assert_array_equal(ours(Tensor(image)).asnumpy(), found[1])


def batch():
    image = np.random.RandomState(1).randn(2, 3, 51, 64).astype(np.float32)
    label = np.random.RandomState(2).randint(0, 20, (2, 51, 64)).astype(np.int32)
    label[label == 19] = 255
    return Tensor(image), Tensor(label), Tensor(np.int32([1, 2]))


def originals_losses(name, logits, label, ohem=()):
    if name == "mmsegmentation":
        return mmseg_losses(logits, label)
    return authors_losses(logits, label, torch.tensor(WEIGHTS, dtype=logits[0].dtype), ohem)


def test_both_losses_and_all_gradients_are_the_originals(pynative_mode, pair):
    name, theirs, ours, names = pair
    ours.set_train(True)
    image, label, seed = batch()

    def total(image, label):
        losses = ours(image, label, seed)
        return losses[0] + losses[1], losses

    parameters = ours.trainable_params()
    (_, found), gradients = ops.value_and_grad(total, None, parameters, has_aux=True)(image, label)
    theirs = theirs.double().train()
    auxiliary, main = originals_losses(
        name, theirs(torch.tensor(image.asnumpy()).double()), torch.tensor(label.asnumpy()).long()
    )
    (auxiliary + main).backward()
    np.testing.assert_allclose([float(loss) for loss in found], [main.item(), auxiliary.item()], rtol=1e-4)
    expected = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    largest = max(np.linalg.norm(gradient) for gradient in expected.values())
    compared = 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        wanted = expected[names[parameter.name]]
        if np.linalg.norm(wanted) > 1e-6 * largest:  # a bias before a normalisation gets rounding noise alone
            distance = np.linalg.norm(gradient.asnumpy() - wanted) / np.linalg.norm(wanted)
            assert distance < 1e-3, (parameter.name, distance)
            compared += 1
    assert compared >= len(parameters) - 2
    theirs.float()


@pytest.mark.parametrize("pair", ["authors"], indirect=True)
def test_hard_pixels_are_looked_for_in_the_main_output_alone(pynative_mode, pair):
    name, _, ours, _ = pair
    config, keys = ORIGINALS[name][1:]
    keys = [*SMALL, *keys, "--ohem=1", f"--ohem_threshold={OHEM[0]}", f"--ohem_min_kept={OHEM[1]}"]
    with no_init_parameters():
        model = build_model(load_config(str(CONFIGS / f"{config}.yaml"), ["--device_target", "CPU", *keys]))
    image, label, _ = batch()
    logits = ours.set_train(False).logits(image)
    found = [model.loss(ours.resize(logits[1], label), label), model.aux_loss(ours.resize(logits[0], label), label)]
    auxiliary, main = originals_losses(
        name, [torch.tensor(x.asnumpy()).double() for x in logits], torch.tensor(label.asnumpy()).long(), OHEM
    )
    plain = originals_losses(name, [torch.tensor(x.asnumpy()) for x in logits], torch.tensor(label.asnumpy()).long())
    expected = [main.item(), auxiliary.item() / model.aux_weight]
    np.testing.assert_allclose([float(loss) for loss in found], expected, rtol=1e-4)
    assert abs(main.item() - plain[1].item()) > 1e-2 and auxiliary.item() == pytest.approx(plain[0].item(), rel=1e-4)


def test_start_weights_are_the_authors(pynative_mode):
    model = build_model(load_config(str(CONFIGS / "hrnet_w48_ocr_cityscapes.yaml"), [*SMALL, "--device_target", "CPU"]))
    for _, cell in model.cells_and_names():
        if hasattr(cell, "kernel_size") and hasattr(cell, "weight"):
            weight = cell.weight.asnumpy()
            if cell.weight.name.startswith("backbone."):
                assert abs(weight.std() - 1e-3) < 2e-4 and abs(weight).max() > 2e-3, cell.weight.name
            else:  # PyTorch's own
                bound = np.prod(weight.shape[1:]) ** -0.5
                assert 0.85 * bound < abs(weight).max() <= bound, cell.weight.name
                assert not cell.has_bias or 0 < abs(cell.bias.asnumpy()).max() <= bound, cell.bias.name


def test_dropout_leaves_out_whole_channels_in_its_share_and_as_each_samples_seed_says(pynative_mode):
    x, share = np.random.RandomState(0).rand(64, 512, 2, 3).astype(np.float32) + 1, 0.05
    seeds = np.random.RandomState(1).randint(0, 2**31 - 1, 64).astype(np.int32)
    dropped = drop_channels(Tensor(x), Tensor(seeds), share).asnumpy()
    gone = (dropped == 0).all((2, 3))
    np.testing.assert_allclose(dropped[~gone], x[~gone] / (1 - share), rtol=1e-6)
    assert abs(gone.mean() - share) < 4 * np.sqrt(share * (1 - share) / gone.size)
    assert abs(gone.sum(1) - 512 * share).max() < 5 * np.sqrt(512 * share)  # of each sample
    assert gone.mean(0).max() < 0.3  # of each channel
    order = np.random.RandomState(2).permutation(64)
    again = drop_channels(Tensor(x[order]), Tensor(seeds[order]), share).asnumpy()
    np.testing.assert_array_equal(again, dropped[order])


def test_dropout_acts_in_training_alone_and_by_its_rate(pynative_mode):
    maps, aux = (Tensor(np.random.RandomState(k).randn(2, c, 5, 6).astype(np.float32)) for k, c in enumerate((12, 4)))
    seed = Tensor(np.int32([5, 6]))
    outputs = {}
    for rate in (0.0, 0.5):
        ms.set_seed(0)
        head = OCRHead(12, 4, NormSettings(), OCRSettings(CHANNELS, KEYS, dropout=rate))
        for training in (True, False):
            outputs[rate, training] = head.set_train(training)(maps, aux, seed).asnumpy()
    np.testing.assert_array_equal(outputs[0.5, False], outputs[0.0, False])
    assert np.abs(outputs[0.5, True] - outputs[0.0, True]).max() > 1e-3


class Pyramid(nn.Cell):
    """A backbone of two maps."""

    out_channels = (4, 6)

    def __init__(self):
        super().__init__()
        self.first, self.second = conv2d(3, 4, 3, stride=4), conv2d(4, 6, 3, stride=2)

    def construct(self, x):
        fine = self.first(x)
        return fine, self.second(fine)


def test_a_compiled_training_step_is_a_function_of_its_samples_and_their_seeds(graph_mode):
    """Normalised by fixed statistics, so that a sample's loss does not hang on the others of its batch."""
    settings = OCRSettings(CHANNELS, KEYS, dropout=0.5)
    norm, loss = NormSettings(frozen=True), PixelCrossEntropy()
    model = OCRSegmenter(Pyramid(), 5, loss, loss, norm, settings).set_train()
    rng = np.random.RandomState(0)
    image, label = rng.randn(2, 3, 21, 30).astype(np.float32), rng.randint(0, 5, (2, 21, 30)).astype(np.int32)

    def losses(seeds, order=(0, 1)):
        order = list(order)
        found = model(Tensor(image[order]), Tensor(label[order]), Tensor(np.int32(seeds)))
        return [float(loss) for loss in found]

    first, other = losses([7, 8]), losses([7, 9])
    assert losses([7, 8]) == first and losses([7, 9]) == other
    assert abs(first[0] - other[0]) > 1e-4 and first[1] == other[1]  # the auxiliary head leaves nothing out
    np.testing.assert_allclose(losses([8, 7], (1, 0)), first, rtol=1e-5)


def test_no_matrix_of_pixels_by_pixels_is_made(pynative_mode, monkeypatch):
    shapes, real = [], MatrixProduct.construct

    def watched(self, one, other):
        result = real(self, one, other)
        shapes.extend(tuple(x.shape) for x in (one, other, result))
        return result

    monkeypatch.setattr(MatrixProduct, "construct", watched)
    maps, aux = (Tensor(np.random.RandomState(0).randn(1, c, 20, 30).astype(np.float32)) for c in (12, 4))
    OCRHead(12, 4, NormSettings(), OCRSettings(CHANNELS, KEYS)).set_train(False)(maps, aux)
    assert len(shapes) == 9 and max(map(np.prod, shapes)) == 600 * CHANNELS
    assert all(shape.count(600) <= 1 for shape in shapes)
