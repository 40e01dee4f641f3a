"""Checkpoints of MindSpore's MaskRCNN_resnet50 and pointrend, converted: every stage gives what the original gives."""

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.errors import UserError
from tests.convert.case import CONFIGS, assert_equal, convert
from tests.convert.torch_mindspore_detectors import Original, make_state

pytestmark = pytest.mark.usefixtures("pynative_mode")

NARROW = [
    "--img_width", "160", "--img_height", "96", "--backbone.base_channels", "8",
    "--neck.fpn.in_channels", "[32,64,128,256]", "--neck.fpn.out_channels", "16", "--rpn.in_channels", "16",
    "--rpn.feat_channels", "16", "--bbox_head.in_channels", "16", "--bbox_head.fc_out_channels", "24",
    "--mask_head.in_channels", "16", "--mask_head.conv_out_channels", "16", "--mask_head.fc_out_channels", "24",
    "--point_head.in_channels", "16", "--point_head.fc_channels", "16", "--roi.out_channels", "16",
    "--mask_roi.out_channels", "16", "--num_classes", "4", "--coco_classes", "[background,a,b,c]",
]  # fmt: skip
MASK_RCNN, POINTREND = CONFIGS / "mask_rcnn_r50_fpn_mindspore.yaml", CONFIGS / "pointrend_r50_fpn_mindspore.yaml"


def write_checkpoint(state, path, **besides):
    """As the original's training saves it: the weights, and entries of the optimizer."""
    entries = [{"name": name, "data": Tensor(value)} for name, value in {**state, **besides}.items()]
    ms.save_checkpoint(entries, str(path))
    return path


def converted(config, state, folder, *overrides):
    moments = {f"moments.{name}": np.zeros_like(value) for name, value in state.items() if "conv6" in name}
    step = {"global_step": np.int32([7]), "learning_rate": np.float32([0.1, 0.2]), "momentum": np.float32(0.9)}
    path = write_checkpoint(state, folder / "original-12_100.ckpt", **moments, **step)
    return convert(config, path.rename(folder / "theirs.ckpt.original"), *NARROW, *overrides)


@pytest.fixture(scope="module")
def image():
    return np.random.RandomState(1).randn(1, 3, 96, 160).astype(np.float32)


@torch.no_grad()
def assert_same_until_boxes(ours, theirs, image):
    """Pyramid, RPN, box head."""
    pyramid, expected = ours.neck(ours.backbone(Tensor(image))), theirs.pyramid(torch.tensor(image))
    for level, wanted in zip(pyramid, expected, strict=True):
        assert_equal(level, wanted)
    logits, deltas = ours.rpn_head(pyramid)
    parts = [theirs.rpn(level) for level in expected]
    assert_equal(logits, torch.cat([part[0] for part in parts], 1))
    assert_equal(deltas, torch.cat([part[1] for part in parts], 1))
    features = np.random.RandomState(2).randn(5, 16, 7, 7).astype(np.float32)
    scores, boxes = ours.bbox_head(Tensor(features), Tensor(np.ones(5, bool)))
    wanted_scores, wanted_boxes = theirs.boxes(torch.tensor(features))
    assert_equal(scores, wanted_scores.roll(-1, 1))
    return boxes, wanted_boxes


def test_mask_rcnns_stages(tmp_path, image):
    state = make_state()
    theirs = Original(state)
    ours, done = converted(MASK_RCNN, state, tmp_path)
    boxes, wanted = assert_same_until_boxes(ours, theirs, image)
    assert_equal(boxes, wanted.roll(-1, 1).flatten(1))  # the background's box is kept, last
    features = np.random.RandomState(3).randn(4, 16, 14, 14).astype(np.float32)
    masks = ours.mask_head.logits(Tensor(features), Tensor(np.ones(4, bool)))
    assert_equal(masks, theirs.masks(torch.tensor(features))[:, 1:])
    assert len(done.used) == len(state)
    assert sum(len(names) for names in done.ignored.values()) == 5  # of the optimizer


def test_mask_rcnns_background_box_is_left_out_where_masks_are_read_in_detected_boxes(tmp_path):
    state = make_state()
    ours, _ = converted(MASK_RCNN, state, tmp_path, "--mask_head.boxes", "detected")
    expected = state["rcnn_cls.fpn_cls.reg_scores.weight"].T[4:]
    np.testing.assert_array_equal(ours.bbox_head.fc_reg.weight.asnumpy(), expected)


@pytest.mark.parametrize("background", [True, False], ids=["81 classes", "not_mask"])
def test_pointrends_stages(tmp_path, image, background):
    state = make_state(points=True)
    if not background:
        few = make_state(points=True, classes=3)
        state |= {name: value for name, value in few.items() if name.startswith(("mask_coarse", "mask_point"))}
    theirs = Original(state)
    ours, done = converted(POINTREND, state, tmp_path, "--mask_head.background_class", str(int(background)))
    boxes, wanted = assert_same_until_boxes(ours, theirs, image)
    assert_equal(boxes, wanted[:, 1:].flatten(1))
    rng, turn = np.random.RandomState(3), -1 if background else 0
    features = rng.randn(4, 16, 14, 14).astype(np.float32)
    coarse = theirs.coarse(torch.tensor(features))
    assert_equal(ours.mask_head.coarse_head(Tensor(features)), coarse.roll(turn, 1))
    fine, values = rng.randn(2, 6, 16).astype(np.float32), rng.randn(2, 6, 3 + background).astype(np.float32)
    logits = theirs.points(torch.tensor(fine).mT, torch.tensor(values).mT).mT
    rolled = np.roll(values, turn, axis=2)
    assert_equal(ours.mask_head.point_head(Tensor(fine), Tensor(rolled)), logits.roll(turn, 2))
    unused = [name for names in done.ignored.values() for name in names if name.startswith("rcnn_mask.")]
    assert len(unused) == 12


def test_81_mask_classes_do_not_pass_for_80(tmp_path):
    with pytest.raises(UserError, match=r"mask_coarse_head.prediction.weight \[196, 24\], here .* \[147, 24\]"):
        converted(POINTREND, make_state(points=True), tmp_path, "--mask_head.background_class", "0")
