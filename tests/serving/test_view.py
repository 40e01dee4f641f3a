"""What of a result is drawn, and where."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from src.inference.overlay import instance_colour
from src.serving.view import CLASSES, LONGEST_SIDE, MOST_LAYERS, OBJECTS, REGIONS, make_view
from tests.serving.results import NAMES, classes, label_map, objects

GREY = np.full((400, 800, 3), 100, np.uint8)
HALF = 115  # of 255: how opaque the inside of a mask is


def drawn(layer) -> np.ndarray:
    """(h, w, 4) RGBA of a layer."""
    return np.asarray(Image.open(io.BytesIO(layer.png)).convert("RGBA"))


def test_each_object_is_a_layer_with_its_box_and_mask():
    view = make_view(objects(), GREY)
    assert (view.kind, view.height, view.width) == (OBJECTS, 400, 800)
    assert [layer.label for layer in view.layers] == ["person 0.90", f"{NAMES[1]} 0.60", "class 2 0.25"]
    first = view.layers[0]
    pixels = drawn(first)
    assert pixels.shape == (400, 800, 4) and first.colour == instance_colour(0)[::-1]
    red, green, blue = first.colour
    for x, y, opacity in (
        (100, 150, 255), (299, 150, 255), (200, 100, 255), (200, 199, 255),  # the box is 100, 100 to 300, 200
        (150, 150, HALF), (250, 150, 0), (90, 150, 0), (310, 150, 0), (150, 250, 0),  # its mask ends at 200
    ):  # fmt: skip
        assert tuple(pixels[y, x]) == (red, green, blue, opacity), (x, y)


def test_without_masks_there_are_boxes():
    pixels = drawn(make_view(objects(masks=False), GREY).layers[0])
    assert pixels[150, 100, 3] == 255 and pixels[150, 150, 3] == 0


def test_threshold_and_classes_choose_among_them():
    view = make_view(objects(), GREY)
    assert view.names() == ["person", NAMES[1], "class 2"]
    shown = {
        threshold: [layer.number for layer in view.shown(threshold, view.names())]
        for threshold in (0, 0.3, 0.6, 0.9, 1)
    }
    assert shown[0] == [0, 1, 2] and shown[0.3] == [0, 1] and shown[1] == []
    assert [layer.number for layer in view.shown(0, ["class 2", "person", "no such"])] == [0, 2]


@pytest.mark.parametrize("size,shown", [((2000, 4000), (640, 1280)), ((50, 100), (200, 400)), ((1, 9), (43, 387))])
def test_large_images_are_shown_smaller_and_small_ones_larger(size, shown):
    view = make_view(objects(*size), np.zeros((*size, 3), np.uint8))
    picture = cv2.imdecode(np.frombuffer(view.jpeg, np.uint8), 1)
    assert picture.shape[:2] == shown and max(shown) <= LONGEST_SIDE
    assert (view.height, view.width) == size and drawn(view.layers[0]).shape[:2] == shown


def test_the_image_keeps_its_colours():
    rgb = np.full((400, 800, 3), (250, 120, 10), np.uint8)
    blue, green, red = cv2.imdecode(np.frombuffer(make_view(objects(), rgb).jpeg, np.uint8), 1)[50, 50]
    assert abs(int(red) - 250) < 5 and abs(int(green) - 120) < 5 and abs(int(blue) - 10) < 5


def test_regions_are_layers_largest_first():
    view = make_view(label_map(), GREY)
    assert (view.kind, view.names()) == (REGIONS, ["person", "unknown"])
    assert [(layer.label, layer.colour) for layer in view.layers] == [
        ("person 75.0%", (255, 0, 0)),
        ("unknown 25.0%", (0, 0, 255)),
    ]
    assert tuple(drawn(view.layers[0])[300, 5]) == (255, 0, 0, HALF) and drawn(view.layers[0])[50, 5, 3] == 0
    assert tuple(drawn(view.layers[1])[50, 5]) == (0, 0, 255, HALF)
    assert [layer.number for layer in view.shown(1.0, view.names())] == [0, 1]  # they have no scores


def test_classes_of_the_image_are_told():
    view = make_view(classes(), GREY)
    assert (view.kind, view.layers, view.likely) == (CLASSES, [], [("class 2", 0.7), ("person", 0.3)])


@pytest.mark.parametrize("make", [objects, label_map, classes])
def test_the_entry_is_the_results_own(make):
    view = make_view(make(), GREY)
    assert view.entry == make().to_json() and 0 < view.size < 200_000


def test_no_two_views_have_one_name():
    tokens = {make_view(classes(), GREY).token for _ in range(3)}
    assert len(tokens) == 3 and all(len(token) == 32 for token in tokens)


def test_of_very_many_objects_the_best_are_drawn_and_the_entry_has_all():
    found = objects(40, 80, masks=False)
    count = MOST_LAYERS + 20
    many = found.prediction
    many.boxes, many.labels = np.repeat(many.boxes[:1], count, 0), np.zeros(count, np.int32)
    many.scores = np.linspace(0.1, 0.9, count).astype(np.float32)
    view = make_view(found, GREY[:40, :80])
    assert len(view.layers) == MOST_LAYERS and len(view.entry["predictions"]) == count
    assert view.layers[0].label == "person 0.90"
