"""The generated data sets: repeatable, of every form that COCO's labels have, and labelled as they are drawn."""

import json

import cv2
import numpy as np
import pytest

from src.data.formats.coco import read_coco
from src.data.masks import to_bitmap
from src.data.synthetic import __main__ as synthetic
from src.data.synthetic import shapes


def generate(out, *options: str) -> None:
    synthetic.main(["coco", str(out), *options])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic") / "set"
    generate(out, "--images", "150", "--size", "96", "--seed", "3")
    return out


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        generate(tmp_path / name, "--images", "6", "--size", "64", "--seed", seed)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 6 + 8 + 2
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    labels = "train/labels.json"
    assert (tmp_path / "a" / labels).read_bytes() != (tmp_path / "c" / labels).read_bytes()


def test_both_subsets_load_without_anything_odd(folder):
    for subset, count in (("train", 150), ("validation", 37)):
        dataset = read_coco(folder / subset, shapes.SHAPES)
        assert len(dataset) == count and dataset.category_ids == [2, 5, 7, 11]
        assert dataset.report.lines() == []
        record = dataset.record(0)
        assert cv2.imread(str(record.path)).shape[:2] == (record.height, record.width)


def test_every_form_of_label_occurs(folder):
    content = json.loads((folder / "train" / "labels.json").read_text())
    annotations, images = content["annotations"], content["images"]
    forms = {type(item["segmentation"]).__name__ for item in annotations if not item["iscrowd"]}
    counts = {type(item["segmentation"]["counts"]) for item in annotations if isinstance(item["segmentation"], dict)}
    assert forms == {"list", "dict"} and counts == {list, str}
    assert any(item["iscrowd"] for item in annotations)
    assert {item["category_id"] for item in annotations} == {2, 5, 7, 11}
    assert len({item["image_id"] for item in annotations}) < len(images)  # some images are empty
    assert len({(image["height"], image["width"]) for image in images}) == 3
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    right = [item["bbox"][0] + item["bbox"][2] == sizes[item["image_id"]][0] for item in annotations]
    assert any(right)  # some objects touch the border


def test_masks_boxes_and_areas_agree_and_objects_do_not_overlap(folder):
    dataset = read_coco(folder / "train", shapes.SHAPES)
    for index in range(len(dataset)):
        record = dataset.record(index)
        objects = [item for item in dataset.coco.imgToAnns[record.image_id] if not item["iscrowd"]]
        taken = np.zeros((record.height, record.width), int)
        for item in objects:
            mask = to_bitmap(item["segmentation"], record.height, record.width)
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            edges = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
            assert item["bbox"] == edges and item["area"] == mask.sum()
            taken += mask
        assert taken.max(initial=0) <= 1


def test_a_filled_outline_is_cut_at_the_border():
    points = shapes.outline("square", (0, 10), 8 * 2**0.5, np.pi / 4)  # 16 x 16 around (0, 10)
    expected = np.zeros((20, 30), np.uint8)
    expected[2:18, :8] = 1
    np.testing.assert_array_equal(shapes.fill(points, 20, 30), expected)


@pytest.mark.parametrize("options", [["--images", "0"], ["--size", "4"], ["--seed", "-1"]])
def test_wrong_numbers_are_refused(tmp_path, options, capsys):
    with pytest.raises(SystemExit) as stop:
        generate(tmp_path / "out", *options)
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_not_written_into(tmp_path, capsys):
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        generate(tmp_path)
    assert stop.value.code == 2 and str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        generate(tmp_path / "file" / "out")
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err
