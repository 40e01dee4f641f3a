"""Pascal VOC's files: the original tree, and folders of XML as tools write them."""

import numpy as np
import pytest
from PIL import Image

from src.data.formats.rules import USUAL_RULES
from src.data.formats.voc import found_voc, open_voc, read_voc
from src.data.formats.xml_files import parse_xml
from src.data.masks import to_bitmap
from src.errors import UserError
from tests.data.label_writers import picture, voc_text, write

CAT = ("cat", (3, 3, 8, 8))


def read(folder, classes=(), split="train", first_pixel=1):
    return read_voc(folder, classes, split, USUAL_RULES, first_pixel)


def voc_tree(folder, names=("a", "b"), **lists):
    for name in names:
        picture(folder / "JPEGImages" / f"{name}.jpg")
        write(folder / "Annotations" / f"{name}.xml", voc_text(f"{name}.jpg", CAT))
    for name, lines in lists.items():
        write(folder / "ImageSets" / "Main" / f"{name}.txt", lines)
    return folder


def test_corners_are_inclusive_and_count_from_one(tmp_path):
    picture(tmp_path / "a.png")
    write(
        tmp_path / "a.xml",
        voc_text("a.png", ("cat", (1, 1, 20, 12)), ("dog", (3, 3, 3, 3)), ("dog", ("2.5", 2, 7.25, 7))),
    )
    dataset = read(tmp_path)
    assert [one.box for one in dataset.record(0).objects] == [(0, 0, 20, 12), (2, 2, 3, 3), (1.5, 1, 7.25, 7)]
    assert dataset.classes == ("cat", "dog") and not dataset.has_masks
    assert [one.box for one in read(tmp_path, first_pixel=0).record(0).objects] == [(1, 1, 20, 12), (2.5, 2, 7.25, 7)]


def test_boxes_that_begin_at_zero_are_said(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "a.xml", voc_text("a.png", ("cat", (0, 3, 8, 8))))
    assert "`voc_first_pixel: 0`" in read(tmp_path).report.lines()[0]
    assert not any("voc_first_pixel" in line for line in read(tmp_path, first_pixel=0).report.lines())


def test_a_difficult_object_is_a_region_to_ignore(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "a.xml", voc_text("a.png", CAT, ("cat", (3, 3, 8, 8), 1)))
    assert [one.crowd for one in read(tmp_path).record(0).objects] == [False, True]


def test_of_two_images_of_one_name_the_one_that_is_written_is_taken(tmp_path):
    for name, size in (("a.jpg", (40, 30)), ("a.png", (20, 10))):
        Image.new("RGB", size).save(tmp_path / name)
    text = "<annotation><filename>a.png</filename><size><width>20</width><height>10</height></size>{}</annotation>"
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax>"
    (tmp_path / "a.xml").write_text(text.format(f"<object><name>x</name><bndbox>{box}</bndbox></object>"))
    dataset = read(tmp_path)
    assert dataset.record(0).path.name == "a.png" and dataset.record(0).width == 20


@pytest.mark.parametrize("depth", ["", "VOC2012", "VOCdevkit/VOC2007"])
def test_lists_name_the_images_of_a_split(tmp_path, depth):
    voc_tree(tmp_path / depth, ("a", "b", "c", "d e"), train="a\nd e\n", val="b  1\r\nc -1\r\n")
    assert found_voc(tmp_path, "train")
    root = tmp_path / depth
    assert read(root).image_ids == ["JPEGImages/a.jpg", "JPEGImages/d e.jpg"]
    assert read(root, split="val").image_ids == ["JPEGImages/b.jpg", "JPEGImages/c.jpg"]


def test_a_tree_is_opened_by_the_folder_that_holds_it(tmp_path, make_config):
    voc_tree(tmp_path / "VOCdevkit" / "VOC2012", trainval="a\n", test="b\n")
    cfg = make_config(train_dataset=tmp_path, val_dataset=tmp_path, coco_classes="[background, cat]", num_classes=2)
    assert open_voc(cfg, "train").image_ids == ["JPEGImages/a.jpg"] and len(open_voc(cfg, "val")) == 1
    voc_tree(tmp_path / "VOCdevkit" / "VOC2007")
    with pytest.raises(UserError, match="holds VOC2007, VOC2012: name one of them"):
        open_voc(cfg, "train")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "a\n../../x\n"}, r"train.txt, line 2: .*Annotations has no ../../x.xml"),
        ({"train": "\n"}, "names no"),
        ({"val": "a"}, "has no list train.txt or trainval.txt"),
        ({"train": "a\0"}, "train.txt, line 1: .* NUL"),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path, lists, message):
    with pytest.raises(UserError, match=message):
        read(voc_tree(tmp_path, **lists))


def test_masks_are_given_to_the_boxes_that_they_fill(tmp_path):
    ids = np.zeros((12, 20), np.uint8)
    ids[2:8, 2:8], ids[1:11, 12:19], ids[11, :3] = 2, 1, 3
    ids[8, 2:8] = 255  # VOC's outlines
    for name in ("a", "b"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        objects = [CAT, ("dog", (13, 2, 19, 11)), ("dog", (14, 2, 15, 3))]
        write(tmp_path / "Annotations" / f"{name}.xml", voc_text(f"{name}.jpg", *objects))
    (tmp_path / "SegmentationObject").mkdir()
    indexed = Image.fromarray(ids, "P")
    indexed.putpalette([*range(256)] * 3)
    indexed.save(tmp_path / "SegmentationObject" / "a.png")
    dataset = read(tmp_path)
    cat, dog, other = dataset.record(0).objects
    assert (to_bitmap(cat.segmentation, 12, 20) == (ids == 2)).all() and cat.box == (2, 2, 8, 8)
    assert (to_bitmap(dog.segmentation, 12, 20) == (ids == 1)).all() and other.segmentation is None
    assert all(one.segmentation is None for one in dataset.record(1).objects)
    assert dataset.report.notes == ["1 pictures of masks have objects that fit no box: left out (a.png)"]


def test_a_picture_of_masks_that_is_none_is_said_and_leaves_boxes(tmp_path):
    voc_tree(tmp_path)
    write(tmp_path / "SegmentationObject" / "a.png", "no picture")
    dataset = read(tmp_path)
    assert "1 pictures of masks cannot be read" in dataset.report.notes[0] and dataset.report.without_mask == 2


@pytest.mark.parametrize(
    ("written", "pictures", "found"),
    [
        ("a.png", ["a.png"], "a.png"),
        ("a", ["images/a.png"], "images/a.png"),
        ("old.png", ["a.png", "b.png"], "a.png"),
        ("C:\\x\\b.png", ["b.png"], "b.png"),
        ("b.png", ["b.png"], "b.png"),
        ("", ["a.bmp"], "a.bmp"),
    ],
)
def test_the_image_is_the_one_of_the_files_name_or_the_one_written(tmp_path, written, pictures, found):
    for name in pictures:
        picture(tmp_path / name)
    write(tmp_path / "a.xml", voc_text(written, CAT, size=(0, 0)))
    dataset = read(tmp_path)
    assert dataset.image_ids == [found] and (dataset.record(0).width, dataset.record(0).height) == (20, 12)
    assert bool(dataset.report.notes) == (written in ("old.png", "C:\\x\\b.png"))


BOMB = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (voc_text("&y;", CAT, head=BOMB), "declares a document type"),
        (
            voc_text("&x;", CAT, head='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
            "declares a document type",
        ),
        (voc_text("a.png", head='<!DOCTYPE annotation SYSTEM "http://x/y.dtd">'), "declares a document type"),
        ("<annotation>" * 100, "nested too deep"),
        ("<annotation>", "line 1: no element found|line 1: unclosed"),
        ("", "line 1: no element"),
        ("a < b", "line 1: "),
        ("<a>&x;</a>", "line 1: undefined entity"),
        ('<?xml version="1.0" encoding="none"?><annotation/>', "unknown encoding"),
        ("<html/>", "holds no VOC file"),
    ],
)
def test_a_file_that_is_none_or_names_entities_is_one_line(tmp_path, content, message):
    write(tmp_path / "a.xml", content)
    with pytest.raises(UserError, match=message):
        read(tmp_path, ("cat",))


def test_text_of_other_scripts_is_read():
    assert parse_xml('<?xml version="1.0" encoding="UTF-16"?><a>猫</a>'.encode("utf-16")).text == "猫"


def test_objects_without_a_name_and_boxes_without_corners_are_left_out_and_said(tmp_path):
    picture(tmp_path / "a.png")
    write(
        tmp_path / "a.xml", voc_text("a.png", CAT, ("", (1, 1, 5, 5)), ("cat", (1, "x", 5, 5)), ("cat", (9, 9, 1, 1)))
    )
    dataset = read(tmp_path)
    assert len(dataset.record(0).objects) == 1
    assert dataset.report.lines()[0] == "1 objects have no name: left out (object 2 of a.xml)"
    assert dataset.report.degenerate_boxes == ["object 3 of a.xml", "object 4 of a.xml"]
