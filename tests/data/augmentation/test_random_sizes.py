"""train_scales and large_scale_jitter: MMDetection's RandomChoiceResize, and RandomResize with RandomCrop."""

import cv2
import numpy as np
import pytest

from src.data.augmentation import scale
from src.data.augmentation.geometry import FitInput, Resize
from src.data.augmentation.scale import LargeScaleJitter, draw_fit, nearest, scaled_within
from src.data.formats.coco import read_coco
from src.data.network_input import ImageSettings
from src.data.pipeline import HAS_MASK, MASKS, DetectionSamples, build_train_loader
from src.data.streams import SampleStreams
from tests.data.tiny import CLASSES, square

SIZE = (40, 50)  # h, w


@pytest.fixture()
def make(coco_folder, make_config):
    """Samples of one image of these objects, by epoch."""

    def samples(annotations, size=SIZE, count=1, **keys) -> list[dict[str, np.ndarray]]:
        dataset = read_coco(coco_folder([size[::-1]], annotations), CLASSES)
        source = DetectionSamples(dataset, [0], make_config(**{"num_gts": 4} | keys))
        made = (source.make(source.read(0), SampleStreams(3, epoch, 0)) for epoch in range(count))
        return [dict(zip(source.columns, columns, strict=True)) for columns in made]

    return samples


def bitmaps(sample) -> np.ndarray:
    return np.unpackbits(sample[MASKS], axis=-1)


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((1024, 2048), (1333, 800), (667, 1333)),
        ((1024, 2048), (800, 1333), (667, 1333)),
        ((640, 480), (1333, 800), (1067, 800)),
        ((480, 640), (1024, 1024), (768, 1024)),
        ((3, 1000), (200, 200), (1, 200)),
        ((1, 1000), (100, 100), (1, 100)),
    ],
)
def test_sides_are_scaled_by_the_shorter_of_two_limits_and_rounded_half_up(size, limits, expected):
    assert scaled_within(size, limits) == expected
    assert scaled_within(size[::-1], limits) == expected[::-1]


def test_one_of_the_scales_is_chosen_for_each_sample_each_as_often(make_config):
    cfg = make_config(train_scales="[[64,64],[32,48],[40,16]]")
    settings = ImageSettings.from_config(cfg)
    drawn = [draw_fit(cfg, settings, SIZE, SampleStreams(0, epoch, 7)) for epoch in range(300)]
    counts = {fit.size: 0 for fit in drawn}
    for fit in drawn:
        counts[fit.size] += 1
    assert set(counts) == {(51, 64), (32, 40), (16, 20)} and min(counts.values()) > 70
    assert drawn[:20] == [draw_fit(cfg, settings, SIZE, SampleStreams(0, epoch, 7)) for epoch in range(20)]


def test_a_portrait_that_a_scale_makes_higher_than_the_input_is_fitted_into_it(make_config):
    cfg = make_config(train_scales="[[96,64]]", img_width=96, img_height=64)
    settings = ImageSettings.from_config(cfg)
    assert draw_fit(cfg, settings, (40, 60), SampleStreams(0, 0, 0)) == Resize((64, 96))
    assert draw_fit(cfg, settings, (60, 40), SampleStreams(0, 0, 0)) == FitInput(settings)


def test_image_box_and_mask_stand_at_the_chosen_scale_and_the_rest_is_padding(make):
    (sample,) = make([square(1, (10, 20, 30, 10))], train_scales="[[25,25]]")
    assert sample["image_shape"].tolist() == [20, 25] and not sample["image"][:, 20:].any()
    np.testing.assert_array_equal(sample["gt_boxes"][0], [5, 10, 20, 15])
    expected = np.zeros((64, 64))
    expected[10:15, 5:20] = 1
    np.testing.assert_array_equal(bitmaps(sample)[0], expected)


def test_a_jitter_worked_by_hand():
    """2 x 4 pixels at twice their size are 4 x 8; the window shows columns 3 to 6."""
    jitter = LargeScaleJitter((4, 8), (3, 0, 4, 4))
    assert jitter.new_size((2, 4)) == (4, 4) and jitter.recomputes_boxes and jitter.least_side == 1
    mask = np.uint8([[0, 1, 1, 0], [0, 0, 0, 1]])
    expected = [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(jitter.masks(mask), expected)
    boxes = np.float32([[1, 0, 3, 1], [0, 0, 1, 2], [3, 1, 4, 2]])
    np.testing.assert_array_equal(jitter.boxes(boxes, (2, 4)), [[0, 0, 3, 2], [0, 0, 0, 4], [3, 2, 4, 4]])
    image = np.random.RandomState(0).randint(0, 256, (2, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(jitter.image(image), cv2.resize(image, (8, 4))[:, 3:7])


@pytest.mark.parametrize("seed", range(8))
def test_what_is_cut_out_are_opencvs_bits(seed):
    rng = np.random.RandomState(seed)
    size = tuple(rng.randint(20, 90, 2))
    jitter = LargeScaleJitter.anywhere(size, (48, 64), (0.1, 2.0), rng)
    left, top, width, height = jitter.window
    mask = np.zeros(size, np.uint8)
    mask[rng.randint(size[0]) :, rng.randint(size[1]) :] = 1
    whole = cv2.resize(mask, jitter.resized[::-1], interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(jitter.masks(mask), whole[top : top + height, left : left + width])
    np.testing.assert_array_equal(jitter.masks(mask * 0), 0 * whole[top : top + height, left : left + width])
    line = rng.randint(0, 256, (1, size[1])).astype(np.uint8)
    resized = cv2.resize(line, (77, 1), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(line[:, nearest(size[1], 77)], resized)


def test_scales_and_windows_are_drawn_over_their_whole_range():
    rng, drawn = np.random.RandomState(0), []
    for _ in range(600):
        drawn.append(LargeScaleJitter.anywhere((480, 640), (100, 100), (0.1, 2.0), rng))
    widths = np.array([jitter.resized[1] for jitter in drawn])
    assert widths.min() in (10, 11) and widths.max() in (198, 199) and abs(widths.mean() - 104.5) < 5
    assert all(abs(jitter.resized[0] - 0.75 * jitter.resized[1]) <= 0.5 for jitter in drawn)
    for jitter in drawn:
        left, top, width, height = jitter.window
        assert (width, height) == (min(jitter.resized[1], 100), min(jitter.resized[0], 100))
        assert 0 <= left <= jitter.resized[1] - width and 0 <= top <= jitter.resized[0] - height
    largest = [jitter for jitter in drawn if jitter.resized[1] > 180]
    for side, most in ((0, 80), (1, 35)):
        places = [jitter.window[side] for jitter in largest]
        assert min(places) < 5 and max(places) > most


class Fixed:
    """Jitters in turn, instead of drawn ones."""

    def __init__(self, monkeypatch, *jitters):
        self.left = list(jitters)
        monkeypatch.setattr(LargeScaleJitter, "anywhere", lambda *arguments: self.left.pop(0))


def test_boxes_become_those_of_the_masks_and_objects_without_a_pixel_are_gone(make, monkeypatch):
    """The window is columns 20 to 45 of the image at its own size; the crowd's box is its mask's too."""
    corner = [[0, 0, 30, 0, 30, 2, 2, 2, 2, 20, 0, 20]]  # a thin L, of which the window shows the end of the upper bar
    annotations = [
        square(1, (10, 5, 20, 10)),
        square(1, (0, 0, 30, 20), segmentation=corner),
        square(1, (5, 4, 40, 30), segmentation=[[5, 4, 15, 4, 15, 34, 5, 34]]),  # the box is shown, no pixel of it
        square(1, (1, 1, 10, 10)),
        square(1, (0, 30, 44, 6), iscrowd=1, segmentation=[[0, 30, 30, 30, 30, 36, 0, 36]]),
    ]
    Fixed(monkeypatch, LargeScaleJitter(SIZE, (20, 0, 25, 40)))
    (sample,) = make(annotations, large_scale_jitter="[1,1]", num_gts=6)
    assert sample["image_shape"].tolist() == [40, 25] and sample["gt_labels"].tolist() == [1, 1, -1, 0, 0, 0]
    np.testing.assert_array_equal(sample["gt_boxes"][:3], [[0, 5, 10, 15], [0, 0, 10, 2], [0, 30, 10, 36]])
    assert sample["gt_valid"].tolist() == [True, True, False, False, False, False]
    shown = bitmaps(sample)
    assert [int(one.sum()) for one in shown[:3]] == [100, 20, 0] and shown[0, 5:15, :10].all()


def test_without_masks_boxes_are_clipped_and_those_below_a_pixel_are_gone(make, monkeypatch):
    boxes = [(10, 5, 20, 10), (0, 0, 20.5, 9), (0, 10, 21, 9)]
    for keys, changes in (({"detector": "faster_rcnn"}, {}), ({}, {"segmentation": []})):
        Fixed(monkeypatch, LargeScaleJitter(SIZE, (20, 0, 25, 40)))
        (sample,) = make([square(1, box, **changes) for box in boxes], large_scale_jitter="[1,1]", **keys)
        np.testing.assert_array_equal(sample["gt_boxes"], [[0, 5, 10, 15], [0, 10, 1, 19], [0] * 4, [0] * 4])
        assert sample["gt_labels"].tolist() == [1, 1, 0, 0]
        if HAS_MASK in sample:
            assert not sample[HAS_MASK].any()


def test_a_window_without_an_object_is_drawn_again_and_at_last_the_image_is_shown_whole(make, monkeypatch):
    empty, full = LargeScaleJitter(SIZE, (20, 0, 25, 40)), LargeScaleJitter(SIZE, (0, 0, 25, 40))
    annotations = [square(1, (1, 1, 10, 10)), square(1, (20, 5, 20, 20), iscrowd=1)]
    fixed = Fixed(monkeypatch, empty, empty, full, empty)
    (sample,) = make(annotations, large_scale_jitter="[1,1]")
    assert len(fixed.left) == 1 and sample["gt_boxes"][0].tolist() == [1, 1, 11, 11]
    Fixed(monkeypatch, *[empty] * scale.JITTER_TRIES)
    (sample,), (plain,) = make(annotations, large_scale_jitter="[1,1]"), make(annotations)
    assert all((sample[name] == plain[name]).all() for name in plain)  # its random number too
    fixed = Fixed(monkeypatch, empty)
    (sample,) = make([], large_scale_jitter="[1,1]")  # an image without an object has none to lose
    assert not fixed.left and sample["image_shape"].tolist() == [40, 25]


def test_an_attempt_changes_the_jitter_alone(make, monkeypatch):
    """Flips, expansions and the network's random numbers are the same after a jitter that was drawn again."""
    keys = {"flip_ratio": 0.5, "expand_ratio": 0.5, "count": 12}
    annotations = [square(1, (4, 3, 40, 30))]
    plain = make(annotations, **keys)
    jittered = make(annotations, large_scale_jitter="[0.1,2]", **keys)
    assert [one["sample_seed"] for one in jittered] == [one["sample_seed"] for one in plain]
    assert all(one["gt_valid"].any() for one in jittered)
    assert len({tuple(one["image_shape"]) for one in jittered}) > 8


@pytest.mark.parametrize("keys", [{"large_scale_jitter": "[0.2,2]"}, {"train_scales": "[[64,64],[32,32]]"}])
def test_a_sample_is_the_same_whatever_is_read_before_it(coco_folder, make_config, keys):
    annotations = [square(image, (4 + image, 3, 20, 15)) for image in (1, 2, 3, 4)]
    dataset = read_coco(coco_folder([(50, 40)] * 4, annotations), CLASSES)
    cfg = make_config(epoch_size=3, flip_ratio=0.5, **keys)
    whole, later = build_train_loader(cfg, dataset).source, build_train_loader(cfg, dataset, start_step=3).source
    forwards = [whole[k] for k in range(6)]
    for k in reversed(range(3)):
        for ours, again in zip(forwards[k + 3], later[k], strict=True):
            np.testing.assert_array_equal(ours, again)
    assert any((a["image"] != b["image"]).any() for a, b in [
        [dict(zip(whole.samples.columns, forwards[k])) for k in pair] for pair in ((0, 2), (2, 4))
    ])  # fmt: skip
