"""The COCO index: both layouts, matching by name, oddities counted and survived, errors in one line."""

import json
import logging
import shutil

import pytest

from src.data.formats.coco import read_coco
from src.errors import UserError
from tests.data.tiny import CLASSES, square


def test_category_ids_keep_the_files_gaps_in_the_order_of_the_classes(coco_folder):
    dataset = read_coco(coco_folder([(8, 6)], [square(1, (0, 0, 4, 4), 9), square(1, (1, 1, 4, 4), 4)]), CLASSES)
    assert dataset.category_ids == [9, 4]
    assert [item.label for item in dataset.record(0).objects] == [0, 1]


def test_classic_layout_gives_the_same_records(coco_folder, tmp_path):
    folder = coco_folder([(8, 6), (9, 7)], [square(2, (0, 0, 4, 4))])
    root = tmp_path / "classic"
    (root / "annotations").mkdir(parents=True)
    shutil.copytree(folder / "data", root / "val2017")
    shutil.copy(folder / "labels.json", root / "annotations" / "instances_val2017.json")
    expected = read_coco(folder, CLASSES)
    for given in (root / "val2017", root):
        dataset = read_coco(given, CLASSES, "val")
        assert dataset.annotation_file == root / "annotations" / "instances_val2017.json"
        assert [dataset.record(i).objects for i in range(2)] == [expected.record(i).objects for i in range(2)]
        assert dataset.record(1).path == root / "val2017" / "2.png"


@pytest.mark.parametrize("classes", [("cat", "horse"), ("cat",), ("horse",)])
def test_classes_that_lack_a_category_with_objects_are_an_error_with_both_sides(coco_folder, classes):
    with pytest.raises(UserError) as caught:
        read_coco(coco_folder([(8, 6)], [square(1, (0, 0, 4, 4), 4)]), classes)
    message = str(caught.value)
    assert "labels.json" in message and "coco_classes" in message
    assert ("'horse'" in message) == ("horse" in classes)
    assert "'dog'" in message and "`classes: subset`" in message
    assert ("'cat'" in message) == ("cat" not in classes) and "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        '{"images": [{"id": 1',
        "[]",
        '{"images": [], "categories": []}',
        '{"images": [], "annotations": [], "categories": []}',
        '{"images": [{"id": 1}], "annotations": [], "categories": []}',
        '{"images": [{"id": 1, "file_name": "a", "width": 0, "height": 2}], "annotations": [], '
        '"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}',
        '{"images": [{"id": [1], "file_name": "a", "width": 2, "height": 2}], "annotations": [], "categories": []}',
        '{"images": [{"id": 1, "file_name": "a", "width": 2, "height": 2}], "annotations": [{"image_id": 1}], '
        '"categories": []}',
    ],
)
def test_a_label_file_that_is_not_coco_is_one_line_with_its_name(coco_folder, text):
    folder = coco_folder([(8, 6)], [])
    (folder / "labels.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_coco(folder, CLASSES)
    assert "labels.json" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_folders_and_label_files_are_named(coco_folder, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        read_coco(tmp_path / "nowhere", CLASSES)
    folder = coco_folder([(8, 6)], [])
    (folder / "labels.json").unlink()
    with pytest.raises(UserError, match="labels.json"):
        read_coco(folder, CLASSES)


@pytest.mark.parametrize(
    "changes",
    [
        {"bbox": [2, 2, 0.5, 4]},
        {"bbox": [2, 2, 4, 0]},
        {"bbox": [30, 2, 4, 4]},
        {"bbox": [-9, 2, 4, 4]},
        {"bbox": [2, 2, 4]},
        {"bbox": ["a", 2, 4, 4]},
        {"bbox": [float("nan"), 2, 4, 4]},
        {"bbox": None, "segmentation": []},
        {"bbox": None, "segmentation": [[1, 1, 2, 2]]},
        {"bbox": None, "segmentation": {"size": [5, 5], "counts": [25]}},
    ],
)
def test_degenerate_objects_are_counted_and_left_out(coco_folder, changes, caplog):
    folder = coco_folder([(20, 10)], [square(1, (2, 2, 4, 4)) | changes, square(1, (1, 1, 5, 5))])
    with caplog.at_level(logging.WARNING):
        dataset = read_coco(folder, CLASSES)
    assert [item.box for item in dataset.record(0).objects] == [(1, 1, 6, 6)]
    assert len(dataset.report.degenerate_boxes) == 1
    assert "1 annotations have no area" in caplog.text


def test_annotations_of_unknown_images_or_categories_are_counted_and_left_out(coco_folder):
    annotations = [square(1, (0, 0, 4, 4), 77), square(55, (0, 0, 4, 4)), square(1, (0, 0, 3, 3))]
    dataset = read_coco(coco_folder([(8, 6)], annotations), CLASSES)
    assert len(dataset.record(0).objects) == 1
    assert len(dataset.report.unknown_references) == 2


def test_missing_files_stay_in_evaluation_and_leave_training(coco_folder, caplog):
    folder = coco_folder([(8, 6)] * 3, [square(i, (0, 0, 4, 4)) for i in (1, 2, 3)])
    (folder / "data" / "2.png").unlink()
    with caplog.at_level(logging.WARNING):
        dataset = read_coco(folder, CLASSES)
    assert len(dataset) == 3 and dataset.image_ids == [1, 2, 3]
    assert dataset.training_indices(filter_empty=False) == [0, 2]
    assert "1 image files are missing" in caplog.text and str(folder / "data" / "2.png") in caplog.text


def test_a_missing_file_does_not_hide_one_of_the_same_name_in_another_folder(coco_folder):
    folder = coco_folder([(8, 6)] * 2, [])
    content = json.loads((folder / "labels.json").read_text())
    for image, sub in zip(content["images"], ("a", "b")):
        image["file_name"] = f"{sub}/same.png"
    (folder / "data" / "a").mkdir()
    shutil.move(folder / "data" / "1.png", folder / "data" / "a" / "same.png")
    (folder / "labels.json").write_text(json.dumps(content))
    assert read_coco(folder, CLASSES).training_indices(filter_empty=False) == [0]


def test_images_without_objects_leave_training_only_with_the_filter(coco_folder):
    crowd = square(3, (0, 0, 4, 4), iscrowd=1)
    dataset = read_coco(coco_folder([(8, 6)] * 3, [square(1, (0, 0, 4, 4)), crowd]), CLASSES)
    assert dataset.training_indices(filter_empty=True) == [0]
    assert dataset.training_indices(filter_empty=False) == [0, 1, 2]


def test_number_and_divider_limit_the_training_images(coco_folder):
    dataset = read_coco(coco_folder([(8, 6)] * 7, []), CLASSES)
    assert dataset.training_indices(False, number=3) == [0, 1, 2]
    assert dataset.training_indices(False, divider=3) == [0, 3, 6]
    assert dataset.training_indices(False, number=2, divider=3) == [0, 3]


def test_no_training_image_left_is_an_error_with_the_file(coco_folder):
    dataset = read_coco(coco_folder([(8, 6)], []), CLASSES)
    with pytest.raises(UserError, match="labels.json"):
        dataset.training_indices(filter_empty=True)


def test_images_with_more_objects_than_rows_are_counted(coco_folder):
    boxes = [square(1, (0, 0, 2 + i, 3)) for i in range(4)] + [square(2, (0, 0, 3, 3))]
    dataset = read_coco(coco_folder([(8, 6)] * 2, boxes), CLASSES)
    assert dataset.images_above(3) == 1 and dataset.images_above(4) == 0


def test_nothing_is_printed(coco_folder, capsys):
    read_coco(coco_folder([(8, 6)], []), CLASSES)
    assert capsys.readouterr().out == ""
