"""labelme's files: what of a shape becomes which object."""

import math

import numpy as np
import pytest
from PIL import Image

from src.data.formats.labelme import found_labelme, open_labelme, read_labelme
from src.data.formats.rules import USUAL_RULES
from src.data.masks import to_bitmap
from src.errors import UserError
from tests.data.label_writers import SQUARE, labelme_file, labelme_shape, picture, png_text, write


def read(folder, classes=()):
    return read_labelme(folder, classes, USUAL_RULES)


def objects_of(folder, *shapes, **changes):
    picture(folder / "a.png")
    write(folder / "a.json", labelme_file("a.png", *shapes, **changes))
    return read(folder).record(0).objects


def test_polygon_rectangle_circle_and_bitmap_are_objects(tmp_path):
    bits = np.zeros((4, 5), bool)
    bits[1:, 2:] = True
    shapes = [
        labelme_shape("cat", SQUARE),
        labelme_shape("dog", [[9, 7], [3, 1]], "rectangle"),
        labelme_shape("cat", [[10, 6], [13, 10]], "circle"),
        labelme_shape("dog", [[4, 5], [8, 8]], "mask", mask=png_text(bits)),
    ]
    polygon, rectangle, circle, mask = objects_of(tmp_path, *shapes)
    assert polygon.box == (2, 2, 8, 8) and polygon.segmentation == [[2, 2, 8, 2, 8, 8, 2, 8]] and polygon.area == 36
    assert rectangle.box == (3, 1, 9, 7) and rectangle.segmentation is None and rectangle.label == 1
    assert circle.box == (5, 1, 15, 11) and circle.area == pytest.approx(math.pi * 25, rel=0.03)
    whole = to_bitmap(mask.segmentation, 12, 20)
    assert whole[5:9, 4:9].tolist() == bits.astype(int).tolist() and whole.sum() == 9 and mask.box == (6, 6, 9, 9)


@pytest.mark.parametrize("first", [-2, 18])
def test_a_bitmap_over_the_border_is_cut_there(tmp_path, first):
    shape = labelme_shape("cat", [[first, 10], [first + 4, 14]], "mask", mask=png_text(np.ones((5, 5))))
    (item,) = objects_of(tmp_path, shape)
    assert item.box == (max(first, 0), 10, min(first + 5, 20), 12)


def test_shapes_of_one_label_and_group_are_one_object(tmp_path):
    far = [[12, 4], [18, 4], [18, 10]]
    shapes = [
        labelme_shape("cat", SQUARE, group=1),
        labelme_shape("cat", far, group=1),
        labelme_shape("dog", SQUARE, group=1),
        labelme_shape("cat", far, group=2),
        labelme_shape("cat", SQUARE),
        labelme_shape("cat", far),
        labelme_shape("dog", [[15, 1], [19, 3]], "mask", group=1, mask=png_text(np.ones((3, 5)))),
        labelme_shape("cat", [[0, 0], [1, 1]], "rectangle", group=1),
    ]
    found = objects_of(tmp_path, *shapes)
    assert [(one.label, one.box) for one in found] == [
        (0, (0, 0, 18, 10)),
        (1, (2, 1, 20, 8)),
        (0, (12, 4, 18, 10)),
        (0, (2, 2, 8, 8)),
        (0, (12, 4, 18, 10)),
    ]
    assert len(found[0].segmentation) == 2 and to_bitmap(found[1].segmentation, 12, 20)[2].sum() == 11


@pytest.mark.parametrize("more", [{"difficult": True}, {"flags": {"difficult": True}}])
def test_a_difficult_shape_is_a_region_to_ignore(tmp_path, more):
    hard, usual = objects_of(tmp_path, labelme_shape("cat", SQUARE, **more), labelme_shape("cat", SQUARE))
    assert hard.crowd and not usual.crowd


def test_what_has_no_area_no_label_or_no_known_shape_is_passed_over_and_said(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "alone.png")
    shapes = [
        labelme_shape("cat", SQUARE),
        labelme_shape("cat", SQUARE[:1], "point"),
        labelme_shape("cat", SQUARE, "line"),
        labelme_shape("cat", SQUARE, "linestrip"),
        labelme_shape("", SQUARE),
        labelme_shape("__ignore__", SQUARE),
        labelme_shape("cat", SQUARE, "star"),
        labelme_shape("cat", SQUARE[:2]),
        7,
    ]
    write(tmp_path / "a.json", labelme_file("a.png", *shapes))
    write(tmp_path / "settings.json", {"a": 1})
    dataset = read(tmp_path)
    assert len(dataset.record(0).objects) == 1
    assert dataset.report.lines() == [
        "3 shapes are points or lines: left out (shape 2 of a.json, shape 3 of a.json, shape 4 of a.json)",
        "1 shapes have no label: left out (shape 5 of a.json)",
        "1 shapes have the label __ignore__: left out (shape 6 of a.json)",
        "1 shapes are of an unknown shape_type: left out (shape 7 of a.json: 'star')",
        "1 shapes are none: left out (shape 9 of a.json)",
        "1 JSON files are none of labelme's: passed over (settings.json)",
        "1 images have no labels: left out (alone.png)",
        "1 annotations have no area inside their image: left out of training and evaluation (shape 8 of a.json)",
    ]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("b.png", "sub/b.png"),
        ("..\\images\\c.png", "images/c.png"),
        ("../images/c.png", "images/c.png"),
        ("C:\\data\\c.png", "images/c.png"),
        ("gone.png", "sub/b.png"),
        (None, "sub/b.png"),
        ("", "sub/b.png"),
    ],
)
def test_the_image_is_the_one_written_relative_to_its_file_or_the_one_of_its_name(tmp_path, written, place):
    for name in ("sub/b.png", "images/c.png"):
        picture(tmp_path / name)
    write(tmp_path / "sub" / "b.json", labelme_file(written, labelme_shape("cat", SQUARE)))
    dataset = read(tmp_path)
    assert dataset.image_ids == [place] and dataset.record(0).path.is_file()


def test_a_missing_image_is_counted_and_one_outside_of_the_folder_refused(tmp_path):
    picture(tmp_path / "outside.png")
    write(tmp_path / "set" / "a.json", labelme_file("a.png", labelme_shape("cat", SQUARE)))
    assert read(tmp_path / "set").report.missing_files == ["a.png"]
    write(tmp_path / "set" / "a.json", labelme_file("../outside.png", labelme_shape("cat", SQUARE)))
    with pytest.raises(UserError, match="a.json names '../outside.png', outside .*allow_outside: 1 reads it"):
        read(tmp_path / "set")


def test_a_size_that_the_file_does_not_have_is_the_upright_images(tmp_path):
    turned = Image.new("RGB", (20, 12))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path / "a.json", labelme_file("a.jpg", labelme_shape("cat", SQUARE), imageWidth=None))
    assert (read(tmp_path).record(0).width, read(tmp_path).record(0).height) == (12, 20)


def test_two_files_of_one_image_are_refused(tmp_path):
    picture(tmp_path / "a.png")
    for name in ("a.json", "copy.json"):
        write(tmp_path / name, labelme_file("a.png", labelme_shape("cat", SQUARE)))
    with pytest.raises(UserError, match="a.json and copy.json name one image, .*a.png"):
        read(tmp_path)


def test_a_folder_of_both_splits_gives_each_its_own(tmp_path, make_config):
    for split, kind in (("train", "cat"), ("val", "dog")):
        picture(tmp_path / split / f"{kind}.png")
        write(tmp_path / split / "a.json", labelme_file(f"{kind}.png", labelme_shape(kind, SQUARE)))
    cfg = make_config(
        train_dataset=tmp_path, val_dataset=tmp_path, coco_classes="[background, cat, dog]", num_classes=3
    )
    assert open_labelme(cfg, "train").image_ids == ["cat.png"] and open_labelme(cfg, "val").image_ids == ["dog.png"]
    assert found_labelme(tmp_path, "train") and not found_labelme(tmp_path / "train" / "none", "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"shapes": [', "a.json is not JSON"),
        ({"shapes": 7}, "a.json: shapes is 7; it must be a list"),
        ([], "holds no labelme file"),
        (labelme_file("a.png", imageWidth=10**9), "a.json has width 1000000000; it must be a number of pixels"),
        (labelme_file("a.png", imageWidth=10**6, imageHeight=10**6), "a.json has 1000000 x 1000000 pixels, and max_im"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, content, message):
    picture(tmp_path / "a.png")
    write(tmp_path / "a.json", content)
    with pytest.raises(UserError, match=message):
        read(tmp_path, ("cat",))


def test_an_image_without_shapes_is_one_without_objects(tmp_path):
    assert objects_of(tmp_path, labelme_shape("cat", SQUARE)) and read(tmp_path).report.empty_images == []
    write(tmp_path / "a.json", labelme_file("a.png"))
    assert read(tmp_path, ("cat",)).report.empty_images == ["a.png"]
    with pytest.raises(UserError, match="has no object with a class, and coco_classes names none"):
        read(tmp_path)


def test_the_copy_of_the_image_in_the_file_is_not_read(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "a.json", labelme_file("a.png", labelme_shape("cat", SQUARE), imageData="A" * 10**6))
    assert len(read(tmp_path).record(0).objects) == 1 and read(tmp_path).report.lines() == []
    (tmp_path / "a.png").unlink()
    missing, *_ = read(tmp_path).report.lines()
    assert missing == "1 label files hold a copy of their image, which is not read, and the image is missing (a.json)"
