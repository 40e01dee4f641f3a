"""The whole detector against MMDetection 3.3 with the same weights: see tests/reference/README.md."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.config import load_config
from src.models.build import build_model
from tests.reference.recipe import IMAGE_SHAPES, make_images, make_parameter

CONFIG = Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml"
BASE = [
    "--img_width", "160", "--img_height", "128", "--divider", "32", "--num_gts", "7",
    "--num_classes", "4", "--coco_classes", "[background, a, b, c]",
    "--backbone.norm_eval", "1",
    "--train_cfg.rpn_proposal.nms_pre", "2000", "--train_cfg.rpn_proposal.max_per_img", "1000",
    "--test_cfg.rpn.nms_pre", "1000", "--test_cfg.rpn.max_per_img", "1000", "--test_cfg.rcnn.max_per_img", "100",
    "--train_cfg.rpn.sampler.num", "64", "--train_cfg.rpn.sampler.order", "in_order",
    "--train_cfg.rcnn.sampler.num", "64", "--train_cfg.rcnn.sampler.order", "in_order",
]  # fmt: skip
CASES = {
    "train": [],
    "every": ["--train_cfg.rpn.sampler.num", "8192", "--train_cfg.rcnn.sampler.num", "1024"],
    "batchnorm": ["--backbone.norm_eval", "0"],
}
SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def mmdet_name(name: str) -> str:
    """MMDetection's name of one of our parameters."""
    stem, _, kind = name.rpartition(".")
    prefix = "roi_head." if name.startswith(("bbox_head.", "mask_head.")) else ""
    return f"{prefix}{stem}.{SUFFIXES.get(kind, kind)}"


def build(case: str):
    model = build_model(load_config(str(CONFIG), BASE + CASES[case]))
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(make_parameter(mmdet_name(parameter.name), tuple(parameter.shape))))
    return model


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(Path(__file__).parents[2] / "data_files" / "mmdet_mask_rcnn_hrnet.npz"))


@pytest.fixture(scope="module")
def train_inputs(reference):
    count = reference["gt_count"]
    valid = np.arange(7)[None] < count[:, None]
    labels = np.where(valid, reference["gt_labels"] + 1, 0).astype(np.int32)
    boxes = np.where(valid[..., None], reference["gt_boxes"], 0).astype(np.float32)
    arrays = (
        make_images(), np.int32(IMAGE_SHAPES), boxes, labels, valid, reference["gt_masks"].astype(np.uint8),
        np.int32([0, 0]),
    )  # fmt: skip
    return tuple(Tensor(array) for array in arrays)


class LossesAndGradients(nn.Cell):
    def __init__(self, model):
        super().__init__(auto_prefix=False)
        self.model = model
        self.weights = model.trainable_params()
        self.gradient = ops.value_and_grad(self.forward, None, self.weights, has_aux=True)

    def forward(self, *inputs):
        losses = self.model(*inputs)
        return losses[0] + losses[1] + losses[2] + losses[3] + losses[4], losses

    def construct(self, *inputs):
        (_, losses), gradients = self.gradient(*inputs)
        return losses, gradients


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_equal_mmdetection(graph_mode, reference, train_inputs, case):
    model = build(case)
    model.set_train(True)
    losses, gradients = LossesAndGradients(model)(*train_inputs)
    batch_statistics = case == "batchnorm"
    np.testing.assert_allclose([float(x) for x in losses], reference[f"{case}_losses"], rtol=1e-4)
    ours = {mmdet_name(p.name): g.asnumpy() for p, g in zip(model.trainable_params(), gradients)}
    names = [str(name) for name in reference["parameter_names"]]
    assert set(names) == set(ours)
    tolerance = 5e-3 if batch_statistics else 5e-4
    for name, norm in zip(names, reference[f"{case}_grad_norms"]):
        np.testing.assert_allclose(np.linalg.norm(ours[name]), norm, rtol=tolerance, atol=1e-5, err_msg=name)
    for key, gradient in reference.items():
        if key.startswith(f"{case}_grad/"):
            name = key.split("/", 1)[1]
            distance = np.linalg.norm(ours[name] - gradient) / max(np.linalg.norm(gradient), 1e-9)
            assert distance < (2e-2 if batch_statistics else 5e-4), (name, distance)
    if batch_statistics:
        statistics = {mmdet_name(p.name): p.asnumpy() for p in model.get_parameters()}
        for key, value in reference.items():
            if key.startswith("batchnorm_after/"):
                np.testing.assert_allclose(statistics[key.split("/", 1)[1]], value, rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.fixture(scope="module")
def outputs():
    """Every stage of inference on the reference's images."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    model = build("train")
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
    model = build("train")
    model.set_train(True)
    image, image_shape, boxes, labels, valid, gt_masks, seed = train_inputs
    empty = [Tensor(np.zeros_like(x.asnumpy())) for x in (boxes, labels, valid, gt_masks)]
    losses, gradients = LossesAndGradients(model)(image, image_shape, *empty, seed)
    assert all(np.isfinite(float(x)) for x in losses) and float(losses[4]) == 0 and float(losses[0]) > 0
    assert all(np.isfinite(g.asnumpy()).all() for g in gradients)


def test_pynative_mode_gives_the_same_losses(pynative_mode, reference, train_inputs):
    model = build("train")
    model.set_train(True)
    losses = [float(loss) for loss in model(*train_inputs)]
    np.testing.assert_allclose(losses, reference["train_losses"], rtol=1e-4)
