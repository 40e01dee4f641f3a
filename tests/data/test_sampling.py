"""How often an epoch takes which image: repeat factors by rarest class; the order is a function of seed and epoch."""

import doctest

import numpy as np
import pytest

from src.data import repeat_factors, sampling
from src.data.formats.coco import read_coco
from src.data.loader import TrainSource, make_train_loader
from src.data.pipeline import DetectionSamples, build_train_loader
from src.data.repeat_factors import RepeatFactors
from src.data.sampling import Sampling
from src.data.streams import SampleStreams
from src.errors import UserError
from src.tasks import TASKS
from tests.data.tiny import CLASSES, square

# Which of 16 images show it: 16/16, 8/16, 4/16 and 1/16 of them; the last image shows nothing.
IMAGES_OF = {0: range(15), 1: range(8), 2: range(6, 10), 3: [9]}
SHOWN = [{label for label, images in IMAGES_OF.items() if image in images} for image in range(16)]


class Numbers:
    """Samples that say which they are: the entry, and a number of their randomness."""

    columns, name = ("entry", "drawn"), "numbers"

    def __init__(self, count: int):
        self.keys = list(range(100, 100 + count))

    def read(self, entry):
        return entry

    def make(self, entry, streams):
        return np.int64(entry), np.int64(streams.shared.randint(2**31 - 1))

    def mix(self, batch, rng):
        return batch


def source(plan: Sampling | None, batch_size: int = 2, rank: int = 0, size: int = 1, steps: int = 9, first: int = 0):
    count = 6 if plan is None else len(plan.repeats)
    return TrainSource(Numbers(count), 3, batch_size, rank, size, 3, first, steps, plan)


def taken(of: TrainSource, items) -> list[tuple[int, int]]:
    """(entry, drawn) of every sample of these batches."""
    return [tuple(map(int, one)) for item in items for one in zip(*of[item])]


# -------------------------------------------------------------------------------------------------- repeat factors


@pytest.mark.parametrize(
    ("threshold", "of_class", "repeats"),
    [
        # sqrt(0.25 / share): 0.52 and 0.71 for the two frequent classes, 1 for the third, 2 for the rare one, no 3.
        (0.25, [1, 1, 1, 2], [1] * 9 + [2] + [1] * 6),
        # sqrt(0.5 / share): 0.73, 1 (no 2), 1.41 -> 2, 2.83 -> 3.
        (0.5, [1, 1, 2**0.5, 8**0.5], [1] * 6 + [2] * 3 + [3] + [1] * 6),
        # sqrt(1 / share): 15/16 of the images show the first class, so that they count twice; 4 is a whole number.
        (1.0, [(16 / 15) ** 0.5, 2**0.5, 2, 4], [2] * 9 + [4] + [2] * 5 + [1]),
        (0.01, [1, 1, 1, 1], [1] * 16),
    ],
)
def test_an_images_rarest_class_says_how_often_it_is_taken(threshold, of_class, repeats):
    found = RepeatFactors.of(SHOWN, threshold)
    assert found.shares == {0: 15 / 16, 1: 8 / 16, 2: 4 / 16, 3: 1 / 16}
    of_images = [max(of_class[:2]), max(of_class[:3]), max(of_class), 1]
    assert found.factors[[0, 7, 9, 15]] == pytest.approx(of_images)
    assert found.repeats.tolist() == repeats


def test_repeats_are_lvis_by_another_writing():
    rng = np.random.RandomState(0)
    for threshold in (1e-3, 0.02, 0.1, 0.3, 1.0):
        shows = rng.rand(300, 12) < np.geomspace(0.004, 0.7, 12)
        shares = shows.mean(0)
        with np.errstate(divide="ignore"):
            of_class = np.maximum(1.0, np.sqrt(threshold / shares))
        expected = np.ceil(np.where(shows, of_class, 1.0).max(1))
        found = RepeatFactors.of([set(np.flatnonzero(row).tolist()) for row in shows], threshold)
        np.testing.assert_array_equal(found.repeats, expected)
        assert expected.max() > 1 or threshold == 1e-3


def test_repeats_stand_next_to_each_other_before_the_permutation():
    plan = Sampling.repeated(np.array([1, 3, 1, 2]))
    listed = [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1)]
    for epoch in (0, 5):
        order = np.random.RandomState([7, epoch]).permutation(7)
        assert list(map(tuple, plan.order(7, epoch).tolist())) == [listed[place] for place in order]
    assert len(plan) == 7 and plan.counts(7, 0).tolist() == [1, 3, 1, 2] and not plan.is_plain


def test_without_repeats_no_bit_changes():
    """The order and every number are those of the versions without sampling."""
    for epoch in range(3):
        order = np.random.RandomState([3, epoch]).permutation(6)
        drawn = [np.random.RandomState([3, epoch, 100 + entry]).randint(2**31 - 1) for entry in order]
        steps = range(3 * epoch, 3 * epoch + 3)
        for plan in (None, Sampling.plain(6), Sampling.repeated(RepeatFactors.of([{0}] * 6, 1.0).repeats)):
            assert taken(source(plan), steps) == list(zip(order, drawn))


def test_each_repeat_draws_its_own_numbers_and_the_first_those_without_repeats():
    plan = Sampling.repeated(np.array([1, 3, 1, 1, 1, 2]))
    found = taken(source(plan, batch_size=3), range(3))
    alone = dict(taken(source(None), range(3)))
    assert sorted(entry for entry, _ in found) == [0, 1, 1, 1, 2, 3, 4, 5, 5]
    assert len({drawn for _, drawn in found}) == 9 and set(alone.items()) <= set(found)
    third = SampleStreams(3, 0, 101, repeat=2).shared.randint(2**31 - 1)
    assert (1, third) in found and third == np.random.RandomState([3, 0, 101, 0, 2]).randint(2**31 - 1)


def test_a_sample_is_the_same_in_any_order_on_any_rank_and_after_a_resume():
    plan = Sampling.repeated(np.array([1, 2, 1, 1, 3, 2, 1, 1]))  # 12 samples
    whole = taken(source(plan, 4), range(9))
    assert [one for item in reversed(range(9)) for one in reversed(taken(source(plan, 4), [item]))] == whole[::-1]
    assert taken(source(plan, 4, first=5), range(4)) == whole[20:]
    ranks = [taken(source(plan, 2, rank, 2), range(9)) for rank in (0, 1)]
    for step in range(9):
        both = [one for rank in ranks for one in rank[2 * step : 2 * step + 2]]
        assert both == whole[4 * step : 4 * step + 4]
    for epoch in range(3):
        assert sorted(entry for entry, _ in whole[12 * epoch : 12 * epoch + 12]) == sorted([*range(8), 1, 4, 4, 5])
    assert whole[:12] != whole[12:24]


def test_examples_of_the_docstrings_are_true():
    found = [doctest.testmod(module) for module in (sampling, repeat_factors)]
    assert [(one.attempted >= 2, one.failed) for one in found] == [(True, 0)] * 2


# -------------------------------------------------------------------------------------------------- detection


@pytest.fixture()
def herd(coco_folder):
    """Eight images with a dog; two of them, one as a crowd, with the only cats; a ninth image is empty."""
    annotations = [square(image, (1, 2, 8, 6), 4) for image in range(1, 9)]
    annotations += [square(3, (12, 8, 9, 9)), square(5, (12, 8, 9, 9), iscrowd=1)]
    return coco_folder([(32, 24)] * 9, annotations)


def test_a_detector_takes_images_of_a_rare_class_more_often(herd, make_config, caplog):
    caplog.set_level("INFO")
    classes = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3}
    places = {"train_dataset": herd, "val_dataset": ""} | classes
    cfg = make_config(**places, repeat_threshold=0.5, filter_empty_gt=True)
    loader = TASKS["detection"].make_loader(cfg, 0, 1, 0)
    # 2 of the 8 images that take part show a cat, the crowd counts: sqrt(0.5 / 0.25) = 1.41, so both stand there twice
    assert loader.steps_per_epoch == 5 and len(loader) == 10
    line = (
        "repeat_threshold 0.5: 8 images become 10 samples; repeats: cat 2 (of 2 images, which 25.00% of all show)"
    )
    assert line in caplog.messages
    sections = dict(TASKS["detection"].inspect(cfg))
    assert list(sections["sampling"]) == [line]
    counts = np.bincount(loader.source.sampling.order(cfg.seed, 0)[:, 0])
    assert counts.tolist() == [1, 1, 2, 1, 2, 1, 1, 1]
    # with the empty image the shares are 2/9 and 8/9, and it stands there once
    cfg = make_config(**places, repeat_threshold=0.5, filter_empty_gt=False)
    loader = build_train_loader(cfg, TASKS["detection"].open(cfg, "train"))
    assert loader.source.sampling.repeats.tolist() == [1, 1, 2, 1, 2, 1, 1, 1, 1]
    assert "5 of 11 samples are left out" not in caplog.text
    assert "1 of 11 samples are left out of each epoch (another choice every time)" in caplog.messages


def test_repeats_of_a_detectors_image_differ_and_its_first_sample_is_that_without_them(herd, make_config):
    dataset = read_coco(herd, CLASSES)
    cfg = make_config(flip_ratio=0.5, expand_ratio=0.5, batch_size=1)
    indices = dataset.training_indices(True)
    once, thrice = (
        make_train_loader(cfg, DetectionSamples(dataset, indices, cfg), sampling=plan).source
        for plan in (None, Sampling.repeated(np.full(8, 3)))
    )
    seeds = [{int(one[k][-1][0]) for k in range(len(one) // 2)} for one in (once, thrice)]
    assert len(seeds[0]) == 8 and len(seeds[1]) == 24 and seeds[0] < seeds[1]


def test_a_batch_of_more_samples_than_an_epoch_has_is_refused(herd, make_config):
    dataset = read_coco(herd, CLASSES)
    build_train_loader(make_config(batch_size=10, repeat_threshold=0.5, filter_empty_gt=True), dataset)
    with pytest.raises(UserError, match=r"batch_size 11 x 1 device\(s\) is larger than the 10 training samples of "):
        build_train_loader(make_config(batch_size=11, repeat_threshold=0.5, filter_empty_gt=True), dataset)
    with pytest.raises(UserError, match=r"batch_size 11 x 1 device\(s\) is larger than the 8 training images of "):
        build_train_loader(make_config(batch_size=11, filter_empty_gt=True), dataset)
    for wrong in ("-0.1", "1.5", ".nan"):
        with pytest.raises(UserError, match="repeat_threshold is"):
            make_config(repeat_threshold=wrong)


def test_the_line_names_the_rarest_classes_first_and_not_endlessly():
    # image k of 20 shows class k and all classes above it: class 19 is in all of them, class 0 in one
    found = RepeatFactors.of([set(range(k, 20)) for k in range(20)], 0.5)
    line = found.line([f"class {k}" for k in range(20)])
    # sqrt(0.5 / 0.05) = 3.16 of class 0, sqrt(5) = 2.24 of class 1, then up to 0.45: below 2; 0.5 / 0.5 is 1
    assert line.startswith("repeat_threshold 0.5: 20 images become 32 samples; repeats: class 0 3 (of 1 images, ")
    assert line.endswith("class 7 1 (of 1 images, which 40.00% of all show), and 1 more classes")
    assert RepeatFactors.of([{0}], 0.5).line(["x"]).endswith("no class is that rare, no image is repeated")
