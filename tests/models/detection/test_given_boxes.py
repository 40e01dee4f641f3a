"""A detector's parts that views are merged of: boxes without masks, and masks of boxes whoever found them."""

import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.detections import ALONE, BOXES_ALONE
from tests.models.detection.mmdet_case import build
from tests.models.detection.test_cascade import keys_of
from tests.models.test_any_backbone import POINTREND

SMALL = ["--img_width", "96", "--img_height", "64", "--test_cfg.rcnn.max_per_img", "6", "--backbone.type", "resnet",
         "--backbone.depth", "18", "--backbone.base_channels", "4", "--neck.type", "fpn"]  # fmt: skip
CASCADE = [*keys_of("cascade_rcnn"), "--detector", "cascade_mask_rcnn"]
CASES = {
    "mask_rcnn": [],
    "pointrend": ["--detector", "pointrend", *POINTREND, "--mask_roi.featmap_strides", "[4]"],
    "cascade": CASCADE,
    "cascade of one mask head": [*CASCADE, "--cascade.mask_heads", "one"],
    "faster_rcnn": keys_of("faster_rcnn"),
}


def made(case: str):
    model = build([*SMALL, *CASES[case]])
    model.set_train(False)
    return model


def inputs() -> tuple[Tensor, Tensor]:
    images = np.random.RandomState(3).randn(2, 3, 64, 96).astype(np.float32)
    return Tensor(images), Tensor(np.int32([[64, 96], [60, 80]]))


def arrays(outputs) -> list[np.ndarray]:
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [one.asnumpy() for one in outputs]


def assert_parts_are_the_whole(model) -> None:
    image, shape = inputs()
    whole = arrays(model(image, shape))
    alone = arrays(model(image, shape, ALONE))
    assert len(alone) == len(BOXES_ALONE)
    for ours, theirs in zip(alone, whole):
        np.testing.assert_array_equal(ours, theirs)
    if not model.has_masks:
        assert len(whole) == len(alone)
        return
    boxes, _, labels, valid, masks = whole
    assert valid.sum() > 6
    (given,) = arrays(model(image, *map(Tensor, (boxes, labels, valid))))
    np.testing.assert_allclose(given[valid], masks[valid], atol=1e-6)
    # Boxes in another order, of another image and of another class are other masks.
    turned = [np.ascontiguousarray(part[:, ::-1]) for part in (boxes, labels, valid)]
    (given,) = arrays(model(image, *map(Tensor, turned)))
    np.testing.assert_allclose(given[:, ::-1][valid], masks[valid], atol=1e-5)
    (other,) = arrays(model(image, Tensor(boxes), Tensor((labels + 1) % 3), Tensor(valid)))
    assert np.abs(other[valid] - masks[valid]).max() > 1e-3


RARE = [pytest.param(name, marks=pytest.mark.slow) for name in ("cascade of one mask head", "faster_rcnn")]


@pytest.mark.parametrize("case", ["mask_rcnn", "pointrend", "cascade", *RARE])
def test_boxes_alone_and_masks_of_given_boxes_are_those_of_the_detections(pynative_mode, case):
    assert_parts_are_the_whole(made(case))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["pointrend", "cascade"])
def test_the_same_as_graphs(graph_mode, case):
    assert_parts_are_the_whole(made(case))
