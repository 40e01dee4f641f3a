"""train_resize short_long: training batches of one orientation, as pure a function of seed and epoch as any."""

import logging

import numpy as np
import pytest

from src.data.formats.coco import read_coco
from src.data.held_losses import loss_batches
from src.data.pipeline import DetectionSamples, build_train_loader, sampling_lines
from src.data.whole_batches import in_batches_of_a_kind, whole_batches
from src.errors import UserError
from tests.data.tiny import CLASSES, square

SIZES = [(60, 40), (40, 60), (60, 40), (40, 60), (40, 60), (50, 50), (60, 40), (40, 60), (60, 40), (60, 40), (40, 60)]
HIGH = {2, 4, 5, 8, 11}  # image ids of the portraits; the other six are landscapes


@pytest.fixture()
def mixed(coco_folder):
    return read_coco(coco_folder(SIZES, [square(k, (10, 4, 20, 8)) for k in range(1, 12)]), CLASSES)


@pytest.fixture()
def config(make_config):
    keys = {"img_width": 96, "img_height": 64, "divider": 32, "train_resize": "short_long", "resize_limits": [90, 60]}
    return lambda **more: make_config(**keys, flip_ratio=0.5, expand_ratio=0.5, seed=4, **more)


def ids_of(loader) -> list[list[int]]:
    """The image ids of every step."""
    source = loader.source
    found = []
    for step in range(source.first_step, source.first_step + len(source)):
        epoch, of_epoch = divmod(step, source.steps_per_epoch)
        start = (of_epoch * source.size + source.rank) * source.batch_size
        found.append([int(k) + 1 for k in source._permutation(epoch)[start : start + source.batch_size, 0]])
    return found


def test_batches_of_a_kind_stand_where_they_were_filled_and_their_number_is_that_of_the_kinds():
    kinds = [0, 0, 1, 1, 0, 1, 1]
    order = np.array([4, 2, 0, 3, 1, 6, 5])
    assert order[in_batches_of_a_kind([kinds[one] for one in order], 2)].tolist() == [4, 0, 2, 3, 6, 5]
    for seed in range(20):
        order = np.random.RandomState(seed).permutation(7)
        found = order[in_batches_of_a_kind([kinds[one] for one in order], 2)]
        assert len(found) == 6 and len(set(found)) == 6
        assert all(kinds[one] == kinds[other] for one, other in found.reshape(-1, 2))


def test_a_step_of_all_ranks_has_one_orientation_and_each_epoch_as_many(mixed, config):
    loader = build_train_loader(config(epoch_size=3), mixed)
    steps = ids_of(loader)
    assert loader.steps_per_epoch == 3 + 2 and len(steps) == 15
    assert all(set(step) <= HIGH or not set(step) & HIGH for step in steps)
    epochs = [steps[5 * k : 5 * k + 5] for k in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] and all(len(set(sum(epoch, []))) == 10 for epoch in epochs)
    ranks = [ids_of(build_train_loader(config(epoch_size=3), mixed, rank, 2)) for rank in range(2)]
    assert all(len(ids) == 3 * (1 + 1) for ids in ranks)
    for one, other in zip(*ranks):
        both = {*one, *other}
        assert len(both) == 4 and (both <= HIGH or not both & HIGH)


def test_batches_have_the_shape_of_their_orientation_whoever_reads_them_and_from_wherever(mixed, config):
    whole = list(build_train_loader(config(), mixed))
    assert {batch[0].shape for batch in whole} == {(2, 3, 64, 96), (2, 3, 96, 64)}
    assert all(batch[5].shape[2:] == (batch[0].shape[2], batch[0].shape[3] // 8) for batch in whole)
    later = list(build_train_loader(config(num_parallel_workers=2), mixed).from_step(3))
    assert len(whole) == 10 and len(later) == 7
    for one, other in zip(whole[3:], later):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left.asnumpy(), right.asnumpy())


def test_image_box_and_mask_of_a_portrait_move_together(mixed, make_config):
    cfg = make_config(
        img_width=96, img_height=64, divider=32, train_resize="short_long", resize_limits=[90, 60], flip_ratio=1.0
    )
    samples = DetectionSamples(mixed, list(range(11)), cfg)
    from src.data.streams import SampleStreams

    sample = dict(zip(samples.columns, samples.make(samples.read(1), SampleStreams(0, 0, 1))))
    # 40 x 60 becomes 60 x 90; x 10..30 becomes 15..45, mirrored 15..45; y 4..12 becomes 6..18
    assert sample["image"].shape == (3, 96, 64) and sample["image_shape"].tolist() == [90, 60]
    assert sample["gt_boxes"][0].tolist() == [15, 6, 45, 18]
    rows, columns = np.nonzero(np.unpackbits(sample["gt_masks"][0], axis=-1))
    assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [15, 6, 45, 18]
    plain = samples.plain(samples.read(1), SampleStreams(0, 0, 1))
    assert plain[0].shape == (3, 96, 64)


def test_a_file_that_cannot_be_read_is_replaced_by_one_of_its_orientation(mixed, config):
    mixed.record(1).path.write_bytes(b"no picture")
    samples = DetectionSamples(mixed, list(range(11)), config())
    loader = build_train_loader(config(), mixed)
    assert loader.source._read(1)[0].image_id == 4 and samples.kinds == [int(k in HIGH) for k in range(1, 12)]
    assert len(list(loader)) == 10


def test_an_orientation_that_fills_no_batch_is_filled_up_with_repeats_behind_its_last_sample():
    kinds = [0, 1, 0, 0, 1, 1]
    order = np.array([[1, 0], [0, 0], [4, 0], [2, 0], [5, 0], [3, 0], [4, 1]])  # 4 stands there twice
    landscapes = [[0, 0], [2, 0], [3, 0], [0, 1], [2, 1]]  # the third and last one stands before the last portrait
    assert whole_batches(order, kinds, 5).tolist() == [*landscapes, [1, 0], [4, 0], [5, 0], [4, 1], [1, 1]]
    assert whole_batches(order, kinds, 7).tolist()[7:] == [[1, 0], [4, 0], [5, 0], [4, 1], [1, 1], [4, 2], [5, 1]]
    assert whole_batches(order, kinds, 3).tolist() == [[1, 0], [4, 0], [5, 0], [0, 0], [2, 0], [3, 0]]


@pytest.fixture()
def five_and_one(coco_folder):
    sizes = [(60, 40), (60, 40), (40, 60), (60, 40), (60, 40), (60, 40)]  # image 3, entry 2, is the portrait
    return read_coco(coco_folder(sizes, [square(k, (10, 4, 20, 8)) for k in range(1, 7)]), CLASSES)


def test_the_rarer_orientation_is_trained_in_every_epoch(five_and_one, config, caplog):
    caplog.set_level(logging.INFO, "src")
    loader = build_train_loader(config(epoch_size=9), five_and_one)
    of_landscapes = "landscapes: 1 of 5 images are left out of each epoch (another choice every time)"
    of_portraits = "portraits: 1 images, less than a batch of 2: filled up with 1 further repeats in each epoch"
    assert caplog.messages == [of_landscapes, of_portraits]
    assert sampling_lines(config(), five_and_one) == caplog.messages
    assert loader.steps_per_epoch == 2 + 1 and len(loader) == 27
    seen = set()
    for epoch in range(9):
        order = loader.source._permutation(epoch)
        entries = order[:, 0].tolist()
        assert len(order) == 6 and order[order[:, 0] == 2].tolist() == [[2, 0], [2, 1]]
        assert entries.index(2) % 2 == 0 and not order[order[:, 0] != 2, 1].any()
        assert len(set(entries)) == 5
        seen |= set(entries)
    assert seen == set(range(6))


def test_its_repeats_are_other_samples_the_same_for_every_rank_and_after_a_resume(five_and_one, config):
    whole = build_train_loader(config(epoch_size=2), five_and_one)
    later = whole.from_step(3)
    (place,) = [k for k in range(3) if whole.source._permutation(1)[2 * k, 0] == 2]
    batch, again = whole.source[3 + place], later.source[place]
    assert all((one == other).all() for one, other in zip(batch, again, strict=True))
    assert batch[0].shape == (2, 3, 96, 64) and batch[-1][0] != batch[-1][1]  # seeds of what is drawn on the device
    for rank in range(2):
        half = build_train_loader(config(epoch_size=2, batch_size=1), five_and_one, rank, 2).source[3 + place]
        assert all((one[0] == other[rank]).all() for one, other in zip(half, batch, strict=True))


def test_too_few_of_either_orientation_is_one_line(coco_folder, config):
    two = read_coco(coco_folder([(60, 40), (40, 60)], [square(k, (10, 4, 20, 8)) for k in (1, 2)]), CLASSES)
    with pytest.raises(UserError, match="no kind of image fills a batch of 2 images"):
        build_train_loader(config(), two)


def test_held_out_images_have_losses_in_batches_of_one_shape(mixed, config):
    samples = DetectionSamples(mixed, list(range(11)), config())
    found = list(loss_batches(config(), samples, range(11)))
    assert [(batch[0].shape[2:], count) for batch, count in found[-1:]] == [((96, 64), 1)]
    assert sum(count for _, count in found) == 11
    assert [count for _, count in found] == [2] * 5 + [1]


def test_without_it_samples_have_no_kinds_and_keep_their_order(mixed, make_config):
    loader = build_train_loader(make_config(seed=4), mixed)
    assert loader.source.samples.kinds is None and loader.steps_per_epoch == 5
    expected = np.random.RandomState([4, 0]).permutation(11)
    np.testing.assert_array_equal(loader.source._permutation(0)[:, 0], expected)
