"""Detectors with the boxes of the MindSpore originals against a plain pipeline of MindSpore's own operators."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from src.config import load_config
from src.errors import UserError
from src.export.detector_onnx import detector_to_onnx
from src.models.detection.build import build_detector
from tests.models.detection import mindspore_pipeline as plain

CONFIGS = Path(__file__).parents[3] / "configs"
CANVAS = (96, 160)
NARROW = """
backbone: {depth: 18, base_channels: 4, pretrained: ''}
neck: {fpn: {in_channels: [4, 8, 16, 32], out_channels: 8}}
rpn: {in_channels: 8, feat_channels: 8}
bbox_head: {in_channels: 8, fc_out_channels: 16}
mask_head: {in_channels: 8, conv_out_channels: 8, num_convs: 1, fc_out_channels: 16}
point_head: {in_channels: 8, fc_channels: 8}
roi: {out_channels: 8}
mask_roi: {out_channels: 8}
coco_classes: [background, circle, square, triangle]
num_classes: 4
img_width: 160
img_height: 96
device_target: CPU
test_cfg: {rpn: {nms_pre: 150, max_per_img: 120}, rcnn: {max_per_img: 360}}
"""
SHAPE = Tensor(np.float32([[60, 70]]))  # an image that ends before the canvas does: nobody asks


@pytest.fixture()
def narrow(tmp_path, pynative_mode):
    """Gives a narrow network by one of the ready files, with random weights, and the plain pipeline's inputs."""

    def make(name):
        file = tmp_path / "narrow.yaml"
        file.write_text(f"_base_: {CONFIGS / name}\n{NARROW}")
        model = build_detector(load_config(str(file)))
        rng = np.random.RandomState(5)
        for parameter in model.get_parameters():
            kind = parameter.name.rpartition(".")[2]
            if kind in ("gamma", "moving_variance"):
                value = rng.uniform(0.5, 1.5, parameter.shape)
            else:
                width = np.prod(parameter.shape[1:]) if len(parameter.shape) > 1 else 10
                is_output = any(part in parameter.name for part in ("rpn_cls", "rpn_reg", "fc_cls", "fc_reg"))
                value = rng.randn(*parameter.shape) * np.sqrt(1.5 / width) * (0.02 if is_output else 1.0)
            parameter.set_data(Tensor(value.astype(np.float32)))
        model.set_train(False)
        return model, Tensor(rng.randn(1, 3, *CANVAS).astype(np.float32))

    return make


def stages(model, image):
    """Pyramid, the plain pipeline's proposals, the box head's outputs on its RoI features."""
    pyramid = model.neck(model.backbone(image))
    logits, deltas = (x.asnumpy()[0] for x in model.rpn_head(pyramid))
    sizes = [level.shape[2:] for level in pyramid]
    rois, counts = plain.proposals(sizes, logits, deltas, CANVAS, pre=150, most=120)
    ours, _, valid = model.test_proposals(model.rpn_head.anchors, Tensor(logits[None]), Tensor(deltas[None]), SHAPE)
    np.testing.assert_allclose(ours.asnumpy()[0][counts], rois[counts], atol=1e-3)
    np.testing.assert_array_equal(valid.asnumpy()[0], counts)
    features = plain.roi_features(pyramid, rois, 7)
    boxed = model.bbox_head(Tensor(features), Tensor(np.ones(len(rois), bool)))
    return pyramid, rois, counts, *(x.asnumpy() for x in boxed)


def found(model, image):
    """What the network finds: boxes, scores, labels, masks."""
    boxes, scores, labels, valid, masks = (x.asnumpy()[0] for x in model(image, Tensor(np.int32([[60, 70]]))))
    return boxes[valid], scores[valid], labels[valid], masks[valid]


def sides(boxes):
    """The shorter side of each box."""
    return (boxes[:, 2:] - boxes[:, :2]).min(axis=1)


def assert_equal_but_for_slivers(ours, theirs):
    """Boxes, scores, labels. What clipping leaves of boxes beside the canvas has sides of rounding errors."""
    ours, theirs = (
        [part[sides(boxes) > 0.5] for part in (boxes, *rest)] for boxes, *rest in (ours, theirs)
    )
    assert len(ours[0]) == len(theirs[0]) > 30
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)
    np.testing.assert_array_equal(ours[2], theirs[2])
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-3)


def test_mask_rcnn_finds_what_the_original_finds_and_reads_masks_where_it_does(narrow):
    model, image = narrow("mask_rcnn_r50_fpn_mindspore.yaml")
    pyramid, rois, counts, logits, deltas = stages(model, image)
    boxes, scores, labels, origin = plain.mask_rcnn_detections(rois, counts, logits, deltas, CANVAS, most=360)
    ours = found(model, image)
    assert_equal_but_for_slivers(ours[:3], (boxes, scores, labels))

    places = plain.likeliest_boxes(rois, logits, deltas, CANVAS)[origin]
    assert np.abs(places - boxes).max() > 1  # not the detected boxes
    large, ours_large = (np.flatnonzero(sides(part) > 0.5)[:20] for part in (boxes, ours[0]))
    features = Tensor(plain.roi_features(pyramid, places[large], 14))
    masks = model.mask_head.logits(features, Tensor(np.ones(20, bool))).asnumpy()[np.arange(20), labels[large]]
    np.testing.assert_allclose(ours[3][ours_large], 1 / (1 + np.exp(-masks)), atol=1e-4)


def test_legacy_boxes_are_not_written_as_onnx_and_the_line_says_what_is(narrow):
    model, _ = narrow("mask_rcnn_r50_fpn_mindspore.yaml")
    with pytest.raises(UserError, match="box_style legacy cannot be written; MINDIR can"):
        detector_to_onnx(model, CANVAS)


@pytest.mark.parametrize("key", ["roi", "mask_roi"])
def test_legacy_boxes_with_an_aligned_roialign_are_one_line(key):
    path = str(CONFIGS / "mask_rcnn_r50_fpn_mindspore.yaml")
    with pytest.raises(UserError, match=f"set {key}.roi_layer.aligned to 0"):
        load_config(path, [f"--{key}.roi_layer.aligned", "1"])


def test_pointrend_finds_what_the_original_finds(narrow):
    model, image = narrow("pointrend_r50_fpn_mindspore.yaml")
    assert model.mask_head.coarse_head.num_classes == 4  # the background has a mask
    _, rois, counts, logits, deltas = stages(model, image)
    assert counts.all()
    boxes, scores, labels = plain.pointrend_detections(rois, logits, deltas, CANVAS, most=360)
    assert_equal_but_for_slivers(found(model, image)[:3], (boxes, scores, labels))
