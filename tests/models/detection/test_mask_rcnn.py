"""The whole detector against MMDetection 3.3 with the same weights: see tests/reference/README.md."""

import functools

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.models.fused import fuse_for_training
from src.ops.conv_gradient import use_fast_gradients, why_not_fast
from tests.models.detection.mmdet_case import (
    DATA_FILES,
    LossesAndGradients,
    assert_same_statistics,
    assert_same_training,
    build,
    load_train_inputs,
)
from tests.reference.recipe import IMAGE_SHAPES, make_images

FAST = ("every", "batchnorm")  # the cases with gradients by oneDNN, heads over used rows, and the fused operators
CASES = {
    "train": [],
    "every": ["--train_cfg.rpn.sampler.num", "8192", "--train_cfg.rcnn.sampler.num", "1024"],
    "batchnorm": ["--backbone.norm_eval", "0"],
}


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(DATA_FILES / "mmdet_mask_rcnn_hrnet.npz"))


@pytest.fixture(scope="module")
def train_inputs():
    return load_train_inputs()


@functools.cache
def compiled(case: str) -> LossesAndGradients:
    """The network of a case; its graph is compiled at the first call."""
    model = build(CASES[case])
    model.set_train(True)
    if case in FAST and not why_not_fast():
        assert use_fast_gradients(model) > 30
        assert (fuse_for_training(model) > 30) == (case == "batchnorm")
    return LossesAndGradients(model)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "train" else pytest.mark.slow) for case in CASES]
)
def test_losses_and_gradients_equal_mmdetection(graph_mode, reference, train_inputs, case):
    model = compiled(case).model
    losses, gradients = compiled(case)(*train_inputs)
    norms, whole = (5e-3, 2e-2) if case == "batchnorm" else (5e-4, 5e-4)
    assert_same_training(model, losses, gradients, reference, case, norms, whole)
    if case == "batchnorm":
        assert_same_statistics(model, reference, "batchnorm_after/")


@pytest.fixture(scope="module")
def outputs():
    """Every stage of inference on the reference's images."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    model = build([])
    model.set_train(False)

    class Stages(nn.Cell):
        def __init__(self):
            super().__init__(auto_prefix=False)
            self.model = model

        def construct(self, image, image_shape):
            features = self.model.backbone(image)
            pyramid = self.model.neck(features)
            logits, deltas = self.model.rpn_head(pyramid)
            shape = image_shape.astype(ms.float32)
            proposals = self.model.test_proposals(self.model.rpn_head.anchors, logits, deltas, shape)
            return features, pyramid, logits, deltas, proposals, self.model.detections(image, image_shape)

    stages = Stages()
    stages.set_train(False)
    return stages(Tensor(make_images()), Tensor(np.int32(IMAGE_SHAPES)))


def test_backbone_neck_and_rpn_outputs_equal_mmdetection(reference, outputs):
    features, pyramid, logits, deltas = outputs[:4]
    for k, feature in enumerate(features):
        np.testing.assert_allclose(feature.asnumpy(), reference[f"backbone_{k}"], rtol=1e-4, atol=1e-4)
    for k, feature in enumerate(pyramid):
        np.testing.assert_allclose(feature.asnumpy(), reference[f"neck_{k}"], rtol=1e-4, atol=1e-4)
    flat = [reference[f"rpn_cls_{k}"].transpose(0, 2, 3, 1).reshape(2, -1) for k in range(5)]
    np.testing.assert_allclose(logits.asnumpy(), np.concatenate(flat, 1), rtol=1e-4, atol=1e-4)
    flat = [reference[f"rpn_reg_{k}"].transpose(0, 2, 3, 1).reshape(2, -1, 4) for k in range(5)]
    np.testing.assert_allclose(deltas.asnumpy(), np.concatenate(flat, 1), rtol=1e-4, atol=1e-4)


def test_proposals_equal_mmdetection(reference, outputs):
    boxes, scores, valid = (x.asnumpy() for x in outputs[4])
    for image, count in enumerate(reference["proposal_count"]):
        assert valid[image].sum() == count
        order = np.lexsort(np.round(boxes[image, :count], 2).T)
        expected = reference["proposal_boxes"][image, :count]
        expected_order = np.lexsort(np.round(expected, 2).T)
        np.testing.assert_allclose(boxes[image, :count][order], expected[expected_order], atol=2e-3)
        np.testing.assert_allclose(scores[image, :count], reference["proposal_scores"][image, :count], atol=1e-5)


def test_detections_and_their_masks_equal_mmdetection(reference, outputs):
    boxes, scores, labels, valid, masks = (x.asnumpy() for x in outputs[5])
    for image, count in enumerate(reference["detection_count"]):
        assert valid[image].sum() == count
        expected = reference["detection_boxes"][image, :count]
        distance = np.abs(boxes[image, :count, None] - expected[None]).max(-1)
        distance = distance + 1e3 * (labels[image, :count, None] != reference["detection_labels"][image, :count][None])
        match = distance.argmin(1)
        assert len(set(match)) == count and distance.min(1).max() < 5e-3
        np.testing.assert_allclose(scores[image, :count], reference["detection_scores"][image, match], atol=1e-4)
        expected_masks = reference["detection_masks_u16"][image, match] / 65535
        np.testing.assert_allclose(masks[image, :count], expected_masks, atol=1e-3)


def test_images_without_objects_give_finite_losses_and_gradients(graph_mode, train_inputs):
    image, image_shape, boxes, labels, valid, gt_masks, seed = train_inputs
    empty = [Tensor(np.zeros_like(x.asnumpy())) for x in (boxes, labels, valid, gt_masks)]
    losses, gradients = compiled("train")(image, image_shape, *empty, seed)
    assert all(np.isfinite(float(x)) for x in losses) and float(losses[4]) == 0 and float(losses[0]) > 0
    assert all(np.isfinite(g.asnumpy()).all() for g in gradients)


def test_pynative_mode_gives_the_same_losses(pynative_mode, reference, train_inputs):
    model = build([])
    model.set_train(True)
    losses = [float(loss) for loss in model(*train_inputs)]
    np.testing.assert_allclose(losses, reference["train_losses"], rtol=1e-4)
