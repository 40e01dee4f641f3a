"""Training samples of the MindSpore originals: whole boxes, the last pixel, the flip of the padded canvas, black."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.augmentation import legacy
from src.data.formats.coco import read_coco
from src.data.network_input import ImageSettings
from src.data.normalisation import PixelNormalisation
from src.data.pipeline import DetectionSamples
from src.data.streams import SampleStreams
from tests.data.tiny import CLASSES, square

DEMO = Path(__file__).parents[3] / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml"
LEGACY = {"box_style": "legacy", "resize": "fit_twice", "pad_colour": "black", "roi.roi_layer.aligned": 0,
          "mask_roi.roi_layer.aligned": 0, "img_width": 160, "img_height": 96, "num_gts": 3, "expand_ratio": 0,
          "flip_ratio": 0}  # fmt: skip
SIZE = (40, 50)  # h, w; fitted to 160 x 96 by 2.4: 96 x 120


@pytest.fixture()
def make(coco_folder):
    """Gives samples of one image of (h, w) `SIZE` with these boxes (x, y, w, h), by number of the sample's stream."""

    def samples(boxes, size=SIZE, count=1, **keys) -> list[dict[str, np.ndarray]]:
        folder = coco_folder([size[::-1]], [square(1, box) for box in boxes])
        cfg = load_config(DEMO, [f"--{name}={value}" for name, value in (LEGACY | keys).items()])
        source = DetectionSamples(read_coco(folder, CLASSES), [0], cfg)
        made = (source.make(source.read(0), SampleStreams(3, epoch, 0)) for epoch in range(count))
        return [dict(zip(source.columns, columns)) for columns in made]

    return samples


def pixels(sample: dict[str, np.ndarray]) -> np.ndarray:
    """(H, W, 3) RGB in 0..255."""
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    return np.round(sample["image"].transpose(1, 2, 0) * std + mean)


def test_fractions_are_cut_before_boxes_are_scaled_and_clipped_to_the_last_pixel(make):
    (sample,) = make([(4.9, 2.2, 10.9, 9.9), (30, 10, 20, 30)])
    expected = np.float32([np.float64([4, 2, 15, 12]) * 2.4, [72, 24, 119, 95]])
    np.testing.assert_array_equal(sample["gt_boxes"][:2], expected)
    assert sample["image_shape"].tolist() == [96, 160]


def test_a_box_that_ends_by_less_than_float32_tells_below_a_pixel_is_cut_there(make):
    assert 10.03 + 20.96999999 < 31 == np.float32(10.03 + 20.96999999)
    (sample,) = make([(10.03, 2, 20.96999999, 9)])
    assert sample["gt_boxes"][0, 2] == np.float32(30 * 2.4)


def test_a_box_of_one_column_is_an_object(make):
    (sample,) = make([(4.2, 2, 1.5, 9)])
    assert sample["gt_labels"][0] > 0 and sample["gt_boxes"][0, 0] == np.float32(4 * 2.4)
    assert sample["gt_boxes"][0, 2] == np.float32(5 * 2.4)
    (sample,) = make([(4.2, 2, 1.2, 1.3), (4.0, 2.0, 1.0, 1.0)])
    assert (sample["gt_labels"] > 0).sum() == 2


def test_the_flip_is_of_the_padded_canvas_so_that_the_border_comes_to_the_left(make):
    boxes = [(4, 2, 10, 9)]
    (plain,), (flipped,) = make(boxes), make(boxes, flip_ratio=1)
    np.testing.assert_array_equal(flipped["image"], plain["image"][:, :, ::-1])
    x1, y1, x2, y2 = plain["gt_boxes"][0].astype(np.float64)
    np.testing.assert_allclose(flipped["gt_boxes"][0], [160 - x2 - 1, y1, 160 - x1 - 1, y2], rtol=1e-6)
    masks = [np.unpackbits(sample["gt_masks"][0], axis=-1) for sample in (plain, flipped)]
    np.testing.assert_array_equal(masks[1], masks[0][:, ::-1])
    assert masks[0].any() and not pixels(flipped)[:, :40].any() and pixels(flipped)[:, 40:].any(axis=2).mean() > 0.9


def test_every_second_image_stands_on_a_black_canvas(make):
    samples = make([(4, 2, 30, 30)], count=60, expand_ratio=0.5)
    (whole,) = make([(4, 2, 30, 30)])
    expanded = [sample for sample in samples if (sample["image"] != whole["image"]).any()]
    assert 20 < len(expanded) < 40
    for sample in expanded:
        shown = pixels(sample)
        x1, y1, x2, y2 = sample["gt_boxes"][0]
        scale = (x2 - x1) / 30
        outside = np.ones(shown.shape[:2], bool)
        rows, columns = np.flatnonzero(shown.any(axis=(1, 2))), np.flatnonzero(shown.any(axis=(0, 2)))
        outside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
        assert not shown[outside].any()
        assert (rows[-1] - rows[0]) == pytest.approx(40 * scale, abs=2.5)
        assert (columns[-1] - columns[0]) == pytest.approx(50 * scale, abs=2.5)


def test_a_portraits_boxes_take_one_nominal_scale_and_its_masks_one_step(make):
    size = (90, 50)  # by 160 / 90, which is too high, then by 96 / 160
    scale = 160 / 90 * 96 / 160
    (sample,) = make([(10, 20, 30, 50)], size)
    np.testing.assert_allclose(sample["gt_boxes"][0], np.float64([10, 20, 40, 70]) * scale, rtol=1e-6)
    mask = np.zeros(size, np.uint8)
    mask[20:70, 10:40] = 1
    resized = cv2.resize(mask, (int(50 * scale + 0.5), int(90 * scale + 0.5)), interpolation=cv2.INTER_NEAREST)
    shown = np.unpackbits(sample["gt_masks"][0], axis=-1)
    np.testing.assert_array_equal(shown[: resized.shape[0], : resized.shape[1]], resized)
    assert shown.sum() == resized.sum()


def test_stretched_images_have_a_scale_a_side():
    settings = ImageSettings(160, 96, PixelNormalisation((0,) * 3, (1,) * 3), keep_ratio=False)
    boxes = legacy.FitInclusive(settings).boxes(np.float64([[1, 1, 49, 40]]), SIZE)
    np.testing.assert_allclose(boxes, [[3.2, 2.4, 156.8, 95]])


def test_samples_are_the_same_each_time_and_other_ones_each_epoch(make):
    keys = {"count": 20, "flip_ratio": 0.5, "expand_ratio": 0.5}
    one, two = make([(4, 2, 30, 30)], **keys), make([(4, 2, 30, 30)], **keys)
    for left, right in zip(one, two):
        for name, value in left.items():
            np.testing.assert_array_equal(value, right[name], err_msg=name)
    assert len({sample["gt_boxes"].tobytes() for sample in one}) > 4
