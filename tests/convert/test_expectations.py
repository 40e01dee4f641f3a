"""What the source expects of images, style and classes is said, and where the configuration does otherwise it warns."""

import numpy as np
import pytest

from src.config import load_config
from src.convert.detect import SOURCES
from src.convert.expectations import compare, known_of
from src.convert.read import ForeignFile
from src.tasks import TASKS
from tests.convert.case import HRNET_CLS, RESNET_DETECTOR

CAFFE = """
model = dict(
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN', requires_grad=False), style='caffe'),
    rpn_head=dict(bbox_coder=dict(target_means=[.0, .0, .0, .0], target_stds=[1.0, 1.0, 1.0, 1.0])))
img_norm_cfg = dict(
    mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
"""
PREPROCESSOR = "dict(mean=[\n 123.675,\n 116.28,\n 103.53],\n std=[58.395, 57.12, 57.375], bgr_to_rgb=True)"


def told(source: str, metadata=None, tensors=None, config=RESNET_DETECTOR, keys=()):
    foreign = ForeignFile(tensors or {}, metadata=metadata or {})
    cfg = load_config(str(config), list(keys))
    return compare(known_of(SOURCES[source], foreign), cfg, TASKS[cfg.task].class_names(cfg))


def test_mmdetections_own_configuration_in_the_file_decides():
    line, warnings = told("mmdet", {"meta": {"config": CAFFE}})
    assert "img_mean [103.53, 116.28, 123.675], img_std [1, 1, 1], to_rgb 0, backbone.style caffe" in line
    assert "the file's own configuration" in line
    assert [warning.split(" is ")[0] for warning in warnings] == ["img_mean", "img_std", "to_rgb", "backbone.style"]
    assert "_caffe" not in line and "_caffe" in told("mmdet")[0]
    line, warnings = told("mmdet", {"meta": {"cfg": PREPROCESSOR}})
    assert "to_rgb 1" in line and not warnings


def test_detectron2_expects_bgr_and_caffe_style_unless_the_file_says_otherwise():
    line, warnings = told("detectron2")
    assert "usual for detectron2" in line and len(warnings) == 4
    keys = ["--backbone.style=caffe", "--to_rgb=0", "--img_mean=[103.53,116.28,123.675]", "--img_std=[1,1,1]"]
    assert told("detectron2", keys=keys)[1] == []
    scaled = {"pixel_std": np.float32([57.375, 57.12, 58.395]).reshape(3, 1, 1)}
    line, warnings = told("detectron2", tensors=scaled, keys=keys)
    assert "img_std [57.375, 57.12, 58.395]" in line and len(warnings) == 1
    assert told("detectron2", {"__author__": "torchvision"})[1] == []


def test_nothing_is_warned_of_where_all_is_as_usual():
    for source, config in (("hrnet-cls", HRNET_CLS), ("resnet", RESNET_DETECTOR), ("mmdet", RESNET_DETECTOR)):
        line, warnings = told(source, config=config)
        assert "img_mean [123.675, 116.28, 103.53]" in line and not warnings


@pytest.mark.parametrize("place", ["CLASSES", "dataset_meta"])
def test_class_names_of_another_order_or_number_are_named(place):
    own = load_config(str(RESNET_DETECTOR)).coco_classes[1:]

    def warnings(names):
        meta = {"CLASSES": tuple(names)} if place == "CLASSES" else {"dataset_meta": {"classes": list(names)}}
        return told("mmdet", {"meta": meta})[1]

    assert warnings(own) == []
    swapped = [*own[:3], own[4], own[3], *own[5:]]
    assert warnings(swapped)[0].endswith("class 3 is 'airplane' there and 'motorcycle' here")
    assert "20 against 80" in warnings(own[:20])[0]
