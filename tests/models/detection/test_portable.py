"""The detector of the comparisons with MMDetection by MindSpore's own operators against the compiled ones."""

import numpy as np
import pytest
from mindspore import Tensor

from src.export.parity import detection_difference
from tests.models.detection.mmdet_case import build
from tests.reference.recipe import IMAGE_SHAPES, make_images

SAMPLING = ["--roi.roi_layer.sampling_ratio", "2", "--mask_roi.roi_layer.sampling_ratio", "2"]


@pytest.fixture()
def both(pynative_mode):
    """(proposals, detections) of the compiled and of the portable detector; no graph has to be compiled for them."""
    found = []
    for portable in "01":
        model = build([*SAMPLING, "--portable", portable])
        model.set_train(False)
        image, shape = Tensor(make_images()), Tensor(np.int32(IMAGE_SHAPES))
        outputs = model.rpn_head(model.neck(model.backbone(image)))
        proposals = model.test_proposals(model.rpn_head.anchors, *outputs, shape.astype(pynative_mode.float32))
        found.append([[array.asnumpy() for array in part] for part in (proposals, model.detections(image, shape))])
    return found


@pytest.mark.slow
def test_both_ways_give_the_same_proposals_and_detections(both):
    (proposals, detections), (own_proposals, own_detections) = both
    for one, other in zip(proposals, own_proposals):
        np.testing.assert_array_equal(one, other)
    for image in range(2):
        sides = [tuple(array[image : image + 1] for array in side) for side in (detections, own_detections)]
        difference = detection_difference(*sides)
        assert difference.count > 20 and difference.unpaired == 0, difference
        assert difference.box < 1e-2 and difference.score < 1e-4 and difference.mask_cells > 0.999, difference
