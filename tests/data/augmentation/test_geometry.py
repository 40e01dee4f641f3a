"""Geometry: the image, its boxes and its masks move together."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from src.data.augmentation import geometry as G
from src.data.augmentation.geometry import RandomResizedCrop, crop_window, draw_scale, scaled_size
from src.data.augmentation.transform import Transform
from src.data.network_input import ImageSettings
from src.data.normalisation import PixelNormalisation

SIZE = (40, 50)
KINDS = {
    "flip": G.HorizontalFlip(),
    "expand": G.Expand((70, 90), 13, 22, (0, 0, 0)),
    "fit": G.FitInput(ImageSettings(96, 64, PixelNormalisation((0,) * 3, (1,) * 3))),
    "resize": G.Resize((80, 75)),
    "crop": G.RandomCrop((32, 40), 5, 7),
    "padding crop": G.RandomCrop((60, 44), 0, 3),
    "resized crop": RandomResizedCrop((10, 4, 36, 33), (64, 72)),
}


def coordinates(height: int, width: int) -> np.ndarray:
    """A picture whose channels tell a pixel's row and column."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bright_object_its_mask_and_its_box_stay_together(kind):
    transform: Transform = KINDS[kind]
    image, mask = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)
    image[8:28, 20:36], mask[8:28, 20:36] = 255, 1
    moved, moved_mask = transform.image(image), transform.masks(mask)
    box = transform.boxes(np.float32([[20, 8, 36, 28], [0, 0, 50, 40]]), SIZE)
    assert moved.shape == (*transform.new_size(SIZE), 3) and moved_mask.shape == moved.shape[:2] and mask.sum() == 320
    rows, columns = np.flatnonzero(moved_mask.any(1)), np.flatnonzero(moved_mask.any(0))
    np.testing.assert_allclose(box[0], [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=1)
    assert ((moved[..., 0] > 127) != moved_mask.astype(bool)).sum() <= 2 * (len(rows) + len(columns))
    height, width = transform.new_size(SIZE)
    assert (box >= 0).all() and (box[:, [0, 2]] <= width).all() and (box[:, [1, 3]] <= height).all()


def test_places_that_the_image_does_not_show_get_the_asked_value():
    label = np.ones(SIZE, np.uint8)
    for kind, covered in (("expand", 40 * 50), ("padding crop", 40 * 44)):
        moved = KINDS[kind].masks(label, outside=255)
        assert set(np.unique(moved)) == {1, 255} and (moved == 1).sum() == covered


def test_resized_boxes_are_scaled_by_the_true_factors_and_clipped():
    boxes = G.Resize((16, 25)).boxes(np.float32([[1, 2, 5, 4], [-3, 0, 99, 99]]), (8, 10))
    np.testing.assert_allclose(boxes, [[2.5, 4, 12.5, 8], [0, 0, 25, 16]])


def test_flipping_twice_gives_the_same_boxes():
    boxes, flip = np.float32([[1, 2, 5, 4], [0, 0, 10, 8]]), G.HorizontalFlip()
    once = flip.boxes(boxes, (8, 10))
    np.testing.assert_allclose(once, [[5, 2, 9, 4], [0, 0, 10, 8]])
    np.testing.assert_allclose(flip.boxes(once, (8, 10)), boxes)


def test_masks_are_resized_to_the_nearest_pixel():
    mask = np.uint8([[1, 0], [0, 1]])
    np.testing.assert_array_equal(G.Resize((4, 4)).masks(mask), np.kron(mask, np.ones((2, 2), np.uint8)))


def test_an_expanded_image_lies_whole_on_a_canvas_of_its_colour():
    rng = np.random.RandomState(3)
    for _ in range(20):
        expand = G.Expand.anywhere((6, 9), (30.0, 20.0, 10.0), rng)
        height, width = expand.size
        assert 6 <= height <= 24 and 9 <= width <= 36
        canvas, mask = expand.image(np.full((6, 9, 3), 200, np.uint8)), expand.masks(np.ones((6, 9), np.uint8))
        assert mask.sum() == 54
        assert (canvas[mask > 0] == 200).all() and (canvas[mask == 0] == (30, 20, 10)).all()


def test_a_canvas_has_the_mean_colour_in_the_files_order_of_channels():
    cfg = SimpleNamespace(expand_ratio=1.0, img_mean=[10.2, 20.0, 29.8], img_std=[1, 1, 1], to_rgb=True)
    assert list(G.Expand.draw(cfg, (6, 9), np.random.RandomState(0)).colour) == [30, 20, 10]
    cfg.to_rgb = False
    assert list(G.Expand.draw(cfg, (6, 9), np.random.RandomState(0)).colour) == [10, 20, 30]


def test_resizing_is_opencvs_bilinear():
    image = np.random.RandomState(0).randint(0, 256, (31, 40, 3)).astype(np.uint8)
    expected = cv2.resize(image, (62, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(G.Resize((48, 62)).image(image), expected)
    assert G.Resize((31, 40)).image(image) is image


def test_random_crops_have_the_asked_area_and_shape_and_fill_the_size():
    rng = np.random.RandomState(0)
    image = coordinates(200, 240)
    areas, ratios = [], []
    for _ in range(300):
        left, top, width, height = crop_window((200, 240), rng, (0.2, 0.8), (0.5, 2.0))
        assert 0 <= left <= 240 - width and 0 <= top <= 200 - height
        areas.append(width * height / (240 * 200))
        ratios.append(width / height)
    assert 0.19 < min(areas) < 0.25 and 0.7 < max(areas) < 0.81
    assert 0.48 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.05 and abs(np.log(ratios).mean()) < 0.1
    window = crop_window((200, 240), rng, (0.08, 1), (3 / 4, 4 / 3))
    out = RandomResizedCrop(window, (32, 48)).image(image)
    assert out.shape == (32, 48, 3) and (np.diff(out[:, 0, 0].astype(int)) >= 0).all()


def test_an_image_too_long_for_any_crop_gives_its_centre():
    window = crop_window((10, 400), np.random.RandomState(0), (0.9, 1.0), (0.75, 4 / 3))
    assert window == ((400 - 13) // 2, 0, 13, 10)


@pytest.mark.parametrize(("size", "ratio"), [((1, 50), (0.1, 0.2)), ((50, 1), (3, 4)), ((1, 1), (0.1, 0.2))])
def test_a_crop_of_a_line_of_pixels_shows_something_of_it(size, ratio):
    left, top, width, height = window = crop_window(size, np.random.RandomState(0), (0.5, 1.0), ratio)
    assert 0 < width <= size[1] - left and 0 < height <= size[0] - top
    assert (RandomResizedCrop(window, (8, 8)).image(np.full((*size, 3), 200, np.uint8)) == 200).all()


def test_scales_are_the_tenths_of_the_range_and_sizes_keep_the_shape():
    rng = np.random.RandomState(0)
    drawn = {round(draw_scale((0.5, 2.1), rng), 3) for _ in range(500)}
    assert drawn == {round(0.5 + 0.1 * k, 3) for k in range(17)}
    assert scaled_size((1024, 2048), 0.5, 2048) == (512, 1024)
    assert scaled_size((600, 300), 1.0, 473) == (473, 237)  # 236.5 rounds up, as the originals' int(x + 0.5)
    assert scaled_size((333, 500), 1.25) == (416, 625)


def test_crops_reach_every_place_and_pad_to_the_right_and_below():
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    crops = [G.RandomCrop.anywhere((4, 5), (2, 2), np.random.RandomState(k)) for k in range(200)]
    corners = {int(crop.masks(label)[0, 0]) for crop in crops}
    assert corners == {5 * row + column for row in range(3) for column in range(4)}
    padded = G.RandomCrop.anywhere((4, 5), (6, 5), np.random.RandomState(0)).masks(label, outside=255)
    assert (padded[4:] == 255).all() and (padded[:4] == label).all()
