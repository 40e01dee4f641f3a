"""Cityscapes' polygons as the data set's own scripts paint them."""

import pytest

from src.data.formats.cityscapes import CLASSES, found_cityscapes, read_cityscapes
from src.data.formats.rules import USUAL_RULES
from src.data.masks import to_bitmap
from src.errors import UserError
from tests.data.label_writers import HEIGHT, WIDTH, picture, write


def polygon(label, left, top, right, bottom, **more):
    """Right and bottom pixels belong to it, as PIL paints."""
    return {"label": label, "polygon": [[left, top], [right, top], [right, bottom], [left, bottom]]} | more


def write_city(folder, *objects, split="train", name="aachen_000000_000019", **changes):
    picture(folder / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png")
    content = {"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": list(objects)} | changes
    write(folder / "gtFine" / split / "aachen" / f"{name}_gtFine_polygons.json", content)
    return folder


def read(folder, classes=(), split="train"):
    return read_cityscapes(folder, classes, split, USUAL_RULES)


def test_the_eight_classes_stand_in_mmdetections_order_with_the_data_sets_ids(tmp_path):
    dataset = read(write_city(tmp_path, polygon("bicycle", 1, 1, 5, 5), polygon("road", 0, 0, 19, 11)))
    assert dataset.classes == ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle") == CLASSES
    assert dataset.category_ids == [24, 25, 26, 27, 28, 31, 32, 33]
    assert dataset.image_ids == ["leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"]
    assert dataset.record(0).objects == ()  # the road covers it
    assert dataset.report.notes == [
        "1 objects are covered by others altogether: left out (bicycle in aachen_000000_000019_gtFine_polygons.json)"
    ]


def test_what_a_later_polygon_covers_is_not_the_objects(tmp_path):
    objects = [
        polygon("road", 0, 0, 19, 11), polygon("car", 2, 2, 9, 9), polygon("pole", 4, 0, 5, 11),
        polygon("license plate", 2, 2, 3, 3), polygon("person", 8, 5, 12, 9), polygon("car", 0, 0, 9, 9, deleted=1),
    ]  # fmt: skip
    car, person = read(write_city(tmp_path, *objects)).record(0).objects
    mask = to_bitmap(car.segmentation, HEIGHT, WIDTH)
    assert mask.sum() == 8 * 8 - 2 * 8 - 2 * 5 and mask[2, 2] and not mask[:, 4:6].any() and car.box == (2, 2, 10, 10)
    assert CLASSES[person.label] == "person" and person.area == 25 and not person.crowd


def test_groups_are_one_crowd_of_a_class_and_image(tmp_path):
    objects = [
        polygon("persongroup", 0, 0, 3, 3), polygon("persongroup", 10, 0, 13, 3), polygon("bicyclegroup", 15, 5, 19, 9),
        polygon("person", 5, 5, 8, 8), polygon("group", 0, 8, 3, 11),
    ]  # fmt: skip
    found = read(write_city(tmp_path, *objects)).record(0).objects
    assert [(CLASSES[one.label], one.crowd, one.area) for one in found] == [
        ("person", True, 32), ("bicycle", True, 25), ("person", False, 16)
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["", "gtFine/val", "leftImg8bit/val"])
def test_the_folder_is_the_tree_or_a_split_in_it(tmp_path, place):
    write_city(tmp_path, polygon("car", 2, 2, 9, 9))
    write_city(tmp_path, polygon("car", 2, 2, 9, 9), split="val", name="lindau_0")
    folder = tmp_path / place
    assert found_cityscapes(folder, "val") and not found_cityscapes(tmp_path / "gtFine", "val")
    assert read(folder, split="val").image_ids == ["leftImg8bit/val/aachen/lindau_0_leftImg8bit.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objects": 7}, "polygons.json is no label file of Cityscapes: it has no list 'objects'"),
        ({"imgWidth": 10**6, "imgHeight": 10**6}, "has 1000000 x 1000000 pixels, and max_image_pixels is"),
        ({"imgWidth": None}, "polygons.json has width None; it must be a number of pixels"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read(write_city(tmp_path, **changes))


def test_a_folder_that_is_no_tree_is_one_line(tmp_path):
    with pytest.raises(UserError, match="gtFine/train does not exist: .* is no Cityscapes tree"):
        read(tmp_path)
    (tmp_path / "gtFine" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"gtFine/train holds no \*_gtFine_polygons.json"):
        read(tmp_path)


def test_polygons_that_are_none_are_left_out_and_said(tmp_path):
    odd = [{"label": "car", "polygon": value} for value in (None, [], [[1, 1]], [["x", 1]] * 3, [[1e30, 0]] * 3)]
    dataset = read(write_city(tmp_path, *odd, {"polygon": []}, 7, polygon("car", 2, 2, 9, 9)))
    assert len(dataset.record(0).objects) == 1
    assert [line[:30] for line in dataset.report.notes] == [
        "5 polygons cannot be used: lef",
        "2 objects have no label: left ",
    ]


def test_more_polygons_than_anybody_draws_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.formats.cityscapes.MOST_PAINTED", 500.0)
    with pytest.raises(UserError, match="its polygons have more than 5e.02 pixels together"):
        read(write_city(tmp_path, *[polygon("car", 0, 0, 19, 11)] * 9))
