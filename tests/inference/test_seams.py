"""Objects over the seams of tiles, worked by hand: image, tiles, what each tile says, what the image has."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.inference.results import ImagePrediction
from src.inference.seams import merge_tiles

SIZE = (100, 180)
LEFT, RIGHT = (0, 0, 100, 100), (80, 0, 180, 100)  # xyxy of two tiles, which overlap in x from 80 to 100
CORNERS = [(0, 0, 100, 100), (80, 0, 180, 100), (0, 80, 100, 180), (80, 80, 180, 180)]


def rle(bitmap) -> dict:
    code = coco_mask.encode(np.asfortranarray(np.uint8(bitmap)))
    return {"size": list(bitmap.shape), "counts": code["counts"].decode()}


def tile(rect, *objects, masks="box") -> ImagePrediction:
    """What a tile says: objects (x1, y1, x2, y2, score[, label]) in pixels of the image.

    masks: 'box' fills the boxes, None gives none; or a bitmap of the image for each object.
    """
    height, width = rect[3] - rect[1], rect[2] - rect[0]
    boxes = np.float32([one[:4] for one in objects]).reshape(-1, 4) - np.float32([*rect[:2]] * 2)
    found = None if masks is None else []
    for k, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        if masks is None:
            continue
        bitmap = np.zeros((height, width), bool)
        if masks == "box":
            bitmap[max(y1, 0) : y2, max(x1, 0) : x2] = True
        else:
            bitmap = masks[k][rect[1] : rect[3], rect[0] : rect[2]]
        found.append(rle(bitmap))
    labels = np.int32([one[5] if len(one) > 5 else 0 for one in objects])
    return ImagePrediction(height, width, boxes, labels, np.float32([one[4] for one in objects]), found)


def merge(rects, *tiles, size=SIZE) -> list[tuple]:
    """(x1, y1, x2, y2, score, label) of what comes out; with masks, each is its box filled."""
    found = merge_tiles(size, [(y, x) for x, y, _, _ in rects], tiles)
    assert (found.height, found.width) == size and (found.masks is None) == (tiles[0].masks is None)
    for box, mask in zip(found.boxes, found.masks or []):
        x1, y1, x2, y2 = box.astype(int)
        wanted = np.zeros(size, bool)
        wanted[y1:y2, x1:x2] = True
        assert mask == rle(wanted)
    return [(*map(float, box), round(float(score), 3), int(label))
            for box, score, label in zip(found.boxes, found.scores, found.labels)]  # fmt: skip


@pytest.fixture(params=["box", None], ids=["masks", "boxes"])
def masks(request):
    return request.param


def test_an_object_over_a_seam_is_one_with_the_union_of_both_parts(masks):
    """The tiles see 4/7 and 5/7 of it: the score is (4^4 x 0.8 + 5^4 x 0.9) / (4^4 + 5^4)."""
    parts = tile(LEFT, (60, 10, 100, 40, 0.8), masks=masks), tile(RIGHT, (80, 10, 130, 40, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(60, 10, 130, 40, 0.871, 0)]


def test_of_an_object_that_a_tile_sees_whole_its_piece_is_no_part_and_says_next_to_nothing(masks):
    """The right tile has it whole; the left one sees x 84 to 100, 8/23 of it, draws it too high and is surer of it:
    (23^4 x 0.9 + 8^4 x 0.95) / (23^4 + 8^4).
    """
    parts = tile(LEFT, (82, 8, 100, 44, 0.95), masks=masks), tile(RIGHT, (84, 10, 130, 40, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(84, 10, 130, 40, 0.901, 0)]


def test_the_same_box_in_two_tiles_is_one(masks):
    rects = [(0, 0, 100, 100), (50, 0, 150, 100)]
    parts = tile(rects[0], (60, 10, 90, 40, 0.7), masks=masks), tile(rects[1], (60, 10, 90, 40, 0.8), masks=masks)
    assert merge(rects, *parts, size=(100, 150)) == [(60, 10, 90, 40, 0.75, 0)]


def test_whole_views_are_averaged_by_their_scores():
    """Boxes 60 and 64 with 0.9 and 0.6: (0.9 x 60 + 0.6 x 64) / 1.5 = 61.6; of the masks half the weight decides."""
    rects = [(0, 0, 100, 100), (50, 0, 150, 100)]
    parts = tile(rects[0], (60, 10, 90, 40, 0.9)), tile(rects[1], (64, 10, 90, 40, 0.6))
    found = merge_tiles((100, 150), [(0, 0), (0, 50)], parts)
    np.testing.assert_allclose(found.boxes, [[61.6, 10, 90, 40]], rtol=1e-6)
    assert coco_mask.toBbox(found.masks[0]).tolist() == [60, 10, 30, 30] and found.scores[0] == np.float32(0.75)


def test_a_detection_that_one_of_two_tiles_has_is_worth_half(masks):
    rects = [(0, 0, 100, 100), (50, 0, 150, 100)]
    parts = tile(rects[0], (60, 10, 90, 40, 0.9), masks=masks), tile(rects[1], masks=masks)
    assert merge(rects, *parts, size=(100, 150)) == [(60, 10, 90, 40, 0.45, 0)]


def test_an_object_over_a_corner_of_four_tiles_is_one(masks):
    """They see 3, 3, 5 and 5 ninths of it: (81 x (0.5 + 0.6) + 625 x (0.7 + 0.4)) / (2 x 81 + 2 x 625)."""
    parts = [(60, 70, 100, 100, 0.5), (80, 70, 120, 100, 0.6), (60, 80, 100, 130, 0.7), (80, 80, 120, 130, 0.4)]
    tiles = [tile(rect, part, masks=masks) for rect, part in zip(CORNERS, parts)]
    assert merge(CORNERS, *tiles, size=(180, 180)) == [(60, 70, 120, 130, 0.55, 0)]


def test_an_object_larger_than_a_tile_comes_together_from_all_of_them(masks):
    """Three tiles of 100 in a row of 260; the middle one sees both of its borders crossed. None sees half of it: the
    score is the best one.
    """
    rects = [(0, 0, 100, 100), (80, 0, 180, 100), (160, 0, 260, 100)]
    parts = [(20, 30, 100, 60, 0.5), (80, 30, 180, 60, 0.9), (160, 30, 240, 60, 0.6)]
    tiles = [tile(rect, part, masks=masks) for rect, part in zip(rects, parts)]
    assert merge(rects, *tiles, size=(100, 260)) == [(20, 30, 240, 60, 0.9, 0)]


def test_two_touching_objects_of_one_class_over_one_seam_stay_two(masks):
    """A ends where B begins, at x = 90, in the middle of what both tiles see: each tile has one whole, the other cut,
    a quarter of A ((256 x 0.9 + 0.5) / 257) and a fifth of B.
    """
    parts = (
        tile(LEFT, (50, 10, 90, 40, 0.9), (90, 10, 100, 40, 0.6), masks=masks),
        tile(RIGHT, (80, 10, 90, 40, 0.5), (90, 10, 140, 40, 0.8), masks=masks),
    )
    assert merge([LEFT, RIGHT], *parts) == [(50, 10, 90, 40, 0.898, 0), (90, 10, 140, 40, 0.8, 0)]


def test_two_objects_one_above_the_other_over_one_seam_stay_two(masks):
    parts = (
        tile(LEFT, (60, 10, 100, 40, 0.9), (60, 40, 100, 70, 0.6), masks=masks),
        tile(RIGHT, (80, 40, 130, 70, 0.8), (80, 10, 130, 40, 0.5), masks=masks),
    )
    assert merge([LEFT, RIGHT], *parts) == [(60, 40, 130, 70, 0.742, 0), (60, 10, 130, 40, 0.616, 0)]


def test_a_small_object_before_a_large_one_of_its_class_is_not_swallowed():
    """SAHI's rule would: all of it lies in the large one's box. Both tiles see both, and the seam cuts both."""
    small, large = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    small[30:50, 85:110] = True
    large[10:90, 40:150] = True
    large &= ~small
    parts = (
        tile(LEFT, (40, 10, 100, 90, 0.9), (85, 30, 100, 50, 0.7), masks=[large, small]),
        tile(RIGHT, (80, 10, 150, 90, 0.8), (85, 30, 110, 50, 0.6), masks=[large, small]),
    )
    found = merge_tiles(SIZE, [(0, 0), (0, 80)], parts)
    assert found.boxes.tolist() == [[40, 10, 150, 90], [85, 30, 110, 50]]
    assert found.masks == [rle(large), rle(small)]
    for part in parts:
        part.masks = None
    assert merge_tiles(SIZE, [(0, 0), (0, 80)], parts).boxes.tolist() == [[40, 10, 150, 90], [85, 30, 110, 50]]


def test_diagonal_bars_whose_boxes_overlap_stay_two_by_their_masks():
    """In the stretch that both tiles see the boxes of the two bars have an IoU of 1; neither tile knows but one."""
    y, x = np.mgrid[:100, :180]
    falling = (abs(x - y - 40) < 5) & (x > 60) & (x < 120)
    rising = (abs(x + y - 140) < 5) & (x > 60) & (x < 120)
    rising[falling] = False
    parts = tile(LEFT, (60, 15, 100, 65, 0.9), masks=[falling]), tile(RIGHT, (80, 15, 120, 65, 0.8), masks=[rising])
    assert len(merge_tiles(SIZE, [(0, 0), (0, 80)], parts)) == 2


def test_different_classes_stay_two(masks):
    """The right tile sees half of the left one's, and has none of it: 0.8 / (1 + 1/16)."""
    parts = tile(LEFT, (60, 10, 100, 40, 0.8, 0), masks=masks), tile(RIGHT, (80, 10, 130, 40, 0.9, 1), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(80, 10, 130, 40, 0.9, 1), (60, 10, 100, 40, 0.753, 0)]


@pytest.mark.parametrize(
    ("score", "extent", "stays"),
    [
        (0.6, (84, 10, 100, 40), False),  # half a circle that looks like a square, while the whole one is seen
        (0.95, (84, 10, 100, 40), True),  # surer than the whole one
        (0.6, (92, 10, 100, 26), True),  # another thing before it, a quarter of what is seen: it does not agree
        (0.6, (60, 10, 100, 40), True),  # the other tile does not see all of it
    ],
)
def test_a_piece_of_another_class_than_a_whole_object_in_its_place_is_left_out(masks, score, extent, stays):
    parts = tile(LEFT, (*extent, score, 1), masks=masks), tile(RIGHT, (84, 10, 130, 40, 0.9, 0), masks=masks)
    found = merge([LEFT, RIGHT], *parts)
    assert (84, 10, 130, 40, 0.9, 0) in found and len(found) == 1 + stays


def test_a_piece_of_another_class_stays_beside_a_piece_and_where_the_other_tile_has_it_too(masks):
    beside = tile(LEFT, (80, 10, 100, 40, 0.6, 1), masks=masks), tile(RIGHT, (80, 10, 130, 40, 0.9, 0), masks=masks)
    assert len(merge([LEFT, RIGHT], *beside)) == 2
    both = (
        tile(LEFT, (82, 10, 99, 40, 0.6, 1), masks=masks),
        tile(RIGHT, (84, 10, 130, 40, 0.9, 0), (82, 10, 99, 40, 0.5, 1), masks=masks),
    )
    assert merge([LEFT, RIGHT], *both) == [(84, 10, 130, 40, 0.9, 0), (82, 10, 99, 40, 0.55, 1)]


def test_a_piece_that_nobody_else_has_seen_stays_for_half_its_score(masks):
    parts = tile(LEFT, (85, 10, 100, 40, 0.8), masks=masks), tile(RIGHT, masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(85, 10, 100, 40, 0.4, 0)]


def test_a_badly_drawn_piece_goes_with_the_object_that_it_lies_in(masks):
    """The left tile sees 16 pixels of the object, and draws 6 x 12 of them: IoU there 0.15, but all of it inside."""
    parts = tile(LEFT, (94, 20, 100, 32, 0.6), masks=masks), tile(RIGHT, (84, 10, 130, 40, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(84, 10, 130, 40, 0.896, 0)]


def test_both_arms_that_a_border_makes_of_an_object_go_with_it(masks):
    """Its score counts the better one: (23^4 x 0.9 + 8^4 x 0.6) / (23^4 + 8^4)."""
    arms = tile(LEFT, (84, 10, 100, 22, 0.5), (84, 28, 100, 40, 0.6), masks=masks)
    parts = arms, tile(RIGHT, (84, 10, 130, 40, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(84, 10, 130, 40, 0.896, 0)]


def test_what_no_border_cuts_is_no_piece(masks):
    """A small object in front of a large one, which the other tile has missed."""
    parts = tile(LEFT, (84, 20, 92, 32, 0.6), masks=masks), tile(RIGHT, (84, 10, 130, 40, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(84, 10, 130, 40, 0.9, 0), (84, 20, 92, 32, 0.3, 0)]


def test_the_border_of_the_image_cuts_nothing_that_a_tile_could_see(masks):
    """The left tile has an object at the image's border whole; the right one draws its piece too high."""
    parts = tile(LEFT, (0, 10, 90, 40, 0.9), masks=masks), tile(RIGHT, (80, 6, 90, 44, 0.9), masks=masks)
    assert merge([LEFT, RIGHT], *parts) == [(0, 10, 90, 40, 0.9, 0)]


def test_two_detections_of_one_tile_are_two_whatever_they_share(masks):
    """SAHI's rule makes one of them; the network's own suppression has let them pass."""
    parts = tile(LEFT, (10, 10, 60, 60, 0.9), (20, 20, 40, 40, 0.8), masks=masks), tile(RIGHT, masks=masks)
    assert len(merge([LEFT, RIGHT], *parts)) == 2


def test_a_weak_double_of_an_object_that_two_tiles_see_is_left_out():
    """In the left tile the double has an IoU of 0.45 with the object, and passes; with the right tile's of 0.6 not."""
    rects = [(0, 0, 100, 100), (50, 0, 150, 100)]
    parts = (
        tile(rects[0], (58, 10, 78, 50, 0.9), (66, 10, 88, 50, 0.2), masks=None),
        tile(rects[1], (60, 10, 80, 50, 0.8), masks=None),
    )
    ((x1, _, x2, _, score, _),) = merge(rects, *parts, size=(100, 150))
    assert x1 == pytest.approx((0.9 * 58 + 0.8 * 60) / 1.7) and x2 == pytest.approx(x1 + 20) and score == 0.85


def test_tiles_without_overlap_go_together_where_objects_meet_the_common_border(masks):
    """The tiles see 3/7 and 4/7 of the first: (81 x 0.8 + 256 x 0.9) / (81 + 256)."""
    rects = [(0, 0, 90, 100), (90, 0, 180, 100)]
    parts = (
        tile(rects[0], (60, 10, 90, 40, 0.8), (60, 60, 89, 90, 0.6), masks=masks),
        tile(rects[1], (90, 12, 130, 40, 0.9), (120, 60, 150, 90, 0.7), masks=masks),
    )
    if masks is None:
        assert merge(rects, *parts) == [
            (60, 10, 130, 40, 0.876, 0), (120, 60, 150, 90, 0.7, 0), (60, 60, 89, 90, 0.6, 0)
        ]  # fmt: skip
    else:
        found = merge_tiles(SIZE, [(0, 0), (0, 90)], parts)
        assert found.boxes.tolist() == [[60, 10, 130, 40], [120, 60, 150, 90], [60, 60, 89, 90]]
        assert coco_mask.area(found.masks).tolist() == [30 * 30 + 40 * 28, 900, 29 * 30]


def test_pieces_that_meet_the_common_border_in_other_places_stay_two(masks):
    rects = [(0, 0, 90, 100), (90, 0, 180, 100)]
    parts = tile(rects[0], (60, 10, 90, 40, 0.8), masks=masks), tile(rects[1], (90, 26, 130, 56, 0.9), masks=masks)
    assert len(merge(rects, *parts)) == 2


def test_one_above_the_other_without_overlap_too():
    rects = [(0, 0, 100, 90), (0, 90, 100, 180)]
    parts = (
        tile(rects[0], (10, 60, 40, 90, 0.8), masks=None),
        tile(rects[1], (10, 90, 40, 130, 0.9), (60, 90, 80, 130, 0.5), masks=None),
    )
    assert merge(rects, *parts, size=(180, 100)) == [(10, 60, 40, 130, 0.876, 0), (60, 90, 80, 130, 0.5, 0)]


def test_an_image_of_one_tile_is_that_tile_to_the_last_bit():
    one = tile((0, 0, 60, 50), (3.3, 4.4, 20.1, 30.9, 0.31), (3, 4, 20, 30, 0.3))
    assert merge_tiles((50, 60), [(0, 0)], [one]) is one


def test_nothing_in_any_tile_is_nothing(masks):
    assert merge([LEFT, RIGHT], tile(LEFT, masks=masks), tile(RIGHT, masks=masks)) == []


def test_a_whole_box_that_falls_short_of_the_border_while_the_object_goes_on_is_a_piece():
    """The left tile ends its box 6 pixels before its border; the right one sees that the object goes on to 150.
    Of [50, 150] they see 5 and 7 tenths: (625 x 0.9 + 2401 x 0.8) / (625 + 2401).
    """
    parts = tile(LEFT, (50, 10, 94, 40, 0.9), masks=None), tile(RIGHT, (80, 10, 150, 40, 0.8), masks=None)
    assert merge([LEFT, RIGHT], *parts) == [(50, 10, 150, 40, 0.821, 0)]


@pytest.mark.parametrize("seed", range(12))
def test_tiles_that_see_exactly_give_back_exactly_what_is_there(seed):
    """Discs and bars, some of them touching, some longer than a tile, at tiles of any size and overlap above 0."""
    rng = np.random.RandomState(seed)
    size, side = (150, 230), int(rng.randint(50, 90))
    step = side - int(rng.uniform(0.1, 0.6) * side)
    taken, objects = np.zeros(size, bool), []
    y, x = np.mgrid[: size[0], : size[1]]
    for _ in range(25):
        top, left, radius = rng.randint(0, 140), rng.randint(0, 220), rng.randint(5, 20)
        shape = (y - top) ** 2 + (x - left) ** 2 < radius**2
        if rng.rand() < 0.3:
            shape = (y >= top) & (y < top + radius) & (x >= left) & (x < left + 8 * radius)
        if not (shape & taken).any() and shape.sum() > 60:
            taken |= shape
            objects.append((shape, int(rng.randint(2)), round(float(rng.uniform(0.5, 1)), 3)))
    starts = [sorted({min(k, length - side) for k in range(0, length, step)}) for length in size]
    places = [(top, left) for top in starts[0] for left in starts[1]]

    def seen(top, left):
        rect = (left, top, left + side, top + side)
        parts, bitmaps = [], []
        for shape, label, score in objects:
            ys, xs = np.nonzero(shape[top : top + side, left : left + side])
            if len(ys):
                box = left + xs.min(), top + ys.min(), left + xs.max() + 1, top + ys.max() + 1
                parts.append((*map(int, box), score, label))
                bitmaps.append(shape)
        return tile(rect, *parts, masks=bitmaps)

    found = merge_tiles(size, places, [seen(*place) for place in places])
    wanted = sorted(objects, key=lambda one: -one[2])
    assert found.masks == [rle(shape) for shape, _, _ in wanted]
    assert found.labels.tolist() == [label for _, label, _ in wanted]
    boxes = coco_mask.toBbox([rle(shape) for shape, _, _ in wanted])
    assert np.abs(found.boxes - np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)).max() == 0
