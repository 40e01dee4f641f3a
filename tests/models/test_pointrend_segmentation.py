"""PointRend for semantic segmentation against PyTorch code of Detectron2's definition, with the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.config import load_config
from src.models.point_head import PointHead
from src.models.pointrend_segmentation import SemanticPointHead, SemanticPoints, labels_at, uncertainty
from src.tasks import build_model
from tests.models.torch_originals import give_random_weights
from tests.models.torch_pointrend import TorchSemanticPointRend, class_uncertainty, point_sample

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_pointrend_cityscapes_shapes.yaml")
CLASSES, CHANNELS, BATCH = 4, 6, 2
SETTINGS = SemanticPoints(num_points=40, subdivision_num_points=60)


class Losses(nn.Cell):
    def __init__(self, head):
        super().__init__(auto_prefix=False)
        self.head = head

    def construct(self, coarse, features, label, seed):
        return self.head.point_loss(coarse, features, label, seed)


def both(each_layer: bool = True, settings: SemanticPoints = SETTINGS):
    """Ours and PyTorch's with the same random weights."""
    ours = SemanticPointHead(PointHead(CHANNELS, 3, 10, CLASSES, each_layer), settings)
    theirs = TorchSemanticPointRend(CHANNELS, CLASSES, 10, each_layer=each_layer)
    give_random_weights(ours, theirs)
    return ours, theirs


@pytest.fixture(scope="module")
def scene():
    """Coarse logits, features of another size, labels with ignored ones, seeds."""
    rng = np.random.RandomState(0)
    label = rng.randint(0, CLASSES, (BATCH, 37, 50)).astype(np.int32)
    label[rng.rand(*label.shape) < 0.2] = 255
    coarse, features = rng.randn(BATCH, CLASSES, 6, 9), rng.randn(BATCH, CHANNELS, 12, 17)
    return coarse.astype(np.float32), features.astype(np.float32), label, np.int32([5, 2**31 - 2])


@pytest.mark.parametrize("each_layer", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_points_loss_and_its_gradients_equal_torch_at_the_same_points(graph_mode, scene, each_layer):
    ours, theirs = both(each_layer)
    gradient = ops.value_and_grad(Losses(ours), (0, 1), ours.trainable_params())
    value, (maps, gradients) = gradient(*map(Tensor, scene))

    random = torch.tensor(ours.random_points(Tensor(scene[3])).asnumpy())
    assert random.shape == (BATCH, 130, 2) and not torch.equal(random[0], random[1])
    coarse, features = (torch.tensor(one, requires_grad=True) for one in scene[:2])
    points = theirs.train_points(coarse.detach(), random[:, :120], random[:, 120:], 30)
    expected = theirs.loss(coarse, features, torch.tensor(scene[2]), points)
    expected.backward()
    np.testing.assert_allclose(float(value), expected.item(), rtol=1e-4)
    own = {parameter.name: value for parameter, value in zip(ours.trainable_params(), gradients)}
    pairs = [*zip(maps, (coarse, features)), *((own[name], weight) for name, weight in theirs.named_parameters())]
    assert len(pairs) == 2 + len(own)
    for found, leaf in pairs:
        reference = leaf.grad.numpy().ravel()
        np.testing.assert_allclose(found.asnumpy().ravel(), reference, atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize("count", [60, 10**5], ids=["some", "all"])
def test_subdivision_gives_torchs_logits_with_coarse_features_of_the_first_ones(graph_mode, scene, count):
    ours, theirs = both(settings=SemanticPoints(subdivision_num_points=count))
    found = ours(*map(Tensor, scene[:2])).asnumpy()
    with torch.no_grad():
        expected = theirs.refined(*map(torch.tensor, scene[:2]), 2, count).numpy()
    assert found.shape == expected.shape == (BATCH, CLASSES, 24, 36)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_place_is_as_uncertain_as_its_two_best_classes_are_near_to_one_another(graph_mode):
    logits = np.random.RandomState(1).randn(2, 5, 3, 4).astype(np.float32)
    logits[0, :, 0, 0], logits[1, :2, 2, 3] = 0, 9  # ties
    found = uncertainty(Tensor(logits)).asnumpy()
    np.testing.assert_array_equal(found, class_uncertainty(torch.tensor(logits))[:, 0].numpy())
    assert found[0, 0, 0] == found[1, 2, 3] == 0 and (found <= 0).all()


def test_labels_at_points_are_grid_samples_nearest_ones(graph_mode):
    label = np.random.RandomState(2).randint(0, 99, (2, 5, 8)).astype(np.int32)
    points = np.random.RandomState(3).rand(2, 60, 2).astype(np.float32)
    points[0, :16] = [[k / 8, 0.3] for k in range(8)] + [[0.3, k / 8] for k in range(8)]  # borders of cells
    found = labels_at(Tensor(label), Tensor(points)).asnumpy()
    grid = 2 * torch.tensor(points)[:, :, None] - 1
    expected = torch.nn.functional.grid_sample(
        torch.tensor(label)[:, None].float(), grid, mode="nearest", align_corners=False
    )
    np.testing.assert_array_equal(found, expected[:, 0, :, 0].numpy())
    assert labels_at(Tensor(label), Tensor(np.ones((2, 1, 2), np.float32))).asnumpy()[0, 0] == label[0, 4, 7]


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_all_or_no_points_by_uncertainty(pynative_mode, scene, ratio):
    head = both(settings=SemanticPoints(num_points=20, importance_sample_ratio=ratio))[0]
    coarse, random = Tensor(scene[0]), head.random_points(Tensor(scene[3]))
    points = head.train_points(coarse, random).asnumpy()
    assert points.shape == (BATCH, 20, 2)
    certainty = [
        class_uncertainty(point_sample(torch.tensor(scene[0]), torch.tensor(some)))[:, 0].numpy()
        for some in (points, random.asnumpy()[:, :60])
    ]
    least = -np.sort(-certainty[1], axis=1)[:, :20]
    assert np.allclose(np.sort(certainty[0]), np.sort(least), atol=1e-6) == (ratio == 1)


def test_no_label_that_counts_gives_no_loss(graph_mode, scene):
    coarse, features, label, seed = scene
    value = both()[0].point_loss(*map(Tensor, (coarse, features, np.full_like(label, 255), seed)))
    assert float(value) == 0


NARROW = ["--backbone.type=resnet", "--backbone.depth=18", "--backbone.base_channels=4", "--img_width=64"]


@pytest.fixture()
def segmenter():
    """The network, two images, their labels."""
    model = build_model(load_config(DEMO, [*NARROW, "--img_height=32", "--seg_head.pointrend.loss_weight=0.5"]))
    rng = np.random.RandomState(0)
    image, label = rng.randn(2, 3, 32, 64).astype(np.float32), rng.randint(0, 19, (2, 32, 64)).astype(np.int32)
    return model, Tensor(image), Tensor(label)


def test_the_segmenter_learns_by_both_losses(graph_mode, segmenter):
    model, image, label = segmenter
    model.set_train(True)

    def total(*inputs):
        losses = model(*inputs)
        return losses[0] + losses[1], losses

    gradient = ops.value_and_grad(total, None, model.trainable_params(), has_aux=True)
    (_, losses), gradients = gradient(image, label, Tensor(np.int32([1, 2])))
    assert len(losses) == len(model.loss_names) == 2
    np.testing.assert_allclose([float(loss) for loss in losses], [np.log(19), np.log(19) / 2], rtol=0.1)
    assert all(np.abs(value.asnumpy()).max() > 0 for value in gradients)


def test_the_segmenter_refines_its_own_coarse_logits(pynative_mode, segmenter):
    model, image, _ = segmenter
    model.set_train(False)
    logits = model(image).asnumpy()
    np.testing.assert_allclose(logits, model.refine_head(*model.coarse(image)).asnumpy(), atol=1e-5)
    assert logits.shape == (2, 19, 32, 64)
