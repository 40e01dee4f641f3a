"""Box losses by name against PyTorch code of their definitions: values and gradients, alone and in both heads."""

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, ops

from src.config import load_config
from src.models.detection.box_losses import OF_BOXES
from src.tasks import build_model
from tests.models.detection import torch_box_losses as plain
from tests.models.test_any_backbone import TINY, overrides

TARGET = [10, 20, 50, 40]
ODD = {  # boxes against TARGET
    "far away": [80, 90, 95, 99],
    "contained": [20, 25, 40, 35],
    "around it": [0, 0, 90, 80],
    "touching a side": [50, 20, 70, 40],
    "touching a part of a side": [50, 30, 70, 60],
    "touching a corner": [50, 40, 70, 60],
    "sharing a corner": [10, 20, 30, 30],
    "a point inside": [30, 30, 30, 30],
    "a point outside": [70, 70, 70, 70],
    "a line": [10, 30, 50, 30],
    "as wide as high": [15, 15, 45, 45],
}
STDS = {"rpn_head": (1.0, 1.0, 1.0, 1.0), "bbox_head": (0.1, 0.1, 0.2, 0.2)}


def value_and_gradient(function, boxes, targets, kind):
    """Of the rows' losses, in MindSpore's float32 or PyTorch's float64; the gradient is that of their sum."""
    if kind == "torch":
        boxes = torch.tensor(boxes, dtype=torch.float64, requires_grad=True)
        value = function(boxes, torch.tensor(targets, dtype=torch.float64))
        value.sum().backward()
        return value.detach().numpy(), boxes.grad.numpy()

    def total(boxes, targets):
        value = function(boxes, targets)
        return value.sum(), value

    (_, value), gradient = ms.jit(ms.value_and_grad(total, 0, has_aux=True))(Tensor(boxes), Tensor(targets))
    return value.asnumpy(), gradient.asnumpy()


@pytest.mark.parametrize("name", OF_BOXES)
def test_values_and_gradients_equal_the_definitions(graph_mode, name):
    rng = np.random.RandomState(0)
    corner, side = rng.uniform(0, 60, (2, 300, 2)), rng.uniform(1, 60, (2, 300, 2))
    boxes, targets = np.concatenate([corner, corner + side], 2).astype(np.float32)
    boxes = np.concatenate([boxes, np.float32(list(ODD.values()))])
    targets = np.concatenate([targets, np.float32([TARGET] * len(ODD))])
    value, gradient = value_and_gradient(OF_BOXES[name], boxes, targets, "mindspore")
    expected, expected_gradient = value_and_gradient(getattr(plain, name), boxes, targets, "torch")
    assert expected.min() < 0.35 and expected.max() > 1.3
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    scale = np.maximum(np.abs(expected_gradient).max(axis=1, keepdims=True), 1e-3)  # a row's largest
    np.testing.assert_allclose(gradient / scale, expected_gradient / scale, atol=1e-3)


@pytest.mark.parametrize("name", OF_BOXES)
def test_a_box_that_is_its_target_has_no_loss_and_no_gradient(graph_mode, name):
    boxes = np.float32([TARGET, [0, 0, 100, 100], [5, 5, 5, 5]])
    value, gradient = value_and_gradient(OF_BOXES[name], boxes, boxes, "mindspore")
    expected, expected_gradient = value_and_gradient(getattr(plain, name), boxes, boxes, "torch")
    np.testing.assert_allclose(value[:2], 0, atol=1e-6)
    np.testing.assert_allclose(value, expected, atol=1e-6)
    # PyTorch gives each of two equal sides half of the gradient, so that it cancels.
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-8)


KINDS = {"smooth_l1": 0.5, "l1": 0.0, "giou": 0.0, "ciou": 0.0}  # and what beta it is to have


@pytest.fixture(params=KINDS)
def built(request, graph_mode):
    """(name, detector whose both heads have the loss with factor 3; its beta is 0.5, which smooth_l1 alone reads)."""
    keys = [f"--{head}.loss_bbox.{key}={value}" for head in ("rpn", "bbox_head")
            for key, value in (("type", request.param), ("beta", 0.5), ("loss_weight", 3))]  # fmt: skip
    return request.param, build_model(load_config(TINY, [*overrides("resnet", "mask_rcnn"), *keys]))


def boxes_near(rng, boxes, spread):
    """Boxes of positive sides, each side moved by up to `spread` of it."""
    side = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return (boxes + rng.uniform(-spread, spread, boxes.shape) * side).astype(np.float32)


def test_the_box_heads_loss_is_the_named_one_of_the_own_class_over_all_sampled_rois(built):
    kind, model = built
    rng, count = np.random.RandomState(1), 12
    corner = rng.uniform(0, 80, (count, 2))
    rois = np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    objects, labels = boxes_near(rng, rois, 0.3), np.int32(rng.randint(1, 5, count))
    positive, sampled = np.arange(count) < 5, np.arange(count) < 9
    objects[5:] = np.nan  # of what is no object, nothing may be read
    deltas = rng.randn(count, 4, 4).astype(np.float32)
    deltas[0, labels[0] - 1] = [40, 1, 60, 1]  # far beyond the limit of growth, which cuts the gradient
    head = model.bbox_head
    inputs = [Tensor(x) for x in (np.zeros((count, 5), np.float32), rois, objects, labels, positive, sampled)]

    def loss(deltas, logits, *rest):
        return head.losses(logits, deltas, *rest)[1]

    value, gradient = ms.jit(ms.value_and_grad(loss))(Tensor(deltas.reshape(count, 16)), *inputs)
    own = torch.tensor(deltas, dtype=torch.float64, requires_grad=True)
    rows = own[torch.arange(5), torch.tensor(labels[:5] - 1).long()]
    sides = (torch.tensor(x[:5], dtype=torch.float64) for x in (rois, objects))
    expected = 3 * plain.box_loss(kind, KINDS[kind], rows, *sides, STDS["bbox_head"]) / 9
    expected.backward()
    assert float(value.asnumpy()) == pytest.approx(float(expected), rel=1e-4)
    if kind in OF_BOXES:
        assert not own.grad[0, labels[0] - 1, 2].any() and own.grad[0].any()
    np.testing.assert_allclose(gradient.asnumpy().reshape(count, 4, 4), own.grad, rtol=1e-3, atol=1e-5)


def test_the_rpns_loss_is_the_named_one_of_positive_anchors_over_all_sampled_ones(built):
    kind, model = built
    head, rng = model.rpn_head, np.random.RandomState(2)
    anchors = head.anchors.asnumpy()
    gt = Tensor(np.float32([[[10, 20, 60, 90], [0, 0, 0, 0]], [[30, 8, 100, 70], [64, 64, 120, 126]]]))
    valid, crowd = Tensor(np.array([[True, False], [True, True]])), Tensor(np.zeros((2, 2), bool))
    shape, seed = Tensor(np.float32([[128, 128], [120, 128]])), Tensor(np.int32([3, 4]))
    logits, deltas = Tensor(np.zeros((2, len(anchors)), np.float32)), rng.randn(2, len(anchors), 4).astype(np.float32)

    def loss(deltas, logits, *rest):
        return head.losses(logits, deltas, *rest)[1]

    value, gradient = ms.jit(ms.value_and_grad(loss))(Tensor(deltas), logits, shape, gt, valid, crowd, seed)

    everywhere = ops.broadcast_to(head.anchors[None], (2, *anchors.shape))
    assigned, _ = head.assigner(everywhere, head._valid_anchors(shape), gt, valid, crowd)
    index, positive, sampled = (x.asnumpy() for x in head.sampler(assigned, seed))
    image, slot = np.nonzero(positive)
    places = index[image, slot]
    objects = gt.asnumpy()[image, assigned.asnumpy()[image, places] - 1]
    own = torch.tensor(deltas, dtype=torch.float64, requires_grad=True)
    sides = (torch.tensor(x, dtype=torch.float64) for x in (anchors[places], objects))
    expected = 3 * plain.box_loss(kind, KINDS[kind], own[image, places], *sides, STDS["rpn_head"]) / sampled.sum()
    expected.backward()
    assert len(places) >= 5 and float(value.asnumpy()) == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_allclose(gradient.asnumpy(), own.grad, rtol=1e-3, atol=1e-6)
