"""Fuzz of the formats that are folders of files: every field set to every wrong kind, one at a time.

As in test_odd_values.py: an answer in which training and evaluation agree, or one line that names the file.
"""

import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.formats.cityscapes import read_cityscapes
from src.data.formats.instance_masks import read_masks
from src.data.formats.labelme import read_labelme
from src.data.formats.rules import USUAL_RULES
from src.data.formats.via import read_via
from src.data.formats.voc import read_voc
from tests.data.label_writers import (
    SQUARE,
    labelme_file,
    labelme_shape,
    picture,
    png_text,
    via_images,
    via_polygon,
    via_region,
    voc_text,
    write,
)
from tests.data.test_odd_values import cases_of, failures_of, labels_of_odd_kinds
from tests.data.tiny import CLASSES
from tests.data.truth import Agreement
from tests.odd_values import places

LABELME = labelme_file(
    "a.png",
    labelme_shape("cat", SQUARE, difficult=False),
    labelme_shape("dog", [[9, 7], [3, 1]], "rectangle", 1),
    labelme_shape("dog", [[10, 6], [13, 10]], "circle", 1),
    labelme_shape("cat", [[4, 5], [8, 8]], "mask", mask=png_text(np.ones((4, 5)))),
)
REGIONS = [
    via_region("cat", via_polygon(SQUARE)),
    via_region("dog", {"name": "rect", "x": 3, "y": 1, "width": 6, "height": 6}),
    via_region({"cat": True, "dog": False}, {"name": "ellipse", "cx": 10, "cy": 6, "rx": 5, "ry": 2, "theta": 0.1}),
    via_region("dog", {"name": "circle", "cx": 10, "cy": 6, "r": 5}),
]
VIA = {
    "_via_settings": {"core": {"default_filepath": "./"}},
    "_via_img_metadata": via_images(("a.png", REGIONS)) | {"b": {"filename": "b.png", "regions": {"0": REGIONS[0]}}},
}
CITY = {
    "imgHeight": 12,
    "imgWidth": 20,
    "objects": [{"label": kind, "polygon": SQUARE} for kind in ("road", "cargroup")],
}
CITY["objects"].append({"label": "person", "polygon": [[9, 3], [15, 3], [12, 9]], "deleted": 0})
CITY_CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")


@pytest.fixture()
def agrees(make_config):
    """What `failures_of` asks: '' where the reader's index is one on which training and evaluation agree."""
    return Agreement(make_config(num_gts=30, img_width=32, img_height=32))


def of_first_numbers(content: object) -> list:
    """The places of a content; of lists within lists (points) the first member's alone."""
    return [one for one in places(content) if not any([key for key in one if isinstance(key, int)][1:])]


JSON_FORMATS = {
    "labelme": (LABELME, "a.json", lambda path: read_labelme(path.parent, CLASSES, USUAL_RULES)),
    "via": (VIA, "via.json", lambda path: read_via(path, CLASSES, USUAL_RULES)),
    "cityscapes": (
        CITY,
        "gtFine/train/x/a_gtFine_polygons.json",
        lambda path: read_cityscapes(path.parents[3], CITY_CLASSES, "train", USUAL_RULES),
    ),
    "masks": ({"1": "cat", "7": "dog"}, "masks/a.json", lambda path: read_masks(path.parents[1], CLASSES, USUAL_RULES)),
}


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_a_field_of_a_label_file_may_be_anything(name, tmp_path, agrees):
    content, place, read = JSON_FORMATS[name]
    folder = tmp_path / "set"
    for one in ("a.png", "b.png", "images/a.png", "leftImg8bit/train/x/a_leftImg8bit.png"):
        picture(folder / one)
    (folder / "masks").mkdir()
    ids = np.zeros((12, 20), np.uint8)
    ids[2:6, 2:6], ids[3:9, 9:14] = 1, 7
    Image.fromarray(ids).save(folder / "masks" / "a.png")

    def attempt(changed: object) -> str:
        return agrees(read(write(folder / place, changed)))

    assert attempt(content) == "" and not failures_of(
        cases_of(content, of_first_numbers(content)), attempt, str(folder)
    )


@pytest.mark.parametrize("column", ["filename", "region_shape_attributes", "region_attributes"])
def test_a_field_of_a_csv_file_may_be_anything(column, tmp_path, agrees):
    picture(tmp_path / "a.png")
    usual = {
        "filename": "a.png",
        "region_shape_attributes": json.dumps(REGIONS[0]["shape_attributes"]),
        "region_attributes": json.dumps(REGIONS[0]["region_attributes"]),
    }

    def attempt(value: str) -> str:
        quoted = ['"' + one.replace('"', '""') + '"' for one in (usual | {column: value}).values()]
        path = tmp_path / "via.csv"
        path.write_bytes((",".join(usual) + "\n" + ",".join(quoted)).encode("utf-8", "surrogatepass"))
        return agrees(read_via(path, CLASSES, USUAL_RULES))

    odd = [
        "",
        " ",
        "{",
        "[]",
        "7",
        "null",
        '"a"',
        "{}",
        '{"name": 7}',
        "NaN",
        "\0",
        "x" * 200_000,
        "\ud800",
        "a\nb",
        '"',
    ]
    odd += [json.dumps({"name": form}) for form in ("polygon", "rect", "circle", "ellipse")] + ["[" * 5000]
    assert attempt(usual[column]) == "" and not failures_of(((one[:40], one) for one in odd), attempt, "via.csv")


def elements_of(root: ElementTree.Element) -> list[tuple[ElementTree.Element, ElementTree.Element]]:
    """(parent, child) of every element but the outermost."""
    return [(parent, child) for parent in root.iter() for child in parent]


def test_an_element_of_a_voc_file_may_be_anything(tmp_path, agrees):
    picture(tmp_path / "a.png")
    text = voc_text("a.png", ("cat", (3, 3, 8, 8)), ("dog", (2, 2, 15, 9), 1))
    count = len(elements_of(ElementTree.fromstring(text)))
    values = [
        "",
        " ",
        "text",
        "12",
        "-1",
        "0",
        "1.5",
        "1e30",
        "nan",
        "inf",
        "9" * 5000,
        "x" * 2000,
        "../../x",
        "a\\b",
        None,
    ]

    def attempt(case: tuple[int, str | None]) -> str:
        root = ElementTree.fromstring(text)
        parent, child = elements_of(root)[case[0]]
        if case[1] is None:
            parent.remove(child)
        elif case[1] == "12":
            child.append(ElementTree.Element("object"))
        else:
            child[:], child.text = [], case[1]
        (tmp_path / "a.xml").write_bytes(ElementTree.tostring(root))
        return agrees(read_voc(tmp_path, CLASSES, "train", USUAL_RULES))

    cases = ((f"element {number}: {value}"[:60], (number, value)) for number in range(count) for value in values)
    assert count > 20 and not failures_of(cases, attempt, str(tmp_path))


@pytest.mark.parametrize("kind", ["mask", "voc"])
def test_a_picture_of_ids_may_be_anything(kind, tmp_path, agrees):
    odd = tmp_path / "odd"
    odd.mkdir()
    names = labels_of_odd_kinds(odd)
    place = tmp_path / {"mask": "masks", "voc": "SegmentationObject"}[kind] / "a.png"
    place.parent.mkdir()
    picture(tmp_path / {"mask": "images", "voc": "JPEGImages"}[kind] / "a.jpg")
    write(tmp_path / "Annotations" / "a.xml", voc_text("a.jpg", ("cat", (3, 3, 8, 8))))

    def attempt(name: str) -> str:
        if os.path.lexists(place):
            place.unlink()
        place.symlink_to(odd / name)
        if kind == "voc":
            return agrees(read_voc(tmp_path, CLASSES, "train", USUAL_RULES))
        return agrees(read_masks(tmp_path, CLASSES, USUAL_RULES, "cat"))

    assert not failures_of(((name, name) for name in names), attempt, str(tmp_path))


def odd_folders(folder: Path) -> None:
    """What a folder of labels may hold beside them."""
    os.mkfifo(folder / "pipe.json"), os.mkfifo(folder / "pipe.xml"), os.mkfifo(folder / "pipe.png")
    (folder / "round.json").symlink_to("round.json")
    (folder / "up").symlink_to("..")
    (folder / ".hidden").mkdir()
    (folder / "folder.json").mkdir()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["labelme", "via", "voc", "cityscapes", "masks"])
def test_pipes_and_links_that_lead_round_are_one_line_or_no_labels(name, tmp_path, agrees):
    content, place, read = JSON_FORMATS.get(
        name, (None, "a.xml", lambda path: read_voc(path.parent, (), "train", USUAL_RULES))
    )
    odd_folders(tmp_path)

    def attempt(_: object) -> str:
        for one in ("a.png", "images/a.png"):
            picture(tmp_path / one)
        path = write(tmp_path / place, voc_text("a.png", ("cat", (3, 3, 8, 8))) if content is None else content)
        return agrees(read(path))

    assert not failures_of([("once", 0)], attempt, str(tmp_path))
