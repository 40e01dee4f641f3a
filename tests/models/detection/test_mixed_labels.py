"""Objects without a mask take part in every loss but those of masks, whatever the mask head."""

import numpy as np
import pytest
from mindspore import Tensor

from src.config.choices import DETECTORS, WITHOUT_MASKS
from tests.models.detection.mmdet_case import build, load_train_inputs
from tests.models.test_any_backbone import POINTREND

FEW = ["--train_cfg.rpn_proposal.nms_pre", "200", "--train_cfg.rpn_proposal.max_per_img", "100"]
KEYS = {"pointrend": [*POINTREND, "--mask_roi.featmap_strides", "[4]", "--train_cfg.rcnn.train_on_pred_boxes", "0"]}
WITH_MASKS = [
    pytest.param(name, marks=pytest.mark.slow if name == "pointrend" else ())
    for name in DETECTORS
    if name not in WITHOUT_MASKS
]


@pytest.fixture(params=WITH_MASKS)
def model(request, pynative_mode):
    built = build(["--detector", request.param, *FEW, *KEYS.get(request.param, [])])
    built.set_train(True)
    return built


def test_objects_without_a_mask_have_no_mask_loss_and_those_with_one_keep_theirs(model):
    inputs = load_train_inputs()
    gt_masks, valid = inputs[5], inputs[4].asnumpy()
    is_mask = np.array(["mask" in name for name in model.loss_names])

    def losses(has_mask: np.ndarray | None = None, masks: Tensor = gt_masks) -> np.ndarray:
        more = () if has_mask is None else (Tensor(has_mask),)
        return np.array([float(loss) for loss in model(*inputs[:5], masks, inputs[6], *more)])

    plain = losses()
    assert is_mask.any() and (plain > 0).all()
    assert losses(np.ones_like(valid)).tolist() == plain.tolist()  # the same bits
    nowhere = losses(np.zeros_like(valid))
    assert nowhere[~is_mask].tolist() == plain[~is_mask].tolist() and not nowhere[is_mask].any()
    first = np.ones_like(valid)
    first[:, 1:] = False  # one object of each image has a mask; the rows of the others are never looked at
    scrambled = gt_masks.asnumpy().copy()
    scrambled[:, 1:] ^= 255
    some = losses(first)
    assert losses(first, Tensor(scrambled)).tolist() == some.tolist()
    assert some[~is_mask].tolist() == plain[~is_mask].tolist()
    assert (some[is_mask] > 0).all() and (some[is_mask] != plain[is_mask]).all()
