"""Label files as exporters and people write them, the same five objects in most: training and evaluation agree."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from src.data.formats.coco import read_coco
from src.data.formats.mindrecord import read_mindrecord
from src.data.formats.rules import Rules
from src.data.inspection import annotated_images
from src.data.mindrecord import convert
from src.data.pipeline import build_eval_loader, build_train_loader
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.inference.prediction_file import load_predictions, save_predictions
from tests.data.truth import learned, perfect_results, scored

CLASSES = ("bolt", "nut")
AREAS = [900, 600, 1500, 865, 1200]  # of the five masks
# folder: objects with a mask, objects without, crowds, and what the one line about it says, if there is one
EXPECTED = {
    "plain": (5, 0, 0, None),
    "area_of_the_image": (5, 0, 0, "5 of 5 annotations have no area, or one far from that of their mask"),
    "background_category": (5, 0, 0, "the category 'background' is dropped"),
    "bad_polygons": (2, 3, 0, "4 annotations have polygons or an RLE that cannot be used"),
    "boxes_only": (0, 5, 0, "5 of 5 objects have no mask"),
    "brush_masks_as_crowds": (5, 0, 0, "5 of 5 objects are crowds (iscrowd 1): taken as objects"),
    "byte_order_mark": (5, 0, 0, None),
    "corner_boxes": (5, 0, 0, "5 of 5 boxes disagree with their masks (5 would agree as x1, y1, x2, y2"),
    "extra_supercategory": (5, 0, 0, "no annotation uses and that are no class: ['parts']"),
    "mixed": (1, 4, 0, "4 of 5 objects have no mask"),
    "no_boxes": (5, 0, 0, "5 annotations have no box: it is taken from their mask"),
    "odd_areas": (5, 0, 0, "5 of 5 annotations have no area"),
    "paths": (5, 0, 0, "3 files are not where their names say"),
    "size_disagrees": (3, 0, 0, None),
    "some_masks_as_crowds": (2, 0, 3, "3 of 5 objects are crowds (iscrowd 1): not learned"),
    "text_ids": (5, 0, 0, None),
    "validation_without_a_class": (2, 0, 0, "classes that the file does not have: ['nut']"),
    "via_export": (5, 0, 0, "the category 'nut' has 3 ids, [2, 4, 5]: one class"),
}


@pytest.fixture()
def quirky(data_files, tmp_path):
    """A folder of the name: its label file beside the common pictures."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(data_files / "quirky_labels" / name / "labels.json", folder)
        (folder / "data").symlink_to(data_files / "quirky_labels" / "images")
        return folder

    return make


def test_every_folder_has_its_line(data_files):
    folders = {path.parent.name for path in (data_files / "quirky_labels").glob("*/labels.json")}
    assert folders == EXPECTED.keys() | {"two_images_one_id"}


@pytest.mark.parametrize("name", EXPECTED)
def test_training_and_evaluation_see_the_same_objects_and_the_odd_is_said_once(name, quirky, make_config, caplog):
    with_mask, without, crowds, line = EXPECTED[name]
    dataset = read_coco(quirky(name), CLASSES)
    assert sum(line is not None and line in message for message in caplog.messages) == (line is not None)
    assert dataset.classes == CLASSES and len(dataset) == 4
    ours = scored(dataset)
    kinds = Counter()
    for (_, label, has_mask), count in ours.items():
        kinds["crowd" if label == 0 else has_mask] += count
    assert kinds == Counter({True: with_mask, False: without, "crowd": crowds})
    assert learned(dataset, make_config(num_gts=8)) == ours


@pytest.mark.parametrize("name", EXPECTED)
def test_perfect_predictions_survive_the_disk_and_score_one(name, quirky, tmp_path):
    dataset = read_coco(quirky(name), CLASSES)
    save_predictions(tmp_path / "found.json", perfect_results(dataset))
    results = load_predictions(tmp_path / "found.json", dataset)
    assert {result["image_id"] for result in results} <= set(dataset.image_ids)
    metrics = evaluate_predictions(dataset, results, {})
    with_mask = EXPECTED[name][0]
    assert metrics["bbox_mAP"] == pytest.approx(1)
    assert metrics["seg_mAP"] == pytest.approx(1 if with_mask else -1)


@pytest.mark.parametrize("name", ["plain", "area_of_the_image", "odd_areas", "no_boxes", "via_export", "text_ids"])
def test_sizes_are_those_of_the_masks(name, quirky):
    dataset = read_coco(quirky(name), CLASSES)
    annotations = dataset.coco.dataset["annotations"]
    assert [one["area"] for one in annotations] == AREAS
    assert annotations[0]["bbox"] == [10, 10, 30, 30]


@pytest.mark.parametrize("name", ["plain", "background_category", "extra_supercategory", "via_export"])
def test_without_a_configuration_the_file_has_two_classes_in_its_order(name, quirky):
    dataset = read_coco(quirky(name), ())
    assert dataset.classes == CLASSES and sum(scored(dataset).values()) == 5


@pytest.mark.parametrize(("rule", "crowds"), [("auto", 3), ("crowds", 3), ("objects", 0)])
def test_the_key_takes_crowds_as_objects(rule, crowds, quirky, make_config):
    dataset = read_coco(quirky("some_masks_as_crowds"), CLASSES, rules=Rules(crowd_rle=rule))
    assert dataset.report.crowds == crowds
    assert learned(dataset, make_config(num_gts=8)) == scored(dataset)


def test_brush_masks_stay_crowds_where_that_is_asked_for(quirky):
    assert read_coco(quirky("brush_masks_as_crowds"), CLASSES, rules=Rules(crowd_rle="crowds")).report.crowds == 5


@pytest.mark.parametrize("name", ["via_export", "text_ids", "bad_polygons", "some_masks_as_crowds", "byte_order_mark"])
def test_mindrecord_holds_the_same_objects(name, quirky, make_config, tmp_path):
    original = read_coco(quirky(name), CLASSES)
    convert(make_config(), original, tmp_path / "record")
    record = read_mindrecord(tmp_path / "record", CLASSES)
    assert record.image_ids == original.image_ids and record.category_ids == original.category_ids
    assert [record.record(k).objects for k in range(4)] == [original.record(k).objects for k in range(4)]
    assert record.report == original.report and scored(record) == scored(original)


@pytest.mark.parametrize("name", ["corner_boxes", "bad_polygons", "via_export", "some_masks_as_crowds"])
def test_check_says_what_is_odd_once(name, quirky):
    _, without, crowds, line = EXPECTED[name]
    lines = list(annotated_images(read_coco(quirky(name), CLASSES), "kept"))
    assert lines[0].endswith(f"4 images, 5 objects, {crowds} of them crowds, {5 - without} with a mask")
    assert sum(line in said for said in lines) == 1


def test_two_images_of_one_id_are_named_with_their_id(quirky):
    with pytest.raises(UserError, match="two images have the id 1: p1.jpg and p2.jpg"):
        read_coco(quirky("two_images_one_id"), CLASSES)


def test_the_image_of_another_size_is_named_in_training_and_evaluation(quirky, make_config, caplog):
    dataset = read_coco(quirky("size_disagrees"), CLASSES)
    assert dataset.report.objects == 5 and not caplog.messages
    said = "p1.jpg has 96 x 72 pixels, its entry"
    assert list(dataset.coco.imgs) == [2, 3, 4] and said in caplog.text
    caplog.clear()
    list(build_train_loader(make_config(batch_size=1, epoch_size=1), dataset))
    assert said in caplog.text
    caplog.clear()
    batches = list(build_eval_loader(make_config(), dataset))
    assert sum((batch.readable for batch in batches), []) == [False, True, True, True]
    assert f"{said} in the label file 72 x 96; it is left out with its objects" in caplog.text


def test_ids_come_back_as_the_file_has_them(quirky, tmp_path):
    dataset = read_coco(quirky("text_ids"), CLASSES)
    save_predictions(tmp_path / "found.json", perfect_results(dataset))
    ids = {result["image_id"] for result in json.loads((tmp_path / "found.json").read_text())}
    assert ids == {"img_1", "img_2", "img_3"}
