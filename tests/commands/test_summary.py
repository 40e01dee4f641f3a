from pathlib import Path

import pytest

from src.commands.summary import summarize, table
from src.config import load_config

DEMO = Path(__file__).parents[2] / "configs" / "demo"


@pytest.fixture()
def parts(pynative_mode):
    cfg = load_config(str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), ["--detector", "mask_rcnn"])
    return cfg, {part.name: part for part in summarize(cfg)}


def test_parameters_macs_and_shapes_equal_a_count_by_hand(parts):
    cfg, by_name = parts
    rpn, cells = by_name["rpn_head"], 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2 + 1
    weights = 32 * 32 * 9 + 32 * 3 + 32 * 12
    assert rpn.parameters == rpn.learning == weights + 32 + 3 + 12
    assert rpn.macs == weights * cells
    assert rpn.shapes == [(1, cells * 3), (1, cells * 3, 4)]
    mask, detections = by_name["mask_head"], cfg.test_cfg.rcnn.max_per_img
    convolutions, upsampling, classifier = 4 * 32 * 32 * 9, 32 * 32 * 4, 32 * 4
    assert mask.macs == detections * (14 * 14 * (convolutions + upsampling) + 28 * 28 * classifier)
    assert by_name["neck"].shapes[0] == (1, 32, 16, 16)
    lines = list(table(cfg, list(by_name.values())))
    assert lines[-1].startswith("total") and f"{sum(p.parameters for p in by_name.values()):,}" in lines[-1]


def test_a_classifiers_parts_are_counted_too(pynative_mode):
    cfg = load_config(str(DEMO / "hrnet_cls_shapes.yaml"), ["--frozen_parts", "[backbone]"])
    by_name = {part.name: part for part in summarize(cfg)}
    assert by_name["backbone"].learning == 0 < by_name["backbone"].parameters
    assert by_name["classifier"].parameters == 256 * 8 + 8 and by_name["classifier"].macs == 256 * 8
    assert by_name["backbone"].shapes[0] == (1, 16, 16, 16)
    assert next(iter(table(cfg, list(by_name.values())))) == "classification on hrnet, one image of 64x64"
