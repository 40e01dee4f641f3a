"""Weights of a detector with masks fill one without; what is left out, or missing, is said."""

import gzip
import json

import numpy as np
import pytest
import torch

from src.convert.changes import Layout
from src.convert.detect import choose_source
from src.convert.engine import convert, summary
from src.errors import UserError
from tests.convert.torch_detectron2 import Detectron2
from tests.models.full_size import shapes_of

pytestmark = pytest.mark.usefixtures("pynative_mode")
R50 = "mask_rcnn_r50_fpn_1x_coco.yaml"
FASTER = ("--detector", "faster_rcnn")
LEFT_OUT = "mask_head, which the configured model does not have"


@pytest.fixture(scope="module")
def mask_rcnns(data_files):
    """By source, {name: shape} of a full-size Mask R-CNN R50-FPN."""
    with gzip.open(data_files / "state_dict_entries.json.gz", "rt") as file:
        mmdet = {name: shape for name, shape, _ in json.load(file)["mmdet_mask-rcnn_r50_fpn_1x_coco"]}
    with torch.device("meta"):
        detectron2 = Detectron2(64, 256, 1024, 80).state_dict()
    one = {name.removeprefix("roi_head."): shape for name, shape in mmdet.items()}
    one |= {f"bbox_head.fc_reg.{kind}": [324, *shape] for kind, shape in (("weight", [1024]), ("bias", []))}
    one |= {f"mask_head.conv_logits.{kind}": [81, *shape] for kind, shape in (("weight", [256, 1, 1]), ("bias", []))}
    return {
        "mmdet": mmdet,
        "mmdet1": one,
        "detectron2": {name: list(value.shape) for name, value in detectron2.items()},
    }


def converted(shapes: dict, names_and_shapes: dict, finetune: bool = False):
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in names_and_shapes.items()}
    source = choose_source(list(tensors), "", "w.pth")
    return source.name, convert(source, tensors, shapes, Layout(1, 3), finetune, where="w.pth")


@pytest.mark.parametrize("source", ["mmdet", "mmdet1", "detectron2"])
def test_a_mask_rcnns_weights_fill_a_faster_rcnn_and_its_masks_are_said_to_be_left_out(mask_rcnns, source):
    shapes = shapes_of(R50, *FASTER)
    found, done = converted(shapes, mask_rcnns[source])
    masks = [name for name in mask_rcnns[source] if ".mask_head." in f".{name}"]
    assert found == source and set(done.values) == set(shapes) and len(masks) == 12
    assert sorted(done.ignored[LEFT_OUT]) == sorted(masks)
    assert any(f"ignored: 12 tensors: {LEFT_OUT}" in line for line in summary(done, len(mask_rcnns[source])))


@pytest.mark.parametrize("source", ["mmdet", "mmdet1", "detectron2"])
def test_a_faster_rcnns_weights_do_not_fill_a_mask_rcnn_which_finetuning_starts_with_fresh_masks(mask_rcnns, source):
    without = {name: shape for name, shape in mask_rcnns[source].items() if ".mask_head." not in f".{name}"}
    shapes = shapes_of(R50)
    with pytest.raises(UserError) as error:
        converted(shapes, without)
    assert "w.pth does not fill the configured model: 12 tensors (mask_head.convs.0.conv.weight" in str(error.value)
    ways = "a detector without masks takes them; --finetune 1 lets mask_head start fresh"
    assert str(error.value).endswith(f"stay unset; {ways}")
    _, done = converted(shapes, without, finetune=True)
    assert set(shapes) - set(done.values) == {name for name in shapes if name.startswith("mask_head.")}


def test_without_masks_detectron2s_faster_rcnn_is_whole(mask_rcnns):
    without = {name: shape for name, shape in mask_rcnns["detectron2"].items() if ".mask_head." not in name}
    shapes = shapes_of(R50, *FASTER)
    found, done = converted(shapes, without)
    assert found == "detectron2" and set(done.values) == set(shapes) and not done.ignored
