"""Odd masks and crowds of label files: what they get, and that training and evaluation agree on it."""

import pytest

from src.data.formats.rules import Rules
from src.data.pipeline import HAS_MASK, DetectionSamples, build_train_loader
from src.evaluation.coco_eval import evaluate_predictions
from tests.data.tiny import square
from tests.data.truth import perfect_results, truth_of

SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]  # of the box (2, 2, 6, 6)


def test_one_polygon_as_a_flat_list_of_numbers_is_read(agreeing):
    dataset = agreeing(square(1, (2, 2, 6, 6), segmentation=SQUARE), square(1, (2, 2, 6, 6)))
    first, second = dataset.record(0).objects
    assert first.segmentation == second.segmentation == [SQUARE]


UNUSABLE = {
    "odd number of coordinates": [2, 2, 8, 2, 8, 8, 2],
    "two points": [2, 2, 8, 8],
    "without area": [2, 2, 5, 5, 8, 8],
    "without a pixel": [0.1, 0.1, 0.3, 0.1, 0.2, 0.3],
    "outside of the image": [30, 2, 38, 2, 38, 8],
    "left of the image": [-30, 2, -20, 2, -20, 8],
    "far out": [2, 2, 1e8, 2, 8, 8],
    "not finite": [2, 2, float("inf"), 2, 8, 8],
    "not a number": [2, 2, float("nan"), 2, 8, 8],
    "huge": [2, 2, 10**400, 2, 8, 8],
    "empty": [],
    "texts": ["2", "2", "8", "2", "8", "8"],
    "null": None,
    "nested": [SQUARE],
}


@pytest.mark.parametrize("part", UNUSABLE)
def test_an_unusable_part_is_left_out_and_alone_it_makes_an_object_without_a_mask(agreeing, part):
    alone = square(1, (2, 2, 6, 6), segmentation=[UNUSABLE[part]])
    in_front = square(1, (2, 2, 6, 6), segmentation=[UNUSABLE[part], SQUARE])
    dataset = agreeing(alone, in_front)
    assert [item.segmentation for item in dataset.record(0).objects] == [None, [SQUARE]]
    assert dataset.report.unusable_masks == ["annotation 1", "annotation 2"] and not dataset.report.degenerate_boxes


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [20, 12], "counts": [240]},
        {"size": [12, 20], "counts": [100, 40]},
        {"size": [12, 20], "counts": [240]},
        {"size": [12, 20], "counts": [-10, 250]},
        {"size": [12, 20], "counts": [10.5, 229.5]},
        {"size": [12, 20], "counts": "??"},
        {"size": [12, 20], "counts": ""},
        {"size": [12, 20], "counts": "é"},
        {"size": [12, 20]},
        {"size": None, "counts": [10, 230]},
        {"counts": [10, 230]},
        [[]],
        [None],
        "text",
        7,
        True,
    ],
)
def test_an_rle_of_another_size_and_what_is_no_segmentation_make_an_object_without_a_mask(agreeing, segmentation):
    dataset = agreeing(square(1, (2, 2, 6, 6), segmentation=segmentation))
    assert [item.segmentation for item in dataset.record(0).objects] == [None]
    assert dataset.report.unusable_masks == ["annotation 1"]


def test_an_object_without_a_mask_is_not_in_the_mask_loss_and_a_region_to_ignore_in_the_segm_table(
    agreeing, make_config
):
    bare, masked = square(1, (2, 2, 6, 6), segmentation=[]), square(1, (10, 2, 6, 6))
    dataset = agreeing(bare, masked)
    samples = DetectionSamples(dataset, [0], make_config(num_gts=3))
    assert samples.columns[-1] == HAS_MASK
    batch = dict(zip(samples.columns, build_train_loader(make_config(), dataset).source[0]))
    shows = batch["gt_labels"][:, 0] > 0
    assert batch["gt_labels"][shows].tolist() == [[1, 1, 0]]
    assert batch[HAS_MASK][shows].tolist() == [[False, True, False]]
    results = perfect_results(dataset)
    inside = results[0] | {"score": 0.95}  # a mask where nobody drew one: no error
    metrics = evaluate_predictions(dataset, [inside, *results], {})
    assert metrics["seg_mAP"] == pytest.approx(1) and metrics["bbox_mAP"] < 1  # as a box it is a duplicate
    assert evaluate_predictions(dataset, results[1:], {})["seg_mAP"] == pytest.approx(1)


def test_data_without_any_mask_train_boxes_alone_and_that_is_said_once(agreeing, make_config, caplog, capsys):
    dataset = agreeing(*(square(k, (2, 2, 6, 6), segmentation=None) for k in (1, 2)))
    build_train_loader(make_config(), dataset)
    assert sum("no object has a mask: boxes alone are trained" in message for message in caplog.messages) == 1
    metrics = evaluate_predictions(dataset, perfect_results(dataset), {})
    assert (metrics["bbox_mAP"], metrics["seg_mAP"]) == (pytest.approx(1), -1)
    assert "No ground-truth object has a mask" in capsys.readouterr().out


def test_data_with_all_masks_have_the_columns_of_before(agreeing, make_config):
    dataset = agreeing(square(1, (2, 2, 6, 6)), square(1, (2, 2, 8, 8), iscrowd=1, segmentation=None))
    assert HAS_MASK not in build_train_loader(make_config(), dataset).columns


@pytest.mark.parametrize(("objects", "is_said"), [(18, True), (19, False)])
def test_more_than_one_crowd_in_twenty_is_said_with_the_key(agreeing, objects, is_said):
    crowd = square(1, (2, 2, 6, 6), iscrowd=1)
    dataset = agreeing(crowd, *[square(2, (2, 2, 6, 6))] * objects)
    line = f"1 of {objects + 1} objects are crowds (iscrowd 1): not learned, and ignored in scores; `crowd_rle: objects"
    assert any(line in said for said in dataset.report.lines()) == is_said


@pytest.mark.parametrize(
    ("rule", "crowds", "expected"),
    [("auto", 1, 1), ("auto", 2, 0), ("objects", 1, 0), ("objects", 2, 0), ("crowds", 2, 2), ("crowds", 1, 1)],
)
def test_crowds_become_objects_by_the_key_or_where_every_object_is_one(agreeing, rule, crowds, expected):
    annotations = [square(1, (2 + k, 2, 6, 6), iscrowd=int(k < crowds)) for k in range(2)]
    dataset = agreeing(*annotations, rules=Rules(crowd_rle=rule))
    assert dataset.report.crowds == sum(one["iscrowd"] for one in truth_of(dataset)) == expected
    assert any("taken as objects" in note for note in dataset.report.notes) == (expected < crowds)
