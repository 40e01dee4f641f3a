"""Odd label files, a row of issue 15's table a test: what they get, and that training and evaluation agree on it."""

import json

import numpy as np
import pytest

from src.data.formats import open_detection
from src.data.formats.coco import read_coco
from src.data.formats.rules import Rules
from src.data.masks import to_bitmap
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.inference.prediction_file import load_predictions, save_predictions
from src.inference.results import ImagePrediction, to_coco_results
from src.tasks import TASKS
from tests.data.tiny import CLASSES, square
from tests.data.truth import entry, perfect_results, truth_of

SUBSET = Rules(classes="subset")
SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]  # of the box (2, 2, 6, 6)
CATEGORIES = [{"id": 4, "name": "dog"}, {"id": 9, "name": "cat"}]


# ------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("images", "references"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", 7], ["a", 7]),
        ([0, 1], ["0", "1"]),
        (["0", "1"], [0, 1]),
        (["0", 0], ["0", 0]),
        ([0, "0"], [0, "0"]),
        ([2.0, -3], [2, "-3"]),
        (["007", 7], ["007", "7"]),
    ],
)
def test_image_ids_are_texts_or_numbers_and_one_form_stands_for_the_other_unless_both_are_there(
    agreeing, tmp_path, images, references
):
    annotations = [square(reference, (k, 1, 6, 6)) for k, reference in enumerate(references)]
    dataset = agreeing(*annotations, images=[entry(images[0], 1), entry(images[1], 2)])
    assert not dataset.report.unknown_references
    assert [(one["image_id"], one["bbox"][0]) for one in sorted(truth_of(dataset), key=lambda one: one["bbox"][0])] == [
        (images[0], 0), (images[1], 1),
    ]  # fmt: skip
    save_predictions(tmp_path / "p.json", perfect_results(dataset))
    written = json.loads((tmp_path / "p.json").read_text())
    assert {repr(one["image_id"]) for one in written} == set(map(repr, images))
    results = load_predictions(tmp_path / "p.json", dataset)
    assert evaluate_predictions(dataset, results, {})["seg_mAP"] == pytest.approx(1)


@pytest.mark.parametrize(("ids", "references"), [(("x", "y"), ("x", "y")), (("4", 9), (4, "9")), ((1, "1"), (1, "1"))])
def test_category_ids_are_texts_or_numbers(agreeing, ids, references):
    categories = [{"id": ids[0], "name": "dog"}, {"id": ids[1], "name": "cat"}]
    annotations = [square(1, (k, 1, 6, 6), reference) for k, reference in enumerate(references)]
    dataset = agreeing(*annotations, categories=categories)
    assert dataset.category_ids == [ids[1], ids[0]]
    assert [item.label for item in dataset.record(0).objects] == [1, 0]
    prediction = ImagePrediction(
        12, 20, np.float32([[0, 0, 5, 5]]), np.int32([1]), np.float32([0.5]), [{"size": [12, 20], "counts": "0"}]
    )
    assert to_coco_results(prediction, 1, dataset.category_ids)[0]["category_id"] == ids[0]
    metrics = evaluate_predictions(dataset, perfect_results(dataset), {})
    assert metrics["bbox_mAP"] == metrics["seg_mAP"] == pytest.approx(1)


@pytest.mark.parametrize("own", ["x", None, [1], 0, True, float("nan"), "absent"])
def test_annotation_ids_may_be_anything(agreeing, own):
    annotation = square(1, (2, 2, 6, 6)) | {"id": own}
    dataset = agreeing(annotation, annotation)
    assert len(truth_of(dataset)) == 2
    assert evaluate_predictions(dataset, perfect_results(dataset), {})["bbox_AR100"] == 1


@pytest.mark.parametrize("wrong", [None, [1], {}, True, float("nan")])
@pytest.mark.parametrize("kind", ["image", "category"])
def test_what_can_be_no_id_of_an_image_or_a_category_is_an_error_and_a_reference_to_nothing(coco_folder, kind, wrong):
    changes = {"images": [entry(wrong)]} if kind == "image" else {"categories": [{"id": wrong, "name": "dog"}]}
    with pytest.raises(UserError, match="labels.json.* id "):
        read_coco(coco_folder([(20, 12)], [], **changes), CLASSES)
    annotation = square(1, (2, 2, 6, 6)) | {f"{kind}_id": wrong}
    assert len(read_coco(coco_folder([(20, 12)], [annotation]), CLASSES).report.unknown_references) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": [entry("a", 1), entry("a", 2)]}, "two images have the id 'a': 1.png and 2.png"),
        ({"categories": [*CATEGORIES, {"id": 4, "name": "cow"}]}, "category id 4 has two names, 'dog' and 'cow'"),
        ({"images": [entry(1) | {"file_name": 17}]}, "image 1 has file_name 17; it must be a text"),
        ({"images": [entry(1) | {"file_name": None}]}, "image 1 has file_name None"),
        ({"categories": [{"id": 4, "name": 5}]}, "category 4 has name 5; it must be a text"),
        ({"categories": [{"id": 4, "name": "a\ud800"}]}, "category 4 has name 'a\\ud800'; it must be a text"),
        ({"categories": [{"id": [4], "name": "dog"}]}, "categories[0] has id [4]; it must be a number or a text"),
        ({"images": [entry(1), entry(2) | {"height": "x"}]}, "image 2 has height 'x'; it must be a number of pixels"),
        ({"images": [entry(1) | {"width": 10**6, "height": 10**6}]}, "1000000 pixels, and max_image_pixels is"),
        ({"images": [entry(1), {"id": 2}]}, "images[1] has no 'file_name'"),
        ({"categories": [[]]}, "categories[0] is [], not an object"),
    ],
)
def test_entries_that_contradict_one_another_are_an_error_that_names_them(coco_folder, changes, said):
    with pytest.raises(UserError) as caught:
        read_coco(coco_folder([(20, 12)] * 2, [], **changes), CLASSES)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_an_annotation_that_lacks_a_key_is_named_with_it(coco_folder):
    with pytest.raises(UserError, match=r"labels.json is not a COCO label file: annotations\[1\] has no 'category_id'"):
        read_coco(coco_folder([(20, 12)], [square(1, (1, 1, 5, 5)), {"image_id": 1}]), CLASSES)


# ------------------------------------------------------------------------------------------------------ categories


@pytest.mark.parametrize(
    ("added", "note"),
    [
        ({"id": 9, "name": "cat"}, "categories are listed more than once with the same id and name: [9]"),
        ({"id": 7, "name": "cat"}, "the category 'cat' has 2 ids, [9, 7]: one class"),
        ({"id": 7, "name": "background"}, "the category 'background' is dropped, with its 1 annotations"),
    ],
)
def test_repeated_categories_are_one_class_and_background_is_none(agreeing, added, note):
    annotations = [square(1, (2, 2, 6, 6)), square(1, (3, 2, 6, 6), 4), square(1, (1, 2, 6, 6), added["id"])]
    dataset = agreeing(*annotations, categories=[*CATEGORIES, added])
    assert note in dataset.report.notes and dataset.category_ids == [9, 4]
    labels = [item.label for item in dataset.record(0).objects]
    assert labels == ([0, 1] if added["name"] == "background" else [0, 1, 0])


def test_exact_refuses_categories_with_objects_that_are_no_class_and_says_how_to_go_on(coco_folder):
    with pytest.raises(UserError) as caught:
        read_coco(coco_folder([(20, 12)], [square(1, (2, 2, 6, 6), 4)]), ("cat", "cow"))
    said = str(caught.value)
    assert "only in coco_classes: ['cow']; only in the file: ['dog']; `classes: subset` leaves out" in said


def test_subset_takes_the_named_classes_and_leaves_the_others_out_of_training_and_scores(agreeing):
    annotations = [square(1, (2, 2, 6, 6), 4), square(1, (3, 2, 6, 6)), square(2, (1, 2, 6, 6), 4)]
    dataset = agreeing(*annotations, classes=("cat",), rules=SUBSET)
    assert len(truth_of(dataset)) == 1 and dataset.training_indices(True) == [0]
    assert any("2 annotations of categories that are no class are left out" in note for note in dataset.report.notes)
    assert evaluate_predictions(dataset, perfect_results(dataset), {})["bbox_mAP"] == pytest.approx(1)


def test_subset_needs_one_class_that_is_in_both(coco_folder):
    with pytest.raises(UserError, match="`classes: subset` needs one that is in both"):
        read_coco(coco_folder([(20, 12)], [square(1, (2, 2, 6, 6))]), ("cow",), rules=SUBSET)


@pytest.mark.parametrize("rules", [Rules(), SUBSET])
def test_categories_without_annotations_never_stop_a_run(agreeing, rules):
    dataset = agreeing(square(1, (2, 2, 6, 6)), classes=("cat",), rules=rules)
    assert dataset.classes == ("cat",) and "that are no class: ['dog']" in dataset.report.notes[0]


def test_a_class_that_the_file_lacks_is_said_and_its_ap_is_not_counted(agreeing, capsys):
    dataset = agreeing(square(1, (2, 2, 6, 6)), square(1, (1, 1, 6, 6), 4), classes=("cat", "cow", "dog"))
    assert dataset.category_ids == [9, 2, 4]
    assert "classes that the file does not have: ['cow']" in dataset.report.notes[0]
    wrong = perfect_results(dataset)[0] | {"category_id": 2}
    assert evaluate_predictions(dataset, [*perfect_results(dataset), wrong], {})["bbox_mAP"] == pytest.approx(1)
    assert ["cow", "0", "-", "-"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_without_classes_in_the_configuration_they_are_those_of_the_label_file_in_its_order(coco_folder, make_config):
    folder = coco_folder([(20, 12)] * 2, [square(1, (2, 2, 6, 6))])
    open_config = make_config(coco_classes="[]", num_classes=81, train_dataset=folder)
    cfg = TASKS["detection"].resolved(open_config)
    assert (cfg.coco_classes, cfg.num_classes) == (["background", "dog", "cat"], 3)
    assert open_detection(cfg, "train").category_ids == [4, 9]
    with pytest.raises(UserError, match="coco_classes names no class"):
        TASKS["detection"].build_model(open_config)


@pytest.mark.parametrize("change", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b",", b",\r\n")])
def test_a_byte_order_mark_and_windows_line_ends_are_read(coco_folder, change):
    folder = coco_folder([(20, 12)], [square(1, (2, 2, 6, 6))])
    (folder / "labels.json").write_bytes(change((folder / "labels.json").read_bytes()))
    assert len(read_coco(folder, CLASSES).record(0).objects) == 1


# --------------------------------------------------------------------------------------------------------- objects


@pytest.mark.parametrize("area", [None, "absent", "36", 0, -36, 17.9, 72.1, float("nan"), [36], True])
@pytest.mark.parametrize("segmentation", [[SQUARE], None])
def test_an_area_that_is_none_or_off_by_more_than_a_factor_of_two_is_taken_from_mask_or_box(
    agreeing, area, segmentation
):
    odd = square(1, (2, 2, 6, 6), segmentation=segmentation, area=area)
    if area == "absent":
        del odd["area"]
    dataset = agreeing(odd, square(1, (2, 2, 6, 6)))
    assert [one["area"] for one in truth_of(dataset)] == [36, 36]
    assert dataset.report.odd_areas == ["annotation 1"]
    assert sum("1 of 2 annotations have no area, or one far from" in line for line in dataset.report.lines()) == 1


@pytest.mark.parametrize(
    "polygons",
    [
        [[2, 2, 8, 2, 8, 8, 2, 8]],
        [[1, 1, 15, 2, 12, 9, 3, 7]],
        [[1, 1, 11, 11, 11, 1, 1, 9]],  # crosses itself
        [[2, 2, 8, 2, 8, 8, 2, 8], [4, 4, 10, 4, 10, 10, 4, 10]],  # parts that overlap
        [[2, 2, 8, 2, 8, 8, 2, 8, 2, 2, 8, 2, 8, 8, 2, 8]],  # goes round twice
        [[-6, 2, 8, 2, 8, 8, -6, 8]],  # leaves the image
    ],
)
def test_an_area_that_nobody_wrote_is_that_of_the_mask_by_its_pixels_or_its_corners(agreeing, polygons):
    dataset = agreeing(square(1, (2, 2, 6, 6), area=None, segmentation=polygons))
    pixels = int(to_bitmap(polygons, 12, 20).sum())
    assert truth_of(dataset)[0]["area"] == pytest.approx(pixels, rel=0.1)


@pytest.mark.parametrize("area", [18, 36.25, 72])
def test_a_sound_area_stays_as_written(agreeing, area):
    dataset = agreeing(square(1, (2, 2, 6, 6), area=area), square(1, (2, 2, 6, 6), area=area, segmentation=[]))
    assert [one["area"] for one in truth_of(dataset)] == [area, area] and not dataset.report.odd_areas


@pytest.mark.parametrize(
    ("flag", "crowd"),
    [(None, False), ("absent", False), (0, False), (False, False), ("0", False), (1, True), (True, True), ("1", True),
     ([], False), ({}, False), ("no", False), (float("nan"), False), (2, False), (-1, False), (0.5, False)],
)  # fmt: skip
def test_an_iscrowd_that_is_null_or_absent_is_0(agreeing, flag, crowd):
    one = square(1, (2, 2, 6, 6), iscrowd=flag)
    if flag == "absent":
        del one["iscrowd"]
    dataset = agreeing(one, *[square(2, (2, 2, 6, 6))] * 30)
    assert [item.crowd for item in dataset.record(0).objects] == [crowd]
    assert bool(dataset.report.odd_crowds) == (flag in ([], {}, "no", 2, -1, 0.5) or flag != flag)


RLE = {"size": [12, 20], "counts": [2 * 12 + 2] + [6, 6] * 5 + [6, 12 * 20 - 8 * 12 + 4]}


@pytest.mark.parametrize("box", [None, [], "absent"])
@pytest.mark.parametrize("segmentation", [[SQUARE], RLE])
def test_a_box_that_is_not_there_is_derived_from_polygon_or_rle(agreeing, box, segmentation):
    one = square(1, (2, 2, 6, 6), segmentation=segmentation, bbox=box)
    if box == "absent":
        del one["bbox"]
    dataset = agreeing(one)
    assert dataset.record(0).objects[0].box == (2, 2, 8, 8) and truth_of(dataset)[0]["bbox"] == [2, 2, 6, 6]
    assert dataset.report.derived_boxes == ["annotation 1"]


def test_boxes_that_disagree_with_their_polygons_are_counted_and_named(agreeing):
    corners = square(1, (2, 2, 6, 6), bbox=[6, 4, 16, 11], segmentation=[[6, 4, 16, 4, 16, 11, 6, 11]], area=70)
    dataset = agreeing(corners, corners, square(1, (2, 2, 6, 6)), square(2, (1, 1, 7, 7), segmentation=[SQUARE]))
    assert dataset.report.odd_boxes == ["annotation 1", "annotation 2"] and dataset.report.corner_boxes == 2
    (line,) = [line for line in dataset.report.lines() if "boxes disagree" in line]
    assert line.startswith("2 of 4 boxes disagree with their masks (2 would agree as x1, y1, x2, y2")
    assert line.endswith("(annotation 1, annotation 2)")


def test_corner_boxes_without_masks_are_counted_where_they_leave_their_image(agreeing):
    corners = square(1, (2, 2, 6, 6), bbox=[8, 5, 18, 11], segmentation=[], area=60)
    outside = square(1, (2, 2, 6, 6), bbox=[-9, 2, 20, 6], segmentation=[], area=66)
    edge = square(1, (2, 2, 6, 6), bbox=[-1, 2, 22, 6], segmentation=[], area=120)
    dataset = agreeing(corners, corners | {"bbox": [9, 5, 19, 11]}, outside, edge)
    assert dataset.report.outer_boxes == ["annotation 1", "annotation 2", "annotation 3"]
    (line,) = [line for line in dataset.report.lines() if "reach out" in line]
    assert line.startswith("3 of 4 boxes without a mask reach out of their image (2 would lie in it as x1, y1, x2, y2")


@pytest.mark.parametrize("box", [[2, 2, 1e12, 6], [-1e30, 2, 2e30, 6], [2, 2, 6, 10**30], [1e308, 1e308, 1e308, 1e308]])
@pytest.mark.parametrize("segmentation", [[SQUARE], None])
def test_a_box_that_reaches_far_out_of_its_image_is_no_box(agreeing, box, segmentation):
    dataset = agreeing(square(1, (2, 2, 6, 6), bbox=box, segmentation=segmentation), square(1, (1, 1, 5, 5)))
    assert dataset.report.degenerate_boxes == ["annotation 1"] and len(truth_of(dataset)) == 1


def test_annotations_that_repeat_another_one_are_counted(agreeing):
    one = square(1, (2, 2, 6, 6))
    changes = ({"category_id": 4}, {"segmentation": None}, {"image_id": 2}, {"bbox": [2, 2, 6, 5]})
    alike = [one | change for change in changes]
    dataset = agreeing(one, one, *alike, one)
    assert dataset.report.repeated == ["annotation 2", "annotation 7"] and len(truth_of(dataset)) == 7
    assert sum("2 annotations repeat another one" in line for line in dataset.report.lines()) == 1
