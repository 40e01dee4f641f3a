"""PointRend's mask head against PyTorch code written from Detectron2's definition, with the same weights."""

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from src.models.detection.point_head import CoarseLayers, CoarseMaskHead, PointHead
from src.models.detection.pointrend import PointRendMaskHead, PointSettings
from src.ops.mask_crop import MaskCrop
from tests.models.torch_originals import give_random_weights
from tests.models.torch_pointrend import TorchPointRend

CLASSES, STRIDE, BATCH, ROWS = 3, 4, 2, 3
SETTINGS = PointSettings(num_points=20, subdivision_steps=3, subdivision_num_points=200)


@pytest.fixture(params=[8, 12], ids=["same width", "reduced width"])
def heads(request, graph_mode):
    channels = request.param
    ours = PointRendMaskHead(
        CoarseMaskHead(channels, 14, CLASSES, 7, CoarseLayers(8, 2, 16)),
        PointHead(channels, 3, 10, CLASSES),
        MaskCrop(7),
        STRIDE,
        SETTINGS,
    )
    theirs = TorchPointRend(channels, 8, 16, 10, CLASSES, STRIDE)
    give_random_weights(ours, theirs)
    return ours, theirs


@pytest.fixture()
def scene(heads):
    """A feature map of two images, three boxes in each (one hangs over the border), masks of two objects each."""
    rng = np.random.RandomState(3)
    channels = heads[0].point_head.fcs[0].in_channels - CLASSES
    boxes = [
        [[4.3, 6.1, 40.9, 38.2], [20, 1, 63.5, 30], [50, 20, 70, 45]],
        [[1, 1, 60, 44], [10, 9, 22, 40], [3, 3, 9, 8]],
    ]
    masks = np.zeros((BATCH, 2, 48, 64), np.uint8)
    masks[0, 0, 8:37, 6:38], masks[0, 1, 2:30, 25:62] = 1, 1
    y, x = np.mgrid[:48, :64]
    masks[1, 0] = (x - 30) ** 2 + (y - 20) ** 2 < 300
    masks[1, 1, 10:40, 11:20] = 1
    return {
        "feature": rng.randn(BATCH, channels, 12, 16).astype(np.float32),
        "boxes": np.float32(boxes),
        "labels": np.int32([[0, 2, 1], [1, 1, 2]]),
        "gt_index": np.int32([[0, 1, 1], [0, 1, 0]]),
        "masks": masks,
    }


def torch_arguments(scene):
    """feature, boxes (N, 4), image (N,), labels (N,)."""
    image = np.repeat(np.arange(BATCH), ROWS)
    labels = torch.tensor(scene["labels"].reshape(-1)).long()
    return torch.tensor(scene["feature"]), torch.tensor(scene["boxes"].reshape(-1, 4)), image, labels


class TotalLoss(nn.Cell):
    def __init__(self, head, seed):
        super().__init__(auto_prefix=False)
        self.head, self.seed = head, seed

    def construct(self, feature, boxes, labels, positive, gt_index, masks):
        coarse, point = self.head.losses((feature,), boxes, labels, positive, gt_index, masks, self.seed)
        return coarse + 2.0 * point, coarse, point


def test_losses_and_gradients_equal_torch_at_the_same_points(heads, scene):
    ours, theirs = heads
    seed = Tensor(np.int32([5, 6]))
    positive = np.array([[True, True, False], [True, True, True]])
    packed = np.packbits(scene["masks"], axis=-1)
    inputs = [Tensor(x) for x in (scene["boxes"], scene["labels"], positive, scene["gt_index"], packed)]
    loss = TotalLoss(ours, seed)
    gradient = ops.value_and_grad(loss, 0, ours.trainable_params(), has_aux=True)
    (_, *values), (feature_gradient, gradients) = gradient(Tensor(scene["feature"]), *inputs)

    random = torch.tensor(ours._random_points(seed, ROWS).asnumpy())
    feature, boxes, image, labels = torch_arguments(scene)
    keep = positive.reshape(-1)
    gt_index = scene["gt_index"].reshape(-1)[keep]
    masks = torch.tensor(np.stack([scene["masks"][i, g] for i, g in zip(image[keep], gt_index)])).float()
    feature.requires_grad_(True)
    candidates, extra = random[keep, :60], random[keep, 60:]
    assert extra.shape[1] == 5
    coarse, point = theirs.losses(feature, boxes[keep], image[keep], labels[keep], masks, candidates, extra, 15)
    (coarse + 2 * point).backward()
    np.testing.assert_allclose([float(v) for v in values], [coarse.item(), point.item()], rtol=1e-4)
    np.testing.assert_allclose(feature_gradient.asnumpy(), feature.grad.numpy(), atol=2e-5)
    expected = dict(theirs.named_parameters())
    for parameter, value in zip(ours.trainable_params(), gradients):
        reference = expected[parameter.name].grad.numpy()
        np.testing.assert_allclose(value.asnumpy().ravel(), reference.ravel(), atol=5e-5, err_msg=parameter.name)


def test_subdivision_gives_torchs_masks(heads, scene):
    ours, theirs = heads
    assert (ours.first_size, ours.steps) == (14, 2)
    ours.set_train(False)
    valid = Tensor(np.ones((BATCH, ROWS), bool))
    masks = ours((Tensor(scene["feature"]),), Tensor(scene["boxes"]), Tensor(scene["labels"]), valid).asnumpy()
    assert masks.shape == (BATCH, ROWS, 56, 56)
    with torch.no_grad():
        expected = theirs.masks(*torch_arguments(scene), 14, 2, 200).numpy().reshape(masks.shape)
    different = np.abs(masks - expected) > 1e-3  # float rounding may swap the last of the 200 points
    assert different.mean() < 2e-3


def test_the_published_settings_subdivide_from_28_to_224():
    assert PointSettings().subdivision(7) == (28, 3)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_all_or_no_points_by_uncertainty(heads, scene, ratio):
    settings = PointSettings(num_points=20, importance_sample_ratio=ratio)
    ours = heads[0]
    head = PointRendMaskHead(ours.coarse_head, ours.point_head, MaskCrop(7), STRIDE, settings)
    labels = Tensor(scene["labels"].reshape(-1))
    coarse = head.coarse_logits(Tensor(scene["feature"]), Tensor(scene["boxes"].reshape(-1, 4)))
    points = head.train_points(coarse, labels, head._random_points(Tensor(np.int32([1, 2])), ROWS)).asnumpy()
    assert points.shape == (BATCH * ROWS, 20, 2) and points.min() >= 0 and points.max() < 1
    assert len(np.unique(points.reshape(-1, 2), axis=0)) == BATCH * ROWS * 20
