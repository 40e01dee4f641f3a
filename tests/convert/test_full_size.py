"""Every full-size original of the families fills its configuration by its names and shapes: no values, no memory."""

import gzip
import json

import numpy as np
import pytest
import torch

from src.convert.changes import Layout
from src.convert.detect import choose_source
from src.convert.engine import convert
from src.convert.variant import check_variant
from tests.models.full_size import count_of, shapes_of
from tests.models.timm_models import import_timm

pytestmark = pytest.mark.usefixtures("pynative_mode")
LAYOUT = Layout(1, 3)
CLASSIFIERS = {f"hrnet_cls_w{width}": f"hrnet_w{width}_cls" for width in (30, 32, 40, 44, 48, 64)}
OF_TIMM = {"hrnet_w18_small": "hrnet_w18_small_cls", "hrnet_w18_small_v2": "hrnet_w18_small_v2_cls"}
DETECTORS = {
    **{f"mmdet_mask-rcnn_hrnetv2p-w{width}-1x_coco": f"mask_rcnn_hrnetv2p_w{width}_1x_coco" for width in (32, 40)},
    **{f"mmdet_faster-rcnn_hrnetv2p-w{w}-1x_coco": f"faster_rcnn_hrnetv2p_w{w}_1x_coco" for w in (18, 32, 40)},
    "mmdet_faster-rcnn_r50_fpn_1x_coco": "faster_rcnn_r50_fpn_1x_coco",
    "mmdet_cascade-rcnn_hrnetv2p-w32-20e_coco": "cascade_rcnn_hrnetv2p_w32_20e_coco",
    **{
        f"mmdet_cascade-mask-rcnn_hrnetv2p-w{width}_20e_coco": f"cascade_mask_rcnn_hrnetv2p_w{width}_20e_coco"
        for width in (18, 32)
    },
    "mmdet_mask-rcnn_r101_fpn_1x_coco": "mask_rcnn_r101_fpn_1x_coco",
    "mmdet_mask-rcnn_r50-caffe_fpn_1x_coco": "mask_rcnn_r50_caffe_fpn_1x_coco",
}


@pytest.fixture(scope="module")
def entries(data_files):
    """{model: {name: shape}} of the originals' checkpoints."""
    with gzip.open(data_files / "state_dict_entries_variants.json.gz", "rt") as file:
        models = json.load(file)
    return {model: {name: tuple(shape) for name, shape, _ in tensors} for model, tensors in models.items()}


def timm_entries(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = import_timm().create_model(name).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


@pytest.mark.parametrize("model,config", [*CLASSIFIERS.items(), *OF_TIMM.items(), *DETECTORS.items()])
def test_an_original_and_its_configuration_are_the_same_parameter_for_parameter(entries, model, config):
    own = timm_entries(model) if model in OF_TIMM else entries[model]
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in own.items()}
    source = choose_source(list(tensors), "", "w.pth")
    assert source.name == ("mmdet" if model in DETECTORS else "hrnet-cls")
    shapes = shapes_of(f"{config}.yaml")
    check_variant(source, tensors, shapes, "w.pth")
    done = convert(source, tensors, shapes, LAYOUT)
    assert set(done.values) == set(shapes) and not done.unset
    assert set(done.ignored) <= {"counters of PyTorch's BatchNorm"}
    assert count_of(shapes) == count_of(own)
