"""Masks and boxes of the MindSpore originals in the image, against their rules written out pixel by pixel."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.inference.paste import paste_masks
from src.inference.paste_on_pixels import paste_on_pixels
from src.inference.results import to_coco_results, to_prediction
from src.models.detection.detections import Detections

HEIGHT, WIDTH = 40, 60


@pytest.fixture()
def masks():
    return np.random.RandomState(0).rand(6, 28, 28).astype(np.float32)


BOXES = np.float32(
    [[3.7, 4.2, 30.9, 20.1], [50, 30, 75, 55], [0, 0, 59, 39], [8.2, 9.9, 8.9, 9.95], [20, 3, 21, 39], [61, 1, 70, 9]]
)


def test_mask_rcnns_masks_fill_whole_pixels_up_to_the_images_border(masks):
    for mask, box, code in zip(masks, BOXES, paste_on_pixels(masks, BOXES, HEIGHT, WIDTH)):
        left, top, right, bottom = box.astype(int)
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        width, height = min(right - left + 1, WIDTH - left), min(bottom - top + 1, HEIGHT - top)
        if width > 0 and height > 0:
            expected[top : top + height, left : left + width] = cv2.resize(mask, (width, height)) > 0.5
        np.testing.assert_array_equal(coco_mask.decode(code), expected)


def test_pointrends_masks_have_no_pixel_whose_centre_is_outside_of_the_box(masks):
    full = np.ones_like(masks)
    for box, code in zip(BOXES, paste_masks(full, BOXES, HEIGHT, WIDTH, 0.2, inside=True)):
        x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
        inside = ((y >= box[1]) & (y <= box[3]))[:, None] & ((x >= box[0]) & (x <= box[2]))
        np.testing.assert_array_equal(coco_mask.decode(code).astype(bool), inside)
    faded = paste_masks(full, BOXES[2:3], HEIGHT, WIDTH, 0.2)[0]
    assert coco_mask.area(faded) > 59 * 39


@pytest.mark.parametrize(("style", "width", "count"), [("continuous", 10, 2), ("points", 10, 1), ("pixels", 11, 2)])
def test_results_say_what_the_originals_say_of_a_boxs_width(masks, style, width, count):
    boxes = np.float32([[4, 4, 24, 24], [130, 2, 140, 9]])  # the second lies beside the image
    slots = Detections(boxes, np.float32([0.9, 0.8]), np.int32([0, 0]), np.array([True, True]), masks[:2])
    results = to_coco_results(to_prediction(slots, (2, 2), (HEIGHT, WIDTH), 0.5, style), 7, [1])
    assert len(results) == count and results[0]["bbox"] == [2, 2, width, width]
