"""Resampled scores against those of the images themselves, each taken as often as it was drawn."""

import numpy as np
import pytest

from src.evaluation import bootstrap
from src.evaluation.bootstrap import Difference, differences, resamples_for, weights
from src.evaluation.resampled_classes import accuracy_statistics, iou_statistics
from src.evaluation.resampled_detection import RECALLS, SCORES, ap_statistics, average_precision
from src.evaluation.segmentation_eval import SegmentationResult
from src.evaluation.table_eval import MatchTable, accumulated

AREAS, IOUS = 4, 10


def table(seed: int, images: int = 6, classes: int = 4, objects: int = 40, wrong: int = 90) -> MatchTable:
    """Matches with equal scores in several images, though not in one; ignored detections and objects; a class without
    objects and one without detections.
    """
    rng = np.random.default_rng(seed)
    own = rng.integers(0, images, objects), rng.integers(1, classes, objects)
    ignores = rng.random((objects, AREAS)) < [0.1, 0.6, 0.6, 0.6]
    on = np.flatnonzero(own[1] < classes - 1)  # the objects that a detection is on
    image = np.concatenate([own[0][on], rng.integers(0, images, wrong)])
    label = np.concatenate([own[1][on], rng.integers(0, classes - 1, wrong)])
    overlap = np.concatenate([rng.uniform(0.4, 1, len(on)), np.zeros(wrong)])
    matched = np.repeat((overlap[:, None] >= np.arange(0.5, 1, 0.05))[:, None], AREAS, axis=1)
    outside = rng.random((len(image), AREAS, 1)) < [[0], [0.6], [0.6], [0.6]]
    on_ignored = np.concatenate([ignores[on], np.zeros((wrong, AREAS), bool)])[:, :, None]
    score = np.empty(len(image))
    for one in range(images):
        score[image == one] = rng.permutation(60)[: (image == one).sum()] / 60
    order = np.lexsort((-score, label, image))
    ignored = np.where(matched, on_ignored, outside)
    arrays = (one[order] for one in (image, label, score, np.zeros(len(image), int), matched, ignored))
    return MatchTable(*arrays, *own, ignores)


def taken(whole: MatchTable, images: np.ndarray) -> MatchTable:
    """The table of these images, one after the other."""
    rows = np.concatenate([np.flatnonzero(whole.image == one) for one in images])
    objects = np.concatenate([np.flatnonzero(whole.object_image == one) for one in images])
    names = ("image", "label", "score", "rank", "matched", "ignored")
    own = (getattr(whole, name)[rows] for name in names)
    return MatchTable(*own, *(getattr(whole, f"object_{name}")[objects] for name in ("image", "label", "ignored")))


def slow(whole: MatchTable, images: np.ndarray, classes: int) -> np.ndarray:
    """(10, 101, C, A) precision, as COCO's evaluation of these images has it; NaN without an object."""
    counts = (IOUS, len(RECALLS), classes, AREAS, 1)
    found = accumulated(taken(whole, images), counts, RECALLS, [100])["precision"][..., 0]
    return np.where(found < 0, np.nan, found)


def loops(whole: MatchTable, images: np.ndarray, label: int, area: int, threshold: int) -> float:
    """AP by the words of its definition, number by number."""
    copies = taken(whole, images)
    own = [k for k in range(len(copies.image)) if copies.label[k] == label and not copies.ignored[k, area, threshold]]
    own.sort(key=lambda k: -copies.score[k])
    mine = zip(copies.object_label, copies.object_ignored)
    objects = sum(bool(one == label and not ignored[area]) for one, ignored in mine)
    if not objects:
        return np.nan
    points, right = [], 0
    for n, k in enumerate(own, start=1):
        right += bool(copies.matched[k, area, threshold])
        points.append((right / objects, right / n))
    recalls = (i / 100 for i in range(101))
    return sum(max((p for r, p in points if r >= recall - 1e-12), default=0) for recall in recalls) / 101


@pytest.mark.parametrize("seed", range(3))
def test_ap_of_resampled_images_is_that_of_their_copies(seed):
    whole, classes = table(seed), 4
    drawn = next(weights(6, 20, seed))
    values, at = average_precision(whole, classes, drawn)
    scores = ap_statistics({"bbox": whole}, classes)(drawn)
    assert np.isnan(values[0]).all() and (values[3, 0] == 0).any()
    for b in range(drawn.shape[1]):
        precision = slow(whole, np.repeat(np.arange(6), drawn[:, b].astype(int)), classes)
        np.testing.assert_allclose(values[..., b], precision.mean(axis=(0, 1)), atol=1e-13)
        np.testing.assert_allclose(at[:, 0, b], precision[0, ..., 0].mean(axis=0), atol=1e-13)
        np.testing.assert_allclose(at[:, 1, b], precision[5, ..., 0].mean(axis=0), atol=1e-13)
        sizes = [np.nanmean(precision[..., a]) for a in range(AREAS)]
        expected = [sizes[0], *(np.nanmean(precision[t, ..., 0]) for t in (0, 5)), *sizes[1:]]
        np.testing.assert_allclose(scores[: len(SCORES), b], expected, atol=1e-13)


def test_ap_of_resampled_images_is_that_of_its_definition():
    whole = table(7, images=5, objects=20, wrong=40)
    drawn = next(weights(5, 6, 7))
    values, _ = average_precision(whole, 4, drawn)
    for b in range(drawn.shape[1]):
        images = np.repeat(np.arange(5), drawn[:, b].astype(int))
        for label in range(4):
            for area in range(AREAS):
                expected = np.mean([loops(whole, images, label, area, t) for t in range(IOUS)])
                np.testing.assert_allclose(values[label, area, b], expected, atol=1e-12)


def test_recalls_that_rounding_does_not_reach_are_none_here_either():
    """Of 100 objects n are found: the recall n / 100 is reached but where NumPy's is larger, as 0.35 is."""
    for found in (7, 35, 41, 57, 69, 70, 82, 95, 99, 100):
        rows, objects = np.zeros(found, int), np.zeros(100, int)
        yes, no = np.ones((found, AREAS, IOUS), bool), np.zeros((found, AREAS, IOUS), bool)
        ignored = np.zeros((100, AREAS), bool)
        one = MatchTable(rows, rows, np.linspace(1, 0, found), rows, yes, no, objects, objects, ignored)
        expected = slow(one, np.array([0]), 1).mean(axis=(0, 1))
        np.testing.assert_allclose(average_precision(one, 1, np.ones((1, 1)))[0][..., 0], expected, atol=1e-13)


def test_the_draws_are_the_same_however_many_are_made_at_once(monkeypatch):
    whole = np.concatenate(list(weights(7, 20)), axis=1)
    assert whole.shape == (7, 21) and (whole[:, 0] == 1).all() and (whole.sum(axis=0) == 7).all()
    monkeypatch.setattr(bootstrap, "MOST_NUMBERS", 40)
    parts = list(weights(7, 20))
    assert [one.shape[1] for one in parts] == [5, 5, 5, 5, 1]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert not np.array_equal(next(weights(7, 20, seed=1))[:, 1], whole[:, 1])


def test_an_interval_is_that_of_the_slow_loop():
    """Of three images the second evaluation has one more right: the gain is a third for each time it is drawn."""
    truth = np.zeros(3, int)
    one, two = (
        accuracy_statistics(truth, np.array(right), np.ones(3), 1) for right in ([1, 0, 0], [1, 1, 0])
    )  # fmt: skip
    found = differences(one, two, 3, 200)[0]
    assert (found.first, found.second, found.gain) == (1 / 3, 2 / 3, 1 / 3)
    draws, gains = np.random.default_rng(0), []
    for _ in range(200):
        gains.append(sum(draws.integers(0, 3, 3) == 1) / 3)
    np.testing.assert_allclose([found.low, found.high], np.percentile(gains, (2.5, 97.5)), atol=1e-15)
    assert (found.low, found.is_better, found.is_worse) == (0, False, False)


def test_the_same_twice_differs_by_exactly_nothing_and_what_nothing_defines_has_no_difference():
    one = ap_statistics({"bbox": table(1)}, 4)
    found = differences(one, one, 6, 30)
    assert found[0].first > 0 and all((f.gain, f.low, f.high) == (0, 0, 0) for f in found if f.first is not None)
    assert [f for f in found if f.first is None] == [Difference(None, None, None, None)] * 4


def test_a_clear_gain_is_beyond_chance():
    rng = np.random.default_rng(0)
    truth, right = np.arange(300) % 3, rng.random(300) < 0.5
    one, two = (accuracy_statistics(truth, x, np.ones(300), 3) for x in (right, right | (rng.random(300) < 0.3)))
    for pair, verdict in (((one, two), (True, False)), ((two, one), (False, True))):
        assert {(f.is_better, f.is_worse) for f in differences(*pair, 300, 300)[2:]} == {verdict}


def test_accuracies_of_resampled_images():
    truth, right, top5 = np.array([0, 0, 1, -1]), np.array([1, 0, 1, 1]), np.array([1, 1, 1, 1])
    drawn = np.array([[1, 2, 0], [1, 1, 0], [1, 0, 0], [1, 1, 4]], float)  # the last image takes no part
    expected = [[2 / 3, 2 / 3, np.nan], [1, 1, np.nan], [1 / 2, 2 / 3, np.nan], [1, np.nan, np.nan]]
    np.testing.assert_allclose(accuracy_statistics(truth, right, top5, 2)(drawn), expected)


def test_iou_of_resampled_images_is_that_of_the_evaluation():
    rng = np.random.default_rng(0)
    confusions = rng.integers(0, 50, (5, 3, 3)) * (rng.random((5, 3, 3)) < 0.5)
    rows = [
        (i, k, one[k, k], one[k].sum(), one[:, k].sum())
        for i, one in enumerate(confusions) for k in range(3) if one[k].sum() + one[:, k].sum()
    ]  # fmt: skip
    image, label, *counts = np.array(rows).T
    drawn = next(weights(5, 20))
    found = iou_statistics(image, label, np.stack(counts, 1), 3)(drawn)
    for b in range(drawn.shape[1]):
        whole = SegmentationResult(np.tensordot(drawn[:, b].astype(int), confusions, 1), np.zeros(3, int))
        np.testing.assert_allclose(found[:, b], [*whole.metrics().values(), *whole.iou], atol=1e-15)


def test_of_very_much_as_many_resamples_are_made_as_fit():
    assert resamples_for(0) == resamples_for(2_000_000) == 1000
    assert resamples_for(10_000_000) == 800 and resamples_for(10**12) == 100
