"""Batches: fixed shapes, the right objects in the right rows, and the same batches after every kind of restart."""

import gc
import logging
import os
import threading
import warnings
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data import loader as loader_module
from src.data import pipeline
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex
from src.data.pipeline import COLUMNS, build_eval_loader, build_train_loader
from src.errors import UserError
from tests.data.tiny import CLASSES, square

COCO_REAL = Path(__file__).parents[1] / "data_files" / "coco_real"
FULL_CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"


def batches(loader) -> list[dict[str, np.ndarray]]:
    return [dict(zip(COLUMNS, (column.asnumpy() for column in batch))) for batch in loader]


def assert_same(ours: list[dict], theirs: list[dict]) -> None:
    assert len(ours) == len(theirs)
    for left, right in zip(ours, theirs):
        for name in COLUMNS:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture()
def ten_images(coco_folder) -> DetectionIndex:
    """Ten images told apart by the width of their one object: 3 + number."""
    annotations = [square(i, (1, 2, 3 + i, 5), 4 if i % 2 else 9) for i in range(1, 11)]
    return read_coco(coco_folder([(32, 24)] * 10, annotations), CLASSES)


def numbers(batch: dict) -> list[int]:
    """The images in a batch of `ten_images` at twice their size."""
    return [round(float(boxes[0, 2] - boxes[0, 0]) / 2) - 3 for boxes in batch["gt_boxes"]]


def test_columns_have_their_fixed_shapes_and_types(ten_images, make_config):
    loader = build_train_loader(make_config(), ten_images)
    assert loader.columns == COLUMNS and loader.steps_per_epoch == 5 and len(loader) == 10
    batch = batches(loader)[0]
    assert {name: (array.shape, array.dtype.name) for name, array in batch.items()} == {
        "image": ((2, 3, 64, 64), "float32"),
        "image_shape": ((2, 2), "int32"),
        "gt_boxes": ((2, 3, 4), "float32"),
        "gt_labels": ((2, 3), "int32"),
        "gt_valid": ((2, 3), "bool"),
        "gt_masks": ((2, 3, 64, 8), "uint8"),
        "sample_seed": ((2,), "int32"),
    }
    assert (batch["sample_seed"] >= 0).all()


def test_objects_crowds_and_unused_rows_are_labelled(coco_folder, make_config):
    crowd = square(1, (8, 8, 16, 8), 9, iscrowd=1, segmentation={"size": [24, 32], "counts": [24 * 32]})
    dataset = read_coco(coco_folder([(32, 24)], [crowd, square(1, (2, 4, 6, 8), 4)]), CLASSES)
    (batch,) = batches(build_train_loader(make_config(batch_size=1, epoch_size=1), dataset))
    assert batch["gt_labels"].tolist() == [[2, -1, 0]]  # the dog, the crowd, nothing
    assert batch["gt_valid"].tolist() == [[True, False, False]]
    assert batch["gt_boxes"][0].tolist() == [[4, 8, 16, 24], [16, 16, 48, 32], [0, 0, 0, 0]]
    assert batch["image_shape"].tolist() == [[48, 64]]
    masks = np.unpackbits(batch["gt_masks"], axis=-1)[0]
    expected = np.zeros((64, 64), np.uint8)
    expected[8:24, 4:16] = 1
    np.testing.assert_array_equal(masks[0], expected)
    assert not masks[1:].any()


def test_an_image_without_objects_gives_empty_rows(coco_folder, make_config):
    dataset = read_coco(coco_folder([(32, 24)], []), CLASSES)
    (batch,) = batches(build_train_loader(make_config(batch_size=1, epoch_size=1), dataset))
    assert not batch["gt_valid"].any() and not batch["gt_labels"].any() and not batch["gt_masks"].any()


@pytest.mark.parametrize(("flip", "expand"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_boxes_masks_and_pixels_move_together(coco_folder, make_config, flip, expand):
    folder = coco_folder([(50, 40)], [square(1, (20, 4, 16, 24))])
    picture = np.zeros((40, 50, 3), np.uint8)
    picture[4:28, 20:36] = 255
    cv2.imwrite(str(folder / "data" / "1.png"), picture)
    cfg = make_config(batch_size=1, epoch_size=4, flip_ratio=flip, expand_ratio=expand)
    for batch in batches(build_train_loader(cfg, read_coco(folder, CLASSES))):
        mask = np.unpackbits(batch["gt_masks"], axis=-1)[0, 0]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(batch["gt_boxes"][0, 0], edges, atol=1.0)
        bright = batch["image"][0] > (128 - np.float32(cfg.img_mean[0])) / cfg.img_std[0] + 0.6
        assert (bright.all(axis=0) != mask.astype(bool)).sum() <= 2 * (len(rows) + len(columns))


def test_objects_above_num_gts_are_left_out_in_the_files_order_and_said(coco_folder, make_config, caplog):
    boxes = [square(1, (0, 0, 4 + i, 8)) for i in range(5)]
    dataset = read_coco(coco_folder([(32, 32)], boxes), CLASSES)
    with caplog.at_level(logging.WARNING):
        loader = build_train_loader(make_config(batch_size=1, epoch_size=1), dataset)
    assert "1 images have more than num_gts = 3 objects" in caplog.text
    assert batches(loader)[0]["gt_boxes"][0, :, 2].tolist() == [8, 10, 12]


def test_a_batch_larger_than_the_data_set_is_an_error_with_both_numbers(ten_images, make_config):
    with pytest.raises(UserError, match=r"batch_size 4 x 3 .* 10 training images"):
        build_train_loader(make_config(batch_size=4), ten_images, rank=0, size=3)


def test_every_epoch_is_a_permutation_of_its_own(ten_images, make_config):
    seen = [numbers(batch) for batch in batches(build_train_loader(make_config(), ten_images))]
    first, second = sum(seen[:5], []), sum(seen[5:], [])
    assert sorted(first) == sorted(second) == list(range(1, 11)) and first != second


def test_other_seeds_give_other_orders_and_the_same_seed_the_same(ten_images, make_config):
    runs = [batches(build_train_loader(make_config(seed=seed), ten_images)) for seed in (5, 5, 6)]
    assert_same(runs[0], runs[1])
    assert [numbers(batch) for batch in runs[0]] != [numbers(batch) for batch in runs[2]]


def test_ranks_share_an_epoch_without_overlap(ten_images, make_config):
    parts = [batches(build_train_loader(make_config(epoch_size=1), ten_images, rank, size=2)) for rank in (0, 1)]
    shares = [sum((numbers(batch) for batch in part), []) for part in parts]
    assert len(shares[0]) == len(shares[1]) == 4 and len(set(shares[0] + shares[1])) == 8


def test_two_ranks_see_together_what_one_with_twice_the_batch_sees(ten_images, make_config):
    whole = batches(build_train_loader(make_config(batch_size=4, flip_ratio=0.5), ten_images))
    parts = [batches(build_train_loader(make_config(flip_ratio=0.5), ten_images, rank, size=2)) for rank in (0, 1)]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in COLUMNS} for a, b in zip(*parts)]
    assert_same(joined, whole)


@pytest.mark.parametrize("start", [1, 5, 7])
def test_a_resumed_run_sees_what_the_uninterrupted_run_sees(ten_images, make_config, start):
    cfg = make_config(flip_ratio=0.5, expand_ratio=0.5)
    whole = batches(build_train_loader(cfg, ten_images))
    assert_same(batches(build_train_loader(cfg, ten_images, start_step=start)), whole[start:])
    assert_same(batches(build_train_loader(cfg, ten_images).from_step(start)), whole[start:])


@pytest.mark.parametrize("start", [10, 11])
def test_a_finished_run_that_is_resumed_has_no_batches(ten_images, make_config, start):
    loader = build_train_loader(make_config(), ten_images, start_step=start)
    assert len(loader) == 0 and list(loader) == []


def test_more_workers_than_cores_are_cut_to_the_cores(ten_images, make_config):
    loader = build_train_loader(make_config(num_parallel_workers=1000), ten_images)
    assert loader.num_workers == os.cpu_count() and len(batches(loader)) == 10


@pytest.mark.parametrize("processes", [False, True])
def test_workers_change_nothing(ten_images, make_config, processes):
    cfg = {"flip_ratio": 0.5, "expand_ratio": 0.5}
    alone = batches(build_train_loader(make_config(**cfg), ten_images))
    helped = make_config(num_parallel_workers=2, python_multiprocessing=processes, **cfg)
    assert_same(batches(build_train_loader(helped, ten_images)), alone)


@pytest.mark.parametrize("keys", [{}, {"pad_colour": "black", "to_rgb": False}])
def test_images_that_processes_send_as_pixels_are_the_same_to_the_bit_in_a_quarter_of_the_bytes(
    ten_images, make_config, keys
):
    cfg = make_config(batch_size=2, expand_ratio=0.5, img_height=32, **keys)
    source = build_train_loader(cfg, ten_images).source
    image, shape = (COLUMNS.index(name) for name in source.samples.pixel_columns)
    for step in range(len(source)):
        whole, sent = source[step], loader_module.sent_by_processes(source)[step]
        assert sent[image].dtype == np.uint8 and 4 * sent[image].nbytes == whole[image].nbytes
        made = source.samples.from_pixels(sent[image], sent[shape])
        np.testing.assert_array_equal(made[0].view(np.int32), whole[image].view(np.int32))
        np.testing.assert_array_equal(made[1], whole[shape])


def test_threads_in_two_epochs_each_get_their_own_order(ten_images, make_config):
    source = build_train_loader(make_config(), ten_images).source
    expected = {epoch: source._permutation(epoch).tolist() for epoch in (0, 1)}
    wrong = []

    def read(epoch: int) -> None:
        wrong.extend(1 for _ in range(3000) if source._permutation(epoch).tolist() != expected[epoch])

    threads = [threading.Thread(target=read, args=(epoch,)) for epoch in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_unreadable_image_is_replaced_the_same_way_each_time_and_reported_once(ten_images, make_config, caplog):
    ten_images.record(3).path.write_bytes(b"no image")  # image 4
    with caplog.at_level(logging.WARNING):
        first = batches(build_train_loader(make_config(), ten_images))
    assert sum("4.png" in message for message in caplog.messages) == 1
    seen = sorted(sum((numbers(batch) for batch in first[:5]), []))
    assert seen == [1, 2, 3, 5, 5, 6, 7, 8, 9, 10]
    assert_same(batches(build_train_loader(make_config(), ten_images)), first)


def test_images_that_are_cut_off_or_of_another_size_are_unreadable(ten_images, tmp_path):
    record = ten_images.record(0)
    picture = cv2.imread(str(record.path))
    assert pipeline.read_image(record) is not None
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    record.path.write_bytes(jpeg)
    assert pipeline.read_image(record) is not None
    for content in (jpeg[: len(jpeg) * 2 // 3], b"", b"\xff\xd8", cv2.imencode(".png", picture[1:])[1].tobytes()):
        record.path.write_bytes(content)
        assert pipeline.read_image(record) is None
        assert str(record.path) in pipeline.unreadable_reason(record)
    assert "32 x 23 pixels" in pipeline.unreadable_reason(record)


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (2, False), (2, True)])
def test_only_unreadable_images_are_an_error_in_one_line(ten_images, make_config, workers, processes):
    for i in range(10):
        ten_images.record(i).path.write_bytes(b"no image")
    cfg = make_config(num_parallel_workers=workers, python_multiprocessing=processes)
    with pytest.raises(UserError) as caught:
        list(build_train_loader(cfg, ten_images))
    assert str(caught.value).startswith("10 images in a row cannot be read") and "\n" not in str(caught.value)


def test_evaluation_gives_every_image_once_and_counts_the_unreadable(ten_images, make_config):
    ten_images.record(1).path.unlink()
    ten_images.record(4).path.write_bytes(b"no image")
    loader = build_eval_loader(make_config(num_parallel_workers=2), ten_images, batch_size=4)
    found = list(loader)
    assert len(loader) == 10 and [batch.count for batch in found] == [4, 4, 2]
    assert all(batch.image.shape == (4, 3, 64, 64) for batch in found)
    ids = sum((batch.image_ids[: batch.count] for batch in found), [])
    readable = sum((batch.readable[: batch.count] for batch in found), [])
    assert ids == list(range(1, 11))
    assert [id_ for id_, fine in zip(ids, readable) if not fine] == [2, 5]
    assert not found[0].image[1].any() and found[0].image[0].any()
    assert found[0].orig_shape[0].tolist() == [24, 32] and found[0].scale_factor[0].tolist() == [2, 2]
    assert found[0].image_shape[0].tolist() == [48, 64]


def test_evaluation_reads_a_bounded_number_of_images_ahead(ten_images, make_config, monkeypatch):
    read = []
    monkeypatch.setattr(pipeline, "read_image", lambda record, rules: read.append(record.image_id))
    stream = iter(build_eval_loader(make_config(num_parallel_workers=2), ten_images, batch_size=1))
    next(stream)
    stream.close()
    assert 1 <= len(read) <= 5


def test_no_garbage_is_left_when_worker_processes_start(ten_images, make_config):
    """A forked worker that collected its parent's abandoned iterator would abort, and the framework end the job."""

    class Stale:
        pass

    stale = Stale()
    stale.itself = stale
    alive = weakref.ref(stale)
    loader = build_train_loader(make_config(num_parallel_workers=2, python_multiprocessing=True), ten_images)
    gc.disable()
    try:
        del stale
        next(iter(loader))
        assert alive() is None
    finally:
        gc.enable()


def test_real_images_keep_every_object_of_their_label_file():
    cfg = load_config(FULL_CONFIG, ["--img_width=256", "--img_height=256", "--epoch_size=1", "--filter_empty_gt=1"])
    dataset = read_coco(COCO_REAL, cfg.coco_classes[1:])
    found = batches(build_train_loader(cfg, dataset))
    objects = sum(int(batch["gt_valid"].sum()) for batch in found)
    indices = dataset.training_indices(filter_empty=True)
    assert len(found) * cfg.batch_size in (len(indices), len(indices) - 1)
    expected = sum(not item.crowd for i in indices for item in dataset.record(i).objects)
    assert expected * 0.95 < objects <= expected
    labels = {int(label) for batch in found for label in batch["gt_labels"][batch["gt_valid"]]}
    assert labels <= set(range(1, 81)) and len(labels) > 40


def test_whoever_takes_batches_keeps_their_warnings(ten_images, make_config):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in build_train_loader(make_config(epoch_size=1), ten_images):
            warnings.warn("said in the loop", stacklevel=1)
    assert [str(one.message) for one in caught] == ["said in the loop"] * 5


@pytest.mark.parametrize(("objects", "num_gts", "rows"), [(2, 3, 3), (2, 2000, 100), (130, 2000, 130), (130, 120, 120)])
def test_masks_have_rows_for_as_many_objects_as_the_data_hold(coco_folder, make_config, objects, num_gts, rows):
    crowds = [{**square(1, (1, 2, 9, 5), 4), "iscrowd": 1} for _ in range(3)]
    folder = coco_folder([(32, 24)], [*crowds, *(square(1, (1 + k % 9, 2, 5, 5), 4) for k in range(objects))])
    loader = build_train_loader(make_config(num_gts=num_gts, batch_size=1, epoch_size=1), read_coco(folder, CLASSES))
    (batch,) = batches(loader)
    assert batch["gt_masks"].shape == (1, rows, 64, 8) and batch["gt_boxes"].shape == (1, num_gts, 4)
    seen = batch["gt_masks"].reshape(rows, -1).any(axis=1)
    np.testing.assert_array_equal(seen, batch["gt_valid"][0, :rows])
    np.testing.assert_array_equal(batch["gt_masks"], loader.source[0][COLUMNS.index("gt_masks")])


@pytest.mark.parametrize("processes", [False, True])
def test_few_and_short_batches_wait_in_the_frameworks_queues(ten_images, make_config, monkeypatch, processes):
    import mindspore.dataset as ds

    before, made = ds.config.get_prefetch_size(), []
    own = ds.GeneratorDataset

    def watched(source, *args, **kwargs):
        made.append((source, ds.config.get_prefetch_size()))
        return own(source, *args, **kwargs)

    monkeypatch.setattr(ds, "GeneratorDataset", watched)
    cfg = make_config(num_gts=50, num_parallel_workers=2, python_multiprocessing=processes)
    assert len(batches(build_train_loader(cfg, ten_images))) == 10
    ((source, size),) = made
    assert size == 2 and ds.config.get_prefetch_size() == before
    sent, whole = source[0], source.source[0]
    assert sum(column.nbytes for column in sent) < sum(column.nbytes for column in whole) - 0.9 * whole[5].nbytes


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (2, False), (2, True)])
def test_batches_that_somebody_still_holds_stay_as_they_came(ten_images, make_config, workers, processes):
    cfg = make_config(num_parallel_workers=workers, python_multiprocessing=processes, batch_size=2, epoch_size=4)
    loader = build_train_loader(cfg, ten_images)
    held = list(loader)
    assert len(held) == 20
    for k, batch in enumerate(held):
        for name, ours, theirs in zip(loader.columns, batch, loader.source[k], strict=True):
            np.testing.assert_array_equal(ours.asnumpy(), theirs, err_msg=name)


@pytest.mark.parametrize(("waiting", "length"), [(1, 2), (5 * 2 * 64 * 64 * 6, 5), (10**9, 16)])
def test_as_many_batches_wait_for_a_worker_process_as_there_is_room_for(
    ten_images, make_config, monkeypatch, waiting, length
):
    import mindspore.dataset as ds
    from mindspore.dataset.engine import datasets_user_defined as workers

    before, asked = ds.config.get_prefetch_size(), []
    own = workers.get_prefetch_size
    monkeypatch.setattr(workers, "get_prefetch_size", lambda: asked.append(own()) or asked[-1])
    monkeypatch.setattr(loader_module, "WAITING", waiting)
    cfg = make_config(num_parallel_workers=2, python_multiprocessing=True, batch_size=2)
    loader = build_train_loader(cfg, ten_images)
    assert len(batches(loader)) == len(loader)
    assert asked == [length] and ds.config.get_prefetch_size() == before == 16


@pytest.mark.timeout(120)
def test_opencv_has_one_thread_in_a_worker_process_and_as_many_as_before_elsewhere(
    ten_images, make_config, monkeypatch
):
    """A worker inherits OpenCV's threads as numbers alone, and waited for them for ever."""
    loader = build_train_loader(make_config(num_parallel_workers=2, python_multiprocessing=True), ten_images)
    make = loader.source.samples.make

    def tell(item, streams):
        sample = dict(zip(COLUMNS, make(item, streams)))
        return tuple((sample | {"sample_seed": np.int32(cv2.getNumThreads())}).values())

    monkeypatch.setattr(loader.source.samples, "make", tell)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        cv2.resize(np.zeros((4000, 4000, 3), np.uint8), (3000, 3000))  # its threads are there now
        assert {int(seed) for batch in batches(loader) for seed in batch["sample_seed"]} == {1}
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
