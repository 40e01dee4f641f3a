"""Mosaic: cases worked by hand, and MMDetection's corners written out beside it."""

import cv2
import numpy as np
import pytest

from src.data.augmentation.geometry import HorizontalFlip
from src.data.augmentation.mosaic import Mosaic
from src.data.augmentation.scene import CROWD_LABEL
from tests.data.augmentation.scenes import bitmap_of, random_scene, rectangle, scene_of

SIZE = (8, 16)  # of the network's input; the canvas is 16 x 32


def mosaic(scenes, centre, size=SIZE):
    return Mosaic(size, centre, (7, 8, 9)).combine(scenes[0], scenes[1:], np.random.RandomState(0))


def test_four_images_meet_in_the_centre_and_their_objects_go_with_them():
    scenes = [
        scene_of((4, 8), [[1, 1, 3, 3], [0, 0, 1, 1]], 50),  # twice as large: 8 x 16 at (-4, 2); the second is outside
        scene_of((16, 16), [[2, 4, 12, 12]], 100, labels=[3]),  # half as large: 8 x 8 at (12, 2)
        scene_of((8, 16), [[8, 0, 16, 2]], 150, labels=[CROWD_LABEL]),  # as large: at (-4, 10)
        scene_of((5, 7), [[1, 1, 4, 5]], 200, labels=[4], masks=[None]),  # 1.6 times: 8 x 11 at (12, 10)
    ]
    scene = mosaic(scenes, (12, 10))
    image = np.full((16, 32, 3), (7, 8, 9), np.uint8)
    image[2:10, :12], image[2:10, 12:20], image[10:, :12], image[10:, 12:23] = 50, 100, 150, 200
    np.testing.assert_array_equal(scene.image, image)
    assert scene.labels.tolist() == [1, 3, CROWD_LABEL, 4]
    np.testing.assert_allclose(
        scene.boxes, [[0, 4, 2, 8], [13, 4, 18, 8], [4, 10, 12, 12], [13.6, 11.6, 18.4, 16]], rtol=1e-6
    )
    assert list(scene.masks.drawn) == [True, True, True, False]
    for k, box in enumerate([[0, 4, 2, 8], [13, 4, 18, 8], [4, 10, 12, 12]]):
        np.testing.assert_array_equal(bitmap_of(scene.masks, k), rectangle((16, 32), *box))
    np.testing.assert_array_equal(scene.masks.layers([2, 0]) & 1, rectangle((16, 32), 4, 10, 12, 12))
    np.testing.assert_array_equal(scene.masks.layers([2, 0]) >> 1, rectangle((16, 32), 0, 4, 2, 8))


def test_of_which_less_than_a_pixel_is_left_is_dropped():
    scenes = [scene_of(SIZE, [[0, 0, 5, 4], [0, 0, 4.9, 4]])] + [scene_of(SIZE, [])] * 3  # cut at 4
    assert mosaic(scenes, (12, 10)).boxes.tolist() == [[0, 2, 1, 6]]


def test_what_is_done_to_an_image_is_done_to_the_canvas():
    scenes = [scene_of(SIZE, [[4, 0, 8, 4]])] + [scene_of(SIZE, [])] * 3
    scene = mosaic(scenes, (16, 8)).changed(HorizontalFlip())
    assert scene.boxes.tolist() == [[24, 0, 28, 4]]
    np.testing.assert_array_equal(bitmap_of(scene.masks, 0), rectangle((16, 32), 24, 0, 28, 4))


def corners(which, centre, width, height, size):
    """Where MMDetection pastes a fitted image, and what of it, each as x1, y1, x2, y2."""
    (x, y), (most_y, most_x) = centre, (2 * size[0], 2 * size[1])
    if which == 0:
        x1, y1, x2, y2 = max(x - width, 0), max(y - height, 0), x, y
        return (x1, y1, x2, y2), (width - (x2 - x1), height - (y2 - y1), width, height)
    if which == 1:
        x1, y1, x2, y2 = x, max(y - height, 0), min(x + width, most_x), y
        return (x1, y1, x2, y2), (0, height - (y2 - y1), min(width, x2 - x1), height)
    if which == 2:
        x1, y1, x2, y2 = max(x - width, 0), y, x, min(most_y, y + height)
        return (x1, y1, x2, y2), (width - (x2 - x1), 0, width, min(y2 - y1, height))
    x1, y1, x2, y2 = x, y, min(x + width, most_x), min(most_y, y + height)
    return (x1, y1, x2, y2), (0, 0, min(width, x2 - x1), min(y2 - y1, height))


@pytest.mark.parametrize("seed", range(10))
def test_it_is_mmdetections(seed):
    rng, size = np.random.RandomState(seed), (24, 40)
    scenes = [random_scene(rng, (rng.randint(10, 60), rng.randint(10, 60)), rng.randint(0, 6)) for _ in range(4)]
    centre = int(rng.uniform(0.5, 1.5) * size[1]), int(rng.uniform(0.5, 1.5) * size[0])
    image, boxes, labels, masks = np.full((48, 80, 3), (7, 8, 9), np.uint8), [], [], []
    for which, scene in enumerate(scenes):
        height, width = scene.size
        scale = min(size[0] / height, size[1] / width)
        fitted = int(width * scale), int(height * scale)
        (x1, y1, x2, y2), (left, top, right, bottom) = corners(which, centre, *fitted, size)
        part = cv2.resize(scene.image, fitted, interpolation=cv2.INTER_LINEAR)[top:bottom, left:right]
        image[y1:y2, x1:x2] = part
        for k, (box, label) in enumerate(zip(scene.boxes, scene.labels)):
            box = np.clip(box * scale + np.array([x1 - left, y1 - top] * 2), 0, [80, 48, 80, 48])
            if (box[2:] - box[:2] >= 1).all():
                mask = cv2.resize(bitmap_of(scene.masks, k).view(np.uint8), fitted, interpolation=cv2.INTER_NEAREST)
                masks.append(np.zeros((48, 80), bool))
                masks[-1][y1:y2, x1:x2] = mask[top:bottom, left:right]
                boxes.append(box)
                labels.append(label)
    scene = mosaic(scenes, centre, size)
    np.testing.assert_array_equal(scene.image, image)
    np.testing.assert_allclose(scene.boxes, np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert scene.labels.tolist() == labels
    for start in range(0, len(labels), 8):
        layers = scene.masks.layers(range(start, min(start + 8, len(labels))))
        for bit, mask in enumerate(masks[start : start + 8]):
            np.testing.assert_array_equal(layers >> bit & 1, mask)
