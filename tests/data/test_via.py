"""VGG Image Annotator's files: projects and exports of versions 1 and 2."""

import csv
import json
import math

import pytest

from src.data.formats.rules import USUAL_RULES
from src.data.formats.via import found_via, open_via, read_via
from src.data.masks import to_bitmap
from src.errors import UserError
from tests.data.label_writers import SQUARE, picture, via_images, via_polygon, via_region, write


def read(path, classes=(), attribute=""):
    return read_via(path, classes, USUAL_RULES, attribute)


def read_regions(folder, *regions, **more):
    picture(folder / "a.png")
    return read(write(folder / "via.json", via_images(("a.png", list(regions)))), **more)


def test_each_shape_is_an_object(tmp_path):
    shapes = [
        via_polygon(SQUARE),
        via_polygon(SQUARE, "polyline"),
        {"name": "rect", "x": 3, "y": 1, "width": 6, "height": 6},
        {"name": "circle", "cx": 10, "cy": 6, "r": 5},
        {"name": "ellipse", "cx": 10, "cy": 6, "rx": 5, "ry": 2.5, "theta": math.pi / 2},
        {"name": "point", "cx": 10, "cy": 6},
        {"name": "cube"},
    ]
    dataset = read_regions(tmp_path, *(via_region("cat", shape) for shape in shapes))
    polygon, polyline, rectangle, circle, ellipse = dataset.record(0).objects
    assert polygon == polyline and polygon.segmentation == [[2, 2, 8, 2, 8, 8, 2, 8]]
    assert rectangle.box == (3, 1, 9, 7) and rectangle.segmentation is None
    assert circle.box == (5, 1, 15, 11) and ellipse.box == pytest.approx((7.5, 1, 12.5, 11))
    assert circle.area == pytest.approx(math.pi * 25, rel=0.03) and ellipse.area == pytest.approx(
        circle.area / 2, rel=0.15
    )
    assert dataset.report.notes == [
        "1 regions are polylines: taken as closed (region 2 of a.png)",
        "1 regions are points or lines: left out (region 6 of a.png)",
        "1 regions are of an unknown shape: left out (region 7 of a.png: 'cube')",
    ]


def test_a_turned_ellipse_is_turned_as_the_tool_draws_it(tmp_path):
    shape = {"name": "ellipse", "cx": 10, "cy": 6, "rx": 6, "ry": 1, "theta": math.pi / 4}
    mask = to_bitmap(read_regions(tmp_path, via_region("cat", shape)).record(0).objects[0].segmentation, 12, 20)
    assert mask[9, 13] and mask[2, 6] and not mask[9, 6] and not mask[2, 13]  # y downwards, as on a canvas


def write_project(folder, content):
    settings = {"core": {"default_filepath": "./pictures/"}, "project": {"name": "p"}}
    project = {"_via_settings": settings, "_via_img_metadata": content, "_via_attributes": {"region": {}, "file": {}}}
    return write(folder / "via_project.json", project)


def write_csv(folder, content, first="filename"):
    columns = [
        first,
        "file_size",
        "file_attributes",
        "region_count",
        "region_id",
        "region_shape_attributes",
        "region_attributes",
    ]
    with open(folder / "via.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for entry in content.values():
            regions = entry["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(regions):
                parts = [json.dumps(region[key]) for key in ("shape_attributes", "region_attributes")]
                rows.writerow([entry["filename"], 100, "{}", len(entry["regions"]), number, *parts])
    return folder / "via.csv"


def marked(path):
    """With a byte-order mark, as Windows' editors save it."""
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return path


def numbered(content):
    """As version 1 has them: regions by their numbers."""
    return {key: one | {"regions": dict(enumerate(one["regions"]))} for key, one in content.items()}


@pytest.mark.parametrize(
    "writer",
    [
        lambda folder, content: write(folder / "via.json", content),
        lambda folder, content: write(folder / "via.json", numbered(content)),
        write_project,
        write_csv,
        lambda folder, content: write_csv(folder, content, "#filename"),
        lambda folder, content: marked(write(folder / "via.json", content)),
    ],
    ids=["JSON", "JSON of version 1", "project", "CSV", "CSV of version 1", "byte-order mark"],
)
def test_every_file_that_it_writes_gives_the_same(tmp_path, writer, make_config):
    for name in ("a.png", "b.png", "empty.png", "alone.png"):
        picture(tmp_path / "pictures" / name)
    far = [[12, 4], [18, 4], [18, 10]]
    content = via_images(
        ("a.png", [via_region("dog", via_polygon(SQUARE)), via_region("cat", via_polygon(far))]),
        ("b.png", [via_region("cat", {"name": "rect", "x": 0, "y": 0, "width": 5, "height": 5})]),
        ("empty.png", []),
    )
    dataset = read(writer(tmp_path, content))
    assert dataset.classes == ("cat", "dog") and dataset.image_ids == [
        f"pictures/{one}.png" for one in ("a", "b", "empty")
    ]
    assert [[(one.label, one.box) for one in dataset.record(k).objects] for k in range(3)] == [
        [(1, (2, 2, 8, 8)), (0, (12, 4, 18, 10))],
        [(0, (0, 0, 5, 5))],
        [],
    ]
    assert "1 images have no labels: left out (alone.png)" in dataset.report.lines()
    assert found_via(tmp_path, "train") and not found_via(tmp_path / "pictures", "train")
    assert (
        open_via(
            make_config(train_dataset=tmp_path, coco_classes="[background, cat, dog]", num_classes=3), "train"
        ).image_ids
        == dataset.image_ids
    )


@pytest.mark.parametrize(
    ("attributes", "chosen", "classes"),
    [
        ([{"whatever": "cat"}, {"whatever": "dog"}], "", ("cat", "dog")),
        ([{"colour": "red", "name": "dog"}, {"colour": "blue", "name": "cat"}], "", ("cat", "dog")),
        ([{"colour": "red", "name": "dog"}, {"colour": "blue", "name": "cat"}], "colour", ("blue", "red")),
        ([{"kind": {"cat": True, "dog": False}}, {"kind": {"dog": True}}], "", ("cat", "dog")),
        ([{"kind": 3}, {"kind": "4"}], "", ("3", "4")),
        ([{}, {}], "", ("object",)),
    ],
)
def test_the_class_is_an_attribute(tmp_path, attributes, chosen, classes):
    regions = [{"shape_attributes": via_polygon(SQUARE), "region_attributes": one} for one in attributes]
    dataset = read_regions(tmp_path, *regions, attribute=chosen)
    assert dataset.classes == classes and len(dataset.record(0).objects) == 2


def test_an_attribute_among_several_that_nobody_chose_is_one_line(tmp_path):
    region = {"shape_attributes": via_polygon(SQUARE), "region_attributes": {"name": "cat", "type": "small"}}
    with pytest.raises(
        UserError, match="the regions have the attributes name, type; class_attribute names the class's"
    ):
        read_regions(tmp_path, region)


def test_a_region_without_the_attribute_or_with_two_boxes_ticked_is_left_out_and_said(tmp_path):
    odd = ({}, {"a": True, "b": True})
    regions = [
        via_region("cat", via_polygon(SQUARE)),
        via_region("", via_polygon(SQUARE)),
        via_region(odd, via_polygon(SQUARE)),
    ]
    dataset = read_regions(tmp_path, *regions)
    assert len(dataset.record(0).objects) == 1
    assert dataset.report.notes == [
        "2 regions have no class (attribute 'type'): left out (region 2 of a.png, region 3 of a.png)"
    ]


def test_regions_without_attributes_are_of_the_one_class_that_is_configured(tmp_path):
    assert read_regions(tmp_path, via_region(None, via_polygon(SQUARE)), classes=("balloon",)).classes == ("balloon",)


def test_a_missing_image_has_no_size_and_is_left_out_and_named(tmp_path):
    picture(tmp_path / "a.png")
    regions = [via_region("cat", via_polygon(SQUARE))]
    dataset = read(write(tmp_path / "via.json", via_images(("a.png", regions), ("gone.png", regions))))
    assert dataset.image_ids == ["a.png"] and "1 image files are missing or no images" in dataset.report.notes[0]
    with pytest.raises(UserError, match="names no image that can be read .*gone.png"):
        read(write(tmp_path / "via.json", via_images(("gone.png", regions))))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.json", "{", "v.json is not JSON"),
        ("v.json", [], "v.json is no VIA file"),
        ("v.json", {}, "lists no image"),
        ("v.json", {"a": {}}, "the entry 'a' has no filename"),
        ("v.json", {"a": {"filename": "b"}}, "regions of 'b' must"),
        ("v.csv", "a,b\n", "has no column region_shape"),
        ("v.csv", "\udce9".encode("utf-8", "surrogateescape"), "no text"),
        (
            "v.csv",
            "filename,region_shape_attributes,region_attributes\na.png,{,{}\n",
            "v.csv, line 2: region_shape_attr",
        ),
        ("v.csv", "filename,region_shape_attributes,region_attributes\n,,\n", "v.csv, line 2: it has no filename"),
        ("v.csv", "filename,region_shape_attributes,region_attributes\n\0", "v.csv"),
        ("v.csv", "", "v.csv"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else write(path, content)
    with pytest.raises(UserError, match=message):
        read(path)


def test_two_files_in_one_folder_are_named(tmp_path, make_config):
    content = via_images((picture(tmp_path / "a.png").name, [via_region("cat", via_polygon(SQUARE))]))
    write(tmp_path / "one.json", content), write_csv(tmp_path, content)
    with pytest.raises(UserError, match="holds 2 VIA files, one.json, via.csv"):
        open_via(make_config(train_dataset=tmp_path), "train")
