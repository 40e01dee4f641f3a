"""Batches of a detector without masks, and of objects without masks: from every label file and converted data."""

import logging

import numpy as np
import pytest

from src.data import masks as mask_codec
from src.data.formats.coco import read_coco
from src.data.formats.mindrecord import read_mindrecord
from src.data.mindrecord import convert
from src.data.pipeline import COLUMNS, HAS_MASK, MASKS, build_train_loader
from tests.data.tiny import CLASSES, square

LINE = "no object has a mask: boxes alone are trained; `detector: faster_rcnn` is the detector for them"


@pytest.fixture()
def mixed(coco_folder):
    """Four images: an object with a mask, one without, a crowd, and one whose mask is cut in two by the flip's axis."""
    annotations = [
        square(image, box, category, **changes)
        for image in (1, 2, 3, 4)
        for box, category, changes in (
            ((2 + image, 2, 9, 7), 4, {}),
            ((12, 9 + image, 11, 6), 9, {"segmentation": []}),
            ((1, 1, 30, 20), 9, {"iscrowd": 1}),
            ((10, 3, 12, 12), 9, {}),
        )
    ]
    return coco_folder([(32, 24)] * 4, annotations)


def batches(cfg, dataset) -> list[dict[str, np.ndarray]]:
    loader = build_train_loader(cfg, dataset)
    return [dict(zip(loader.columns, (column.asnumpy() for column in batch), strict=True)) for batch in loader]


@pytest.mark.parametrize(
    "style", [{}, {"box_style": "legacy", "roi.roi_layer.aligned": 0, "mask_roi.roi_layer.aligned": 0}]
)
def test_a_detector_without_masks_gets_the_same_batches_but_for_them_and_none_is_drawn(
    mixed, make_config, monkeypatch, style
):
    keys = {"flip_ratio": 0.5, "expand_ratio": 0.5, "num_gts": 5, **style}
    dataset = read_coco(mixed, CLASSES)
    expected = batches(make_config(**keys), dataset)
    assert expected[0][MASKS].any() and HAS_MASK in expected[0]
    monkeypatch.setattr(mask_codec, "to_rle", lambda *arguments: pytest.fail("a mask was drawn"))
    found = batches(make_config(detector="faster_rcnn", **keys), dataset)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected):
        assert tuple(ours) == tuple(name for name in COLUMNS if name != MASKS)
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    assert any((batch["gt_labels"] == -1).any() for batch in found)


@pytest.mark.parametrize(("detector", "is_said"), [("mask_rcnn", True), ("faster_rcnn", False)])
def test_labels_of_boxes_alone_are_told_the_detector_for_them_once(coco_folder, make_config, caplog, detector, is_said):
    boxes = [square(image, (2, 2, 9, 7), segmentation=None) for image in (1, 2)]
    dataset = read_coco(coco_folder([(32, 24)] * 2, boxes), CLASSES)
    with caplog.at_level(logging.WARNING):
        (batch, *_) = batches(make_config(detector=detector), dataset)
    assert sum(LINE in message for message in caplog.messages) == is_said
    assert batch["gt_valid"].sum() == 2 and (HAS_MASK in batch) == is_said
    assert any("2 of 2 objects have no mask" in line for line in dataset.report.lines())


def test_converted_data_keep_which_objects_have_a_mask(mixed, make_config, tmp_path):
    original = read_coco(mixed, CLASSES)
    convert(make_config(), original, tmp_path / "record")
    converted = read_mindrecord(tmp_path / "record", CLASSES)
    assert converted.report.without_mask == original.report.without_mask == 4
    cfg = make_config(num_gts=5, flip_ratio=0.5, expand_ratio=0.5)
    for ours, theirs in zip(batches(cfg, converted), batches(cfg, original), strict=True):
        for name in (*COLUMNS, HAS_MASK):
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_an_object_has_a_mask_wherever_a_change_of_the_image_leaves_it(mixed, make_config):
    for batch in batches(
        make_config(num_gts=5, flip_ratio=0.5, expand_ratio=0.7, epoch_size=6), read_coco(mixed, CLASSES)
    ):
        shown = batch[MASKS].reshape(2, batch[MASKS].shape[1], -1).any(-1)
        np.testing.assert_array_equal(shown[:, :5], batch[HAS_MASK])
        assert batch["gt_labels"].tolist() == [[2, 1, 1, -1, 0]] * 2  # in the file's order, the crowd last
        assert batch[HAS_MASK].tolist() == [[True, False, True, False, False]] * 2
