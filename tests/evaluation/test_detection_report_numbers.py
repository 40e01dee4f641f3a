"""The report's numbers against their definitions in plain loops, on boxes drawn at random."""

import numpy as np
import pytest

from src.evaluation.coco_eval import ground_truth
from src.evaluation.detection_confusion import confusion_matrix
from src.evaluation.detection_curves import class_curves
from src.evaluation.detection_images import image_counts, worst_images
from src.evaluation.detection_matches import CORRECT, IGNORED, match_detections
from src.evaluation.label_errors import likely_label_errors
from tests.evaluation.tiny import make_dataset

SQUARE, DISC, BAR = 7, 3, 90
IDS = [SQUARE, DISC, BAR]


def matches_of(objects: list[tuple], found: list[tuple], images: int = 3):
    """objects: (image, category, box, crowd); found: (image, category, box, score); images 11, 12, ..."""
    dataset = make_dataset(objects, images)
    results = [
        {"image_id": image, "category_id": category, "bbox": [float(side) for side in box], "score": score}
        for image, category, box, score in found
    ]
    return match_detections(ground_truth(dataset), dataset.classes, results)


def drawn(seed: int, crowds: bool = False):
    rng = np.random.default_rng(seed)

    def box() -> tuple:
        return (*(rng.integers(0, 5, 2) * 9).tolist(), *rng.choice([18, 25, 37], 2).tolist())

    def label() -> int:
        return int(rng.choice(IDS))

    objects = [(11 + k % 3, label(), box(), crowds and rng.random() < 0.2) for k in range(18)]
    found = [(11 + k % 3, label(), box(), float(rng.integers(1, 10)) / 10) for k in range(60)]
    return objects, found


def iou(one, other) -> float:
    sides = [min(one[k] + one[k + 2], other[k] + other[k + 2]) - max(one[k], other[k]) for k in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


@pytest.mark.parametrize("seed", range(5))
def test_the_confusion_matrix_is_mmdetections(seed):
    """Every detection against every object of its image, object by object."""
    objects, found = drawn(seed)
    expected = np.zeros((4, 4), int)
    named = set()
    for image, category, box, score in found:
        if score < 0.3:
            continue
        on = [k for k, one in enumerate(objects) if one[0] == image and iou(box, one[2]) >= 0.5]
        for k in on:
            expected[IDS.index(objects[k][1]), IDS.index(category)] += 1
            named |= {k} if objects[k][1] == category else set()
        if not on:
            expected[3, IDS.index(category)] += 1
    for k, one in enumerate(objects):
        if k not in named:
            expected[IDS.index(one[1]), 3] += 1
    matrix = confusion_matrix(matches_of(objects, found), 0.3)
    assert matrix.tolist() == expected.tolist() and matrix[:3, :3].sum() > 3


@pytest.mark.parametrize("seed", range(5))
def test_curves_and_counts_of_images_are_those_of_each_score_alone(seed):
    """A matching of the detections from a score on alone gives the same as the matching of all."""
    objects, found = drawn(seed, crowds=True)
    whole = matches_of(objects, found)
    for label, curve in enumerate(class_curves(whole)):
        assert curve.objects == sum(IDS.index(one[1]) == label and not one[3] for one in objects)
        assert (np.diff(curve.scores) < 0).all()
        for k, score in enumerate(curve.scores):
            part = matches_of(objects, [one for one in found if one[3] >= score])
            own = part.label == label
            right = (own & (part.outcome == CORRECT)).sum()
            total = (own & (part.outcome != IGNORED)).sum()
            assert curve.precision[k] == right / total and curve.recall[k] == right / curve.objects
            assert curve.f1[k] == 2 * right / (total + curve.objects)
    part, counts = matches_of(objects, [one for one in found if one[3] >= 0.5]), image_counts(whole, 0.5)
    assert counts.correct.tolist() == np.bincount(part.image[part.outcome == CORRECT], minlength=3).tolist()
    assert counts.detections.tolist() == np.bincount(part.image[part.outcome != IGNORED], minlength=3).tolist()
    assert (counts.errors == counts.objects + counts.detections - 2 * counts.correct).all()


def test_of_equal_f1_the_highest_score_is_the_threshold():
    # From 0.9 on 1 of 1 is right, of 2 objects: 2/3; from 0.5 on 2 of 4: 4/6, the same.
    objects = [(11, SQUARE, (0, 0, 20, 20), False), (11, SQUARE, (40, 0, 20, 20), False)]
    found = [(11, SQUARE, (0, 0, 20, 20), 0.9), (11, SQUARE, (0, 60, 9, 9), 0.7), (11, SQUARE, (40, 60, 9, 9), 0.6)]
    curve = class_curves(matches_of(objects, [*found, (11, SQUARE, (40, 0, 20, 20), 0.5)]))[0]
    assert curve.f1.tolist() == [2 / 3, 2 / 4, 2 / 5, 2 / 3] and curve.threshold == 0.9


def test_a_class_without_objects_without_detections_or_without_a_right_one_has_no_threshold():
    objects = [(11, SQUARE, (0, 0, 20, 20), False), (11, BAR, (0, 60, 20, 20), False)]
    found = [(11, SQUARE, (60, 60, 20, 20), 0.9), (11, DISC, (60, 60, 20, 20), 0.9)]
    assert [one.threshold for one in class_curves(matches_of(objects, found))] == [None] * 3


def test_worst_images_of_equal_errors_stand_by_name():
    objects = [(image, SQUARE, (0, 0, 20, 20), False) for image in (11, 12, 13)]
    counts = image_counts(matches_of(objects, [(13, SQUARE, (60, 60, 9, 9), 0.9)], images=4), 0.3)
    assert counts.errors.tolist() == [1, 1, 2, 0]
    assert worst_images(counts, ["b", "a", "c", "d"]) == [2, 1, 0] and worst_images(counts, list("bacd"), 1) == [2]


def listed(objects: list[tuple], found: list[tuple]) -> list[tuple]:
    return [(one.kind, round(one.suspicion, 3)) for one in likely_label_errors(matches_of(objects, found))]


def test_what_is_seen_without_a_label_is_less_suspicious_the_more_it_lies_on_an_object():
    objects = [(11, SQUARE, (0, 0, 20, 20), False)]
    own = (11, SQUARE, (0, 0, 20, 20), 0.95)
    assert listed(objects, [own, (11, DISC, (60, 60, 20, 20), 0.9)]) == [("missing", 0.9)]
    assert listed(objects, [own, (11, DISC, (10, 0, 20, 20), 0.9)]) == [("missing", 0.6)]  # IoU 1/3 with it
    assert listed(objects, [own, (11, SQUARE, (10, 0, 20, 20), 0.9)]) == [("missing", 0.6)]  # it is taken
    assert listed(objects, [own, (11, DISC, (2, 0, 20, 20), 0.9)]) == []  # its class is seen better


def test_what_lies_on_something_better_or_in_a_crowd_is_no_missing_label():
    found = [(11, SQUARE, (60, 60, 20, 20), 0.9), (11, DISC, (60, 61, 20, 20), 0.8), (12, DISC, (5, 5, 20, 20), 0.7)]
    assert listed([], found) == [("missing", 0.9), ("missing", 0.7)]
    assert listed([(12, SQUARE, (0, 0, 50, 50), True)], found) == [("missing", 0.9)]


def test_a_label_that_nothing_finds_is_as_suspicious_as_the_likes_of_it_are_found():
    objects = [(11, SQUARE, (0, 0, 20, 20), False), (12, SQUARE, (0, 0, 20, 20), False)]
    found = [(11, SQUARE, (0, 0, 20, 20), 0.9)]
    assert listed(objects, found) == [("unfound", 0.5)]  # one of two small squares is found
    large = [*objects, (13, SQUARE, (0, 0, 60, 60), False)]  # of another size, of which none is found
    assert listed(large, found) == [("unfound", 0.5)]
    for score, expected in ((0.2, ("unfound", 0.4)), (0.3, ("class", 0.15))):  # something is there, a disc if anything
        assert listed(objects, [*found, (12, DISC, (0, 0, 20, 20), score)]) == [expected]


def test_a_moved_label_and_what_is_seen_beside_it_are_one_entry():
    objects = [(11, SQUARE, (0, 0, 20, 20), False)]
    assert listed(objects, [(11, SQUARE, (10, 0, 20, 20), 0.9)]) == [("moved", 0.6)]
