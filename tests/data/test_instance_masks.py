"""Folders of instance masks as Cellpose, StarDist and others have them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data.formats.id_images import masks_by_id
from src.data.formats.instance_masks import found_masks, open_masks, read_masks
from src.data.formats.rules import USUAL_RULES
from src.data.masks import to_bitmap
from src.errors import UserError
from tests.data.label_writers import picture, write

IDS = np.zeros((12, 20), np.uint16)
IDS[1:5, 1:6], IDS[6:10, 3:9], IDS[6:10, 15:18] = 1, 300, 300  # an object of two parts
IDS[11, 19] = 65535


def mask(path, ids=IDS):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)
    return path


def read(folder, classes=(), mask_class=""):
    return read_masks(folder, classes, USUAL_RULES, mask_class)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("images/a.png", "masks/a.tif"),
        ("images/s/a.jpg", "masks/s/a.png"),
        ("images/a.jpg", "masks/a_mask.png"),
        ("a.png", "a_masks.png"),
        ("a_img.png", "a_masks.tif"),
        ("a.png", "masks/a.png"),
        ("s/a.png", "s/a_cp_masks.png"),
    ],
)
def test_each_number_is_an_object(tmp_path, image, label):
    picture(tmp_path / image)
    mask(tmp_path / label)
    dataset = read(tmp_path)
    assert dataset.image_ids == [image] and dataset.classes == ("object",) and not dataset.report.missing_files
    found = dataset.record(0).objects
    assert [one.box for one in found] == [(1, 1, 6, 5), (3, 6, 18, 10), (19, 11, 20, 12)]
    for one, number in zip(found, (1, 300, 65535)):
        assert (to_bitmap(one.segmentation, 12, 20) == (number == IDS)).all() and one.area == (number == IDS).sum()
    assert dataset.report.lines() == [] and found_masks(tmp_path, "train") == (image != "a.png" or "/" not in label)


@pytest.mark.parametrize("kind", [np.uint8, bool, np.int32, ">u2"])
def test_pictures_of_all_whole_numbers_are_read(tmp_path, kind):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.tif", (IDS == 1).astype(kind))
    assert [one.box for one in read(tmp_path).record(0).objects] == [(1, 1, 6, 5)]


def test_the_class_is_the_one_of_the_key_or_the_configurations_only_one(tmp_path, make_config):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    assert read(tmp_path, mask_class="cell").classes == read(tmp_path, ("cell",)).classes == ("cell",)
    cfg = make_config(train_dataset=tmp_path, coco_classes="[background, cat, dog]", num_classes=3, mask_class="dog")
    assert {one.label for one in open_masks(cfg, "train").record(0).objects} == {1}


def test_a_folder_within_the_masks_is_a_class(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png")
    mask(tmp_path / "masks" / "dog" / "a.png"), mask(tmp_path / "masks" / "cat" / "a.png", IDS[::-1])
    mask(tmp_path / "masks" / "cat" / "b.png", IDS * 0)
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog") and dataset.report.empty_images == ["b.png"]
    assert sorted(one.label for one in dataset.record(0).objects) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("a.json", {"1": "cat", "300": "dog"}),
        ("a.csv", "id,class\n1,cat\n300,dog\n"),
        ("a.csv", "1, cat\n\n300, dog"),
        ("a.json", {"1": "cat", "300": "dog", "7": "cow"}),
    ],
)
def test_a_table_beside_a_mask_says_what_its_numbers_are(tmp_path, name, table):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    write(tmp_path / "masks" / name, table)
    dataset = read(tmp_path)
    assert [dataset.classes[one.label] for one in dataset.record(0).objects] == ["cat", "dog"]
    assert dataset.report.notes == ["1 ids have no class in their table: left out (id 65535 of masks/a.png)"]


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("a.json", [1], "a.json is no table of ids and classes"),
        ("a.json", {"x": "cat"}, "a.json: x: 'cat' is no id"),
        ("a.json", {"1": ""}, "a.json: 1: '' is no id"),
        ("a.csv", "1\n", "a.csv: '1' has no class; a row is id,class"),
        ("a.csv", "1,a\nx,b\n", "a.csv: x: 'b' is no id"),
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", {"1.5": "cat"}, "1.5: 'cat' is no id"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path, name, table, message):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    write(tmp_path / "masks" / name, table)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_masks_that_are_none_are_named_and_their_images_left_out(tmp_path):
    good = mask(tmp_path / "masks" / "good.png")
    for name in ("good", "colour", "text", "float", "cut", "pages", "empty"):
        picture(tmp_path / "images" / f"{name}.jpg")
    cv2.imwrite(str(tmp_path / "masks" / "colour.png"), np.zeros((12, 20, 3), np.uint8))
    write(tmp_path / "masks" / "text.png", "no picture"), write(tmp_path / "masks" / "empty.png", "")
    mask(tmp_path / "masks" / "float.tif", IDS.astype(np.float32))
    (tmp_path / "masks" / "cut.png").write_bytes(good.read_bytes()[:-30])
    pages = [Image.fromarray(IDS)] * 2
    pages[0].save(tmp_path / "masks" / "pages.tif", save_all=True, append_images=pages[1:])
    dataset = read(tmp_path)
    assert dataset.image_ids == ["images/good.jpg"]
    bad, alone = dataset.report.notes
    assert bad.startswith("6 masks cannot be read: left out (masks/colour.png: it has pixels of the kind RGB")
    assert alone.startswith("6 images have no labels: left out")
    good.unlink()
    with pytest.raises(UserError, match="holds no mask that can be read; 6 masks cannot"):
        read(tmp_path)


def test_masks_of_0_and_255_are_asked_about(tmp_path):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", np.uint8(IDS > 0) * 255)
    assert read(tmp_path).report.notes == ["1 masks hold 0 and 255 alone: each is one object (masks/a.png)"]


def test_a_mask_of_another_size_than_its_image_is_left_out_with_it(tmp_path):
    picture(tmp_path / "images" / "a.png", width=30)
    picture(tmp_path / "images" / "b.png")
    mask(tmp_path / "masks" / "a.png"), mask(tmp_path / "masks" / "b.png")
    assert read(tmp_path).coco.getImgIds() == ["images/b.png"]


def test_a_mask_too_large_is_not_decoded(tmp_path):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    rules = type(USUAL_RULES)(max_pixels=100)
    with pytest.raises(UserError, match="it has 20 x 12 pixels, and max_image_pixels is 100"):
        read_masks(tmp_path, (), rules)


def test_a_picture_of_more_numbers_than_objects_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("src.data.formats.id_images.MOST_OBJECTS", 2)
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png")
    with pytest.raises(UserError, match="it has 3 numbers; at most 2 are objects"):
        read(tmp_path)


def test_a_folder_without_masks_is_one_line(tmp_path):
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(UserError, match="holds no masks"):
        read(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_the_masks_of_all_numbers_are_those_of_each(seed):
    ids = np.random.RandomState(seed).randint(0, 4, (7, 5)).astype(np.uint16) * 1000
    found = masks_by_id(ids)
    assert list(found) == sorted(set(ids.ravel().tolist()) - {0})
    for number, code in found.items():
        assert (to_bitmap(code, 7, 5) == (ids == number)).all()
