"""Samples of several images as a run gets them: off they change no bit, on they hang on nothing but seed and sample."""

import logging

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.config.unread import TRAIN, tell_unread
from src.data import augmentation
from src.data.augmentation.combination import Combination
from src.data.formats.coco import read_coco
from src.data.pipeline import COLUMNS, DetectionSamples, build_train_loader
from src.data.streams import SampleStreams
from src.errors import UserError
from tests.data.augmentation.scenes import scene_of
from tests.data.conftest import DEMO_CONFIG
from tests.data.tiny import CLASSES, square

BOTH = {"copy_paste": 0.7, "mosaic": 0.5, "num_gts": 12}
RANDOM = {"flip_ratio": 0.5, "expand_ratio": 0.3}


@pytest.fixture()
def images(coco_folder):
    """Six images of one object or two."""
    boxes = [(1, 2, 6, 8), (10, 4, 12, 16), (20, 3, 9, 9), (4, 12, 20, 10), (2, 2, 28, 20), (12, 9, 8, 8)]
    annotations = [square(k, box, 4 if k % 2 else 9) for k, box in enumerate(boxes, start=1)]
    return read_coco(coco_folder([(32, 24)] * 6, [*annotations, square(1, (18, 6, 9, 9), 4)]), CLASSES)


@pytest.fixture()
def made(images, make_config):
    """Every sample of an epoch, by columns."""

    def make(epoch=0, **keys):
        samples = DetectionSamples(images, list(range(6)), make_config(**({"num_gts": 12} | RANDOM | keys)))
        entries = [samples.make(samples.read(k), SampleStreams(3, epoch, samples.keys[k])) for k in range(6)]
        return [dict(zip(samples.columns, entry)) for entry in entries]

    return make


def assert_same(ours, theirs, but=()):
    for left, right in zip(ours, theirs, strict=True):
        for name in set(left) - set(but):
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def batches(loader):
    return [dict(zip(COLUMNS, (column.asnumpy() for column in batch))) for batch in loader]


def test_off_they_change_no_bit(made, monkeypatch):
    off = made()
    monkeypatch.setattr(augmentation, "COMBINATIONS", {})
    assert_same(made(), off)


def test_where_nothing_is_pasted_all_is_as_without(made):
    assert_same(made(copy_paste=1, num_gts=1), made(num_gts=1))  # no object has room beside the image's own


def test_the_samples_own_choices_stay(made):
    """Of a destination that nothing hides, but for one place: its image, its size, the seed of its sampling."""
    for before, after in zip(made(), made(copy_paste=1)):
        assert before["sample_seed"] == after["sample_seed"]
        height, width = before["image_shape"]
        kept = (before["image"] == after["image"]).all(axis=0)[:height, :width]
        pasted = np.unpackbits(after["gt_masks"], axis=-1).any(axis=0)[:height, :width]
        assert (kept | pasted).all() and kept.any()


@pytest.mark.parametrize("keys", [{"copy_paste": 1}, {"mosaic": 1}, {"copy_paste": 1, "mosaic": 1}])
def test_boxes_masks_and_pixels_belong_together(made, keys):
    found = 0
    for sample in made(**keys):
        for label, box, mask in zip(sample["gt_labels"], sample["gt_boxes"], sample["gt_masks"]):
            shown = np.unpackbits(mask, axis=-1)
            if label:
                rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
                np.testing.assert_allclose(box, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=1.6)
                found += 1
            else:
                assert not shown.any()
    assert found > 8


def test_a_mosaic_shows_four_images_of_the_data_set(made):
    counts = [(sample["gt_labels"] > 0).sum() for sample in made(mosaic=1)]
    assert max(counts) >= 4 and all(sample["image_shape"].tolist() == [64, 64] for sample in made(mosaic=1))


@pytest.mark.parametrize("start", [1, 4])
def test_a_resumed_run_sees_what_the_uninterrupted_run_sees(images, make_config, start):
    cfg = make_config(**BOTH, **RANDOM)
    whole = batches(build_train_loader(cfg, images))
    assert_same(batches(build_train_loader(cfg, images, start_step=start)), whole[start:])
    assert_same(batches(build_train_loader(cfg, images).from_step(start)), whole[start:])


@pytest.mark.parametrize("processes", [False, True])
def test_workers_and_ranks_change_nothing(images, make_config, processes):
    keys = {**BOTH, **RANDOM, "batch_size": 2}
    whole = batches(build_train_loader(make_config(**keys), images))
    helped = make_config(num_parallel_workers=2, python_multiprocessing=processes, **keys)
    assert_same(batches(build_train_loader(helped, images)), whole)
    parts = [batches(build_train_loader(make_config(**keys | {"batch_size": 1}), images, k, size=2)) for k in (0, 1)]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in COLUMNS} for a, b in zip(*parts)]
    assert_same(joined, whole)


def test_every_sample_and_epoch_has_its_own_partners(made):
    seen = {sample["gt_boxes"].tobytes() for epoch in range(5) for sample in made(epoch, copy_paste=1, flip_ratio=0)}
    assert len(seen) > 14
    assert_same(made(2, **BOTH), made(2, **BOTH))


def test_partners_are_changed_by_streams_of_their_own(images, make_config, monkeypatch):
    """Of two partners both, either or none is mirrored, and so is the sample's own image, whatever they do."""
    seen = set()

    class Two(Combination):
        partners = 2

        @classmethod
        def draw(cls, cfg, size, rng):
            return cls()

        def combine(self, scene, partners, rng):
            seen.add(tuple(bool(one.image.strides[1] < 0) for one in (scene, *partners)))
            return scene

    monkeypatch.setattr(augmentation, "COMBINATIONS", {"two": Two})
    samples = DetectionSamples(images, list(range(6)), make_config(flip_ratio=0.5))
    for epoch in range(10):
        for k in range(6):
            samples.make(samples.read(k), SampleStreams(3, epoch, k))
    assert len(seen) == 8


def test_an_unreadable_partner_is_replaced_by_its_neighbour_and_reported_once(images, made, make_config, caplog):
    whole = made(mosaic=1)
    images.record(2).path.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        source = build_train_loader(make_config(mosaic=1, batch_size=1), images).source
        source.samples.make(source.samples.read(0), SampleStreams(3, 0, 0))
        for item in range(12):
            source[item]
    assert sum("3.png" in message for message in caplog.messages) == 1
    cv2.imwrite(str(images.record(2).path), cv2.imread(str(images.record(3).path)))  # its neighbour's pixels
    replaced = [sample["image"] for sample in made(mosaic=1)]
    images.record(2).path.write_bytes(b"no image")
    samples = DetectionSamples(images, list(range(6)), make_config(**RANDOM, num_gts=12, mosaic=1))
    for k in (0, 1, 3, 4, 5):
        image, *_ = samples.make(samples.read(k), SampleStreams(3, 0, k))
        np.testing.assert_array_equal(image, replaced[k])
    assert any((before["image"] != after).any() for before, after in zip(whole, replaced))


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ({}, 100),
        ({"copy_paste": 0.1}, 120),
        ({"copy_paste": 0.1, "copy_paste_max": 12}, 100),
        ({"copy_paste": 0.1, "copy_paste_max": 48}, 107),
        ({"copy_paste": 0.1, "copy_paste_max": 48, "copy_paste_selected": False}, 120),
        ({"mosaic": 0.1}, 240),
        ({"mosaic": 0.1, "copy_paste": 1.0}, 300),
        ({"mosaic": 0.1, "copy_paste": 1.0, "num_gts": 130}, 130),
    ],
)
def test_masks_have_rows_for_what_may_come_together(coco_folder, make_config, keys, rows):
    annotations = [square(1, (1 + k % 9, 2, 5, 5), 4) for k in range(60)] + [square(1, (1, 2, 9, 5), 4, iscrowd=1)]
    dataset = read_coco(coco_folder([(32, 24)], annotations), CLASSES)
    samples = DetectionSamples(dataset, [0], make_config(**({"num_gts": 1000} | keys)))
    assert samples.mask_rows == rows
    sample = dict(zip(samples.columns, samples.make(samples.read(0), SampleStreams(0, 0, 0))))
    assert len(sample["gt_masks"]) == rows
    bits = sample["gt_masks"].reshape(rows, -1).any(axis=1)
    assert (sample["gt_labels"][: len(bits)][bits] > 0).all() and bits.any()


def test_a_sample_worked_by_hand(coco_folder, make_config):
    """Two images at twice their size; the dog hides 8 pixels of the cat's right side."""
    dataset = read_coco(
        coco_folder([(32, 24)] * 2, [square(1, (2, 2, 10, 8), 9), square(2, (8, 2, 8, 8), 4)]), CLASSES
    )
    samples = DetectionSamples(dataset, [0, 1], make_config(num_gts=4, copy_paste=1, copy_paste_selected=False))
    cat, dog = (dict(zip(samples.columns, samples.plain(samples.read(k), SampleStreams(0, 0, k)))) for k in (0, 1))
    seen = set()
    for epoch in range(8):
        made = dict(zip(samples.columns, samples.make(samples.read(0), SampleStreams(0, epoch, 0))))
        seen.add(tuple(made["gt_labels"]))
        if made["gt_labels"][1] == 2:
            assert made["gt_boxes"].tolist() == [[4, 4, 16, 20], [16, 4, 32, 20], [0] * 4, [0] * 4]
            assert made["gt_valid"].tolist() == [True, True, False, False]
            masks = np.unpackbits(made["gt_masks"], axis=-1)
            assert masks[0, 4:20, 4:16].all() and masks[0].sum() == 16 * 12
            assert masks[1, 4:20, 16:32].all() and masks[1].sum() == 16 * 16
            assert made["image_shape"].tolist() == [64, 64]  # both stand on the whole canvas
            expected = np.where(masks[1].astype(bool), dog["image"], cat["image"])[:, :48]
            np.testing.assert_array_equal(made["image"][:, :48], expected)
            assert np.abs(made["image"][:, 48:]).max() < 0.01  # the mean colour in whole grey levels
    assert seen == {(1, 2, 0, 0), (1, 0, 0, 0)}  # it is its own partner at times: its double hides all of it


def test_jittered_objects_are_worked_out_before_they_are_pasted(images, make_config):
    """The boxes of both are those of their masks, and all lie in the input, whatever the jitter has cut off."""
    keys = {"num_gts": 12, "copy_paste": 1, "copy_paste_selected": False, "large_scale_jitter": "[0.1,2.0]"}
    samples, pasted = DetectionSamples(images, list(range(6)), make_config(**keys)), 0
    for epoch in range(5):
        for k in range(6):
            sample = dict(zip(samples.columns, samples.make(samples.read(k), SampleStreams(0, epoch, k))))
            count = int(sample["gt_valid"].sum())
            pasted += count > len(images.record(k).objects)
            for box, bits in zip(sample["gt_boxes"][:count], sample["gt_masks"]):
                shown = np.unpackbits(bits, axis=-1)
                rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
                assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert pasted > 10


def test_crowds_come_behind_what_is_pasted(coco_folder, make_config):
    crowd = square(1, (0, 0, 32, 6), 4, iscrowd=1)
    dataset = read_coco(coco_folder([(32, 24)], [crowd, square(1, (4, 8, 12, 12), 9)]), CLASSES)
    samples = DetectionSamples(dataset, [0], make_config(num_gts=5, copy_paste=1, copy_paste_selected=False))
    sample = dict(zip(samples.columns, samples.make(samples.read(0), SampleStreams(0, 0, 0))))
    assert sample["gt_labels"].tolist() == [1, -1, 0, 0, 0]  # its own double has hidden it
    assert sample["gt_boxes"][:2].tolist() == [[8, 16, 32, 40], [0, 0, 64, 12]]


def test_a_detector_without_masks_gets_the_boxes_of_pasted_objects(made):
    with_masks = made(copy_paste=1)
    without = made(copy_paste=1, detector="faster_rcnn")
    assert "gt_masks" not in without[0]
    assert_same(without, [{name: sample[name] for name in without[0]} for sample in with_masks])


def test_data_without_masks_cannot_be_pasted_which_is_said(coco_folder, make_config):
    annotations = [square(1, (4, 8, 12, 12), 9, segmentation=[])] * 2
    dataset = read_coco(coco_folder([(32, 24)] * 2, annotations), CLASSES)
    with pytest.raises(UserError, match=r"labels\.json: copy_paste cuts objects out by their masks, and no object has"):
        build_train_loader(make_config(copy_paste=0.5), dataset)
    assert len(batches(build_train_loader(make_config(mosaic=1.0), dataset))) == 2
    build_train_loader(make_config(), dataset)


@pytest.mark.parametrize("key", ["copy_paste", "mosaic"])
def test_the_originals_boxes_have_none(key):
    legacy = ["--box_style=legacy", "--roi.roi_layer.aligned=0", "--mask_roi.roi_layer.aligned=0"]
    load_config(DEMO_CONFIG, legacy)
    with pytest.raises(UserError, match=f"{key}: for box_style continuous; it is 'legacy'"):
        load_config(DEMO_CONFIG, [*legacy, f"--{key}=0.5"])


def test_keys_that_are_not_read_are_said(caplog):
    cfg = load_config(DEMO_CONFIG, ["--copy_paste_max=5"])
    tell_unread(cfg, TRAIN)
    assert "copy_paste_max (read with copy_paste alone)" in caplog.text
    caplog.clear()
    tell_unread(load_config(DEMO_CONFIG.with_name("hrnet_cls_shapes.yaml"), ["--copy_paste=1", "--mosaic=1"]), TRAIN)
    assert "mosaic, copy_paste (task classification does not read it)" in caplog.text


def test_partners_are_the_same_in_every_version(make_config):
    cfg, scene = make_config(copy_paste=1, mosaic=1), scene_of((64, 64), [])
    asked = []

    def partner(entry, streams):
        asked.append((entry, int(streams.shared.randint(1000))))
        return scene

    for on_original in (True, False):
        augmentation.combine_scenes(scene, cfg, SampleStreams(3, 0, 1), 100, partner, on_original)
    assert asked == [(63, 589), (99, 644), (30, 257), (58, 767)]
