"""A cascade's heads, stage by stage: MMDetection's, 1.x too, and Detectron2's, which has one mask head."""

import numpy as np
import pytest

from src.config import load_config
from src.convert.changes import Layout
from src.convert.detect import SOURCES, choose_source
from src.convert.engine import Conversion, convert
from src.convert.expectations import compare, known_of
from src.convert.read import ForeignFile
from src.errors import UserError
from tests.convert.case import RESNET_DETECTOR

LAYOUT = Layout(1, 3)
STAGES = range(3)
BOXES = {
    f"bbox_head.{k}.{name}": shape for k in STAGES for name, shape in (("fc_cls.bias", (4,)), ("fc_reg.bias", (4,)))
}
MASKS = {f"mask_head.{k}.conv_logits.bias": (3,) for k in STAGES}
DETECTRON2 = {
    "backbone.bottom_up.res5.0.conv1.weight": "backbone.layer4.0.conv1.weight",
    "backbone.bottom_up.stem.conv1.weight": "backbone.conv1.weight",
    **{f"roi_heads.box_head.{k}.fc{n}.bias": f"bbox_head.{k}.shared_fcs.{n - 1}.bias" for k in STAGES for n in (1, 2)},
    **{f"roi_heads.box_predictor.{k}.cls_score.weight": f"bbox_head.{k}.fc_cls.weight" for k in STAGES},
    **{f"roi_heads.box_predictor.{k}.bbox_pred.weight": f"bbox_head.{k}.fc_reg.weight" for k in STAGES},
}


def test_every_stage_of_mmdetection_1x_gets_its_background_last_and_loses_its_masks():
    tensors = {}
    for k in STAGES:
        tensors[f"bbox_head.{k}.fc_cls.bias"] = 10 * k + np.arange(4)
        tensors[f"bbox_head.{k}.fc_reg.bias"] = 10 * k + np.arange(4)
        tensors[f"mask_head.{k}.conv_logits.bias"] = 10 * k + np.arange(4)
    done = convert(SOURCES["mmdet1"], tensors, BOXES | MASKS, LAYOUT)
    for k in STAGES:
        assert done.values[f"bbox_head.{k}.fc_cls.bias"].tolist() == [10 * k + n for n in (1, 2, 3, 0)]
        assert done.values[f"bbox_head.{k}.fc_reg.bias"].tolist() == [10 * k + n for n in (0, 1, 2, 3)]
        assert done.values[f"mask_head.{k}.conv_logits.bias"].tolist() == [10 * k + n for n in (1, 2, 3)]
    names = ["rpn_head.rpn_cls.weight", "bbox_head.0.fc_cls.weight", *tensors]
    assert choose_source(names, "", "w.pth").name == "mmdet1"


def of_detectron2(*more: str, masks: bool = False) -> Conversion:
    """more: the source's tensors besides its boxes'; masks: into a model with a mask head a stage."""
    tensors = {name: np.float32([number]) for number, name in enumerate([*DETECTRON2, *more])}
    source = choose_source(list(tensors), "", "w.pkl")
    assert source.name == "detectron2-cascade"
    return convert(
        source, tensors, dict.fromkeys([*DETECTRON2.values(), *(MASKS if masks else ())], (1,)), LAYOUT, where="w.pkl"
    )


def test_every_stage_of_detectron2_gets_its_own_weights():
    done = of_detectron2()
    for number, ours in enumerate(DETECTRON2.values()):
        assert done.values[ours].tolist() == [number], ours
    assert not done.ignored


def test_detectron2s_one_mask_head_is_left_out_of_a_cascade_without_masks_and_refused_by_one_with():
    masks = ["roi_heads.mask_head.mask_fcn1.weight", "roi_heads.mask_head.predictor.bias"]
    assert of_detectron2(*masks).ignored == {"mask_head, which the configured model does not have": masks}
    with pytest.raises(UserError) as error:
        of_detectron2(*masks, masks=True)
    assert "one mask head, a cascade here one a stage; --detector cascade_rcnn takes its boxes" in str(error.value)
    assert "2 tensors (roi_heads.mask_head.mask_fcn1.weight" in str(error.value) and "\n" not in str(error.value)


def test_how_detectron2s_cascade_differs_is_said_of_a_cascade_alone():
    cfg = load_config(str(RESNET_DETECTOR))
    lines = [
        compare(known_of(SOURCES[name], ForeignFile({})), cfg, ())[0] for name in ("detectron2", "detectron2-cascade")
    ]
    assert ["averages the stages' probabilities" in line for line in lines] == [False, True]
    assert "cascade.target_stds are [0.0333333, 0.0333333, 0.0666667, 0.0666667]" in lines[1]
