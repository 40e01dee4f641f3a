import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask

from src.inference import paste
from src.inference.paste import paste_masks


def reference_values(mask: np.ndarray, box, height: int, width: int) -> np.ndarray:
    """(height, width) float32: the definition by torch's grid_sample on the region around the box, 0 elsewhere."""
    x1, y1, x2, y2 = torch.tensor(np.asarray(box, np.float32))
    left, top = max(int(torch.floor(x1)) - 1, 0), max(int(torch.floor(y1)) - 1, 0)
    right, bottom = min(int(torch.ceil(x2)) + 1, width), min(int(torch.ceil(y2)) + 1, height)
    values = torch.zeros(height, width)
    if right <= left or bottom <= top:
        return values.numpy()
    grid_x = (torch.arange(left, right).float() + 0.5 - x1) / (x2 - x1) * 2 - 1
    grid_y = (torch.arange(top, bottom).float() + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid_x[torch.isinf(grid_x)] = 0
    grid_y[torch.isinf(grid_y)] = 0
    grid = torch.stack([grid_x[None, :].expand(len(grid_y), -1), grid_y[:, None].expand(-1, len(grid_x))], -1)[None]
    sampled = F.grid_sample(torch.tensor(mask, dtype=torch.float32)[None, None], grid, align_corners=False)
    values[top:bottom, left:right] = sampled[0, 0]
    return values.numpy()


def random_masks(rng, count: int, size: int = 28) -> np.ndarray:
    return 1 / (1 + np.exp(-rng.normal(0, 3, (count, size, size)).astype(np.float32)))


def assert_same(masks, boxes, height: int, width: int, threshold: float = 0.5) -> int:
    """The pasted masks are the reference's, but for pixels whose value is the threshold to within float32 rounding."""
    pixels_on = 0
    for mask, box, code in zip(masks, boxes, paste_masks(masks, boxes, height, width, threshold)):
        assert code["size"] == [height, width]
        values = reference_values(mask, box, height, width)
        pasted = coco_mask.decode(code).astype(bool)
        differ = pasted != (values >= np.float32(threshold))
        assert np.abs(values[differ] - threshold).max(initial=0) < 1e-6, box
        assert differ.sum() <= 2, box
        pixels_on += int(pasted.sum())
    return pixels_on


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.9])
def test_random_boxes_paste_as_grid_sample_does(threshold):
    rng = np.random.default_rng(0)
    low = rng.uniform(-40, 150, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.01, 160, (60, 2))], 1).astype(np.float32)
    assert assert_same(random_masks(rng, 60), boxes, 133, 187, threshold) > 5_000


@pytest.mark.parametrize(
    "box",
    [
        (-30.5, -20.25, 60.0, 45.5),  # partly outside at the top left
        (80.0, 50.0, 160.0, 140.0),  # partly outside at the bottom right
        (-50.0, -50.0, 200.0, 170.0),  # larger than the image
        (10.2, 10.3, 10.9, 10.8),  # within one pixel
        (10.2, 10.3, 11.4, 60.0),  # a pixel wide
        (0.0, 0.0, 100.0, 80.0),  # the image itself
        (20.3, 10.0, 20.3, 60.0),  # no width
        (20.0, 30.7, 70.0, 30.7),  # no height
        (20.3, 30.7, 20.3, 30.7),  # neither
        (20.5, 10.0, 20.5, 60.0),  # no width, exactly on pixel centres
        (99.0, 79.0, 100.0, 80.0),  # the last pixel
    ],
)
def test_odd_boxes_paste_as_grid_sample_does(box):
    masks = random_masks(np.random.default_rng(1), 3)
    assert_same(masks, np.tile(np.asarray(box, np.float32), (3, 1)), 80, 100)


@pytest.mark.parametrize("box", [(-60, 10, -20, 40), (140, 10, 180, 40), (10, -70, 40, -20), (10, 120, 40, 160)])
def test_a_box_outside_the_image_gives_an_empty_mask(box):
    (code,) = paste_masks(np.ones((1, 28, 28)), np.asarray([box]), 80, 100)
    assert coco_mask.area(code) == 0 and code["size"] == [80, 100]


def test_a_box_that_is_not_finite_gives_an_empty_mask():
    (code,) = paste_masks(np.ones((1, 28, 28)), np.asarray([[0, 0, np.nan, 5]]), 8, 9)
    assert coco_mask.area(code) == 0


@pytest.mark.parametrize("height,width", [(1, 1), (1, 9), (7, 1), (3, 4)])
def test_small_images(height, width):
    rng = np.random.default_rng(2)
    boxes = np.asarray([[0, 0, width, height], [-3, -3, width + 4, height + 2], [0.3, 0.2, 0.9, 0.9]], np.float32)
    assert_same(random_masks(rng, 3), boxes, height, width)


@pytest.mark.parametrize("size", [1, 2, 14, 56, 224])
def test_masks_of_other_resolutions(size):
    rng = np.random.default_rng(3)
    boxes = np.asarray([[3.3, 4.4, 60.2, 50.7], [-5, -6, 90, 20]], np.float32)
    assert_same(random_masks(rng, 2, size), boxes, 64, 80)


def test_a_value_equal_to_the_threshold_belongs_to_the_object():
    # A flat mask of 0.5 in a box twice as wide as the mask: exactly 0.5 at pixels whose neighbours lie in the mask.
    (code,) = paste_masks(np.full((1, 4, 4), 0.5), np.asarray([[2, 1, 10, 9]]), 12, 12)
    expected = np.zeros((12, 12), bool)
    expected[2:8, 3:9] = True
    assert np.array_equal(coco_mask.decode(code).astype(bool), expected)
    values = reference_values(np.full((4, 4), 0.5), (2, 1, 10, 9), 12, 12)
    assert np.array_equal(values >= 0.5, expected)


def test_the_code_is_the_one_pycocotools_writes():
    # Boxes over the whole height make runs that go on in the next column, and masks that end in the image's last pixel.
    rng = np.random.default_rng(4)
    boxes = np.asarray([[-9, -9, 70, 60], [0, 0, 50, 40], [30, 20, 90, 90], [-9, -9, 70, 60]], np.float32)
    masks = random_masks(rng, 4)
    masks[3] = 1
    for code in paste_masks(masks, boxes, 40, 50):
        again = coco_mask.encode(np.asfortranarray(coco_mask.decode(code)))
        assert code["counts"] == again["counts"].decode("ascii")
    assert coco_mask.area(code) == 40 * 50


def test_strips_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(5)
    masks, boxes = random_masks(rng, 2), np.asarray([[5.5, 3.2, 61.7, 48.8], [-4, -4, 80, 70]], np.float32)
    whole = paste_masks(masks, boxes, 60, 70)
    monkeypatch.setattr(paste, "STRIP_PIXELS", 100)
    assert paste_masks(masks, boxes, 60, 70) == whole


def test_no_masks_give_no_codes():
    assert paste_masks(np.zeros((0, 28, 28)), np.zeros((0, 4)), 10, 10) == []
