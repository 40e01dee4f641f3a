"""YOLO's boxes and polygons: every layout, the same objects as a COCO file's, oddities by file and line."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from src.commands.places import inputs_of
from src.data.formats import format_name, open_detection
from src.data.formats.rules import USUAL_RULES
from src.data.formats.yolo import read_yolo
from src.data.formats.yolo_files import yolo_files
from src.errors import UserError
from tests.data.tiny import CLASSES
from tests.odd_values import ABSENT, ODD_VALUES, changed, is_one_line, places

WIDTH, HEIGHT = 40, 20
NAMES = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3, "val_dataset": ""}
BOX, POLYGON = "1 0.5 0.5 0.25 0.5", "0 0.1 0.1 0.6 0.1 0.6 0.9"  # of dog and cat, as boxes 15 5 25 15 and 4 2 24 18
LISTED, MAPPED = "names: [cat, dog]\n", "names:\n  0: cat\n  1: dog\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 80, np.uint8))


def make(root: Path, images: str, labels: str, **texts: str) -> Path:
    """Two images, the first with an object of each kind and the second with an empty file, a third without a file."""
    for name in "abc":
        picture(root / images / f"{name}.png")
    (root / labels).mkdir(parents=True, exist_ok=True)
    (root / labels / "a.txt").write_text(f"{BOX}\n\n{POLYGON}")
    (root / labels / "b.txt").touch()
    for name, text in texts.items():
        (root / name.replace("_", ".", 1)).write_text(text)
    return root


def check(dataset) -> None:
    assert [dataset.record(k).path.name for k in range(len(dataset))] == ["a.png", "b.png", "c.png"]
    assert dataset.classes == CLASSES and not dataset.report.notes
    box, polygon = dataset.record(0).objects
    assert (box.box, box.label, box.segmentation) == (pytest.approx((15, 5, 25, 15)), 1, None)
    assert (polygon.box, polygon.label) == (pytest.approx((4, 2, 24, 18)), 0)
    assert polygon.segmentation[0] == pytest.approx([4, 2, 24, 2, 24, 18])
    assert dataset.report.empty_images == ["b.png", "c.png"]
    assert {(one.width, one.height) for one in map(dataset.record, range(3))} == {(WIDTH, HEIGHT)}


def test_suffixes_in_capitals_blank_names_and_a_yaml_of_names_alone_are_taken_as_they_are(tmp_path, make_config):
    root = make(tmp_path / "set", "images", "labels", data_yaml="nc: 2\n" + LISTED)
    (root / "labels" / "a.txt").rename(root / "labels" / "a.TXT")
    cfg = make_config(**NAMES, train_dataset=root)
    assert format_name(cfg, "train") == "yolo"
    check(open_detection(cfg, "train"))
    (root / "data.yaml").unlink()
    (root / "classes.txt").write_text("cat\n\ndog\n")
    (root / "labels" / "a.TXT").write_text("2 0.5 0.5 0.25 0.5\n")
    (found,) = open_detection(cfg, "train").record(0).objects
    assert CLASSES[found.label] == "dog"


def test_a_folder_that_is_both_sets_is_said(tmp_path, make_config, caplog):
    root = make(tmp_path / "set", "images", "labels", data_yaml=LISTED)
    cfg = make_config(**NAMES | {"val_dataset": root}, train_dataset=root)
    assert len(open_detection(cfg, "val")) == 3
    assert "the images of training are those of validation too; val_split" in caplog.text


@pytest.mark.parametrize(
    ("images", "labels", "folder", "texts"),
    [
        ("images/train", "labels/train", ".", {"data_yaml": "train: images/train\n" + LISTED}),
        ("images/train", "labels/train", ".", {"data_yaml": "path: ../datasets/x\ntrain: images/train\n" + MAPPED}),
        ("images/train", "labels/train", ".", {"mine_yml": "path: .\ntrain: [images/train]\nval: ''\n" + LISTED}),
        ("images/train", "labels/train", "images/train", {"data_yaml": "train: x\n" + LISTED}),
        ("images/train", "labels/train", "data.yaml", {"data_yaml": "train: images/train\n" + LISTED}),
        ("x/images/train", "x/labels/train", ".", {"data_yaml": "path: x\ntrain: images/train\n" + LISTED}),
        ("train/images", "train/labels", ".", {"data_yaml": "train: ../train/images\nval: no\n" + LISTED}),  # Roboflow
        ("train/images", "train/labels", ".", {"data_yaml": "train: /content/x/train/images\n" + LISTED}),
        ("train/images", "train/labels", "train", {"data_yaml": "train: ../train/images\n" + LISTED}),
        ("train", "train", ".", {"data_yaml": "train: train\n" + LISTED}),  # beside the images
        ("images", "labels", ".", {"classes_txt": "cat\ndog\n"}),  # Label Studio
        (".", ".", ".", {"classes_txt": "cat\r\ndog"}),  # labelImg
        ("images/train", "labels/train", ".", {"data_yaml": "val: x\n" + LISTED}),
        (
            "obj_train_data", "obj_train_data", ".",
            {"obj_names": "cat\ndog\n", "train_txt": "".join(f"data/obj_train_data/{k}.png\n" for k in "abc")},
        ),  # CVAT
        (
            "images", "labels", ".",
            {"data_yaml": "train: train.txt\n" + LISTED, "train_txt": "./images/a.png\n./images/b.png\nimages/c.png"},
        ),
    ],
)  # fmt: skip
def test_the_objects_are_found_in_every_layout(tmp_path, make_config, images, labels, folder, texts):
    root = make(tmp_path / "set", images, labels, **texts)
    cfg = make_config(**NAMES, train_dataset=root / folder)
    assert format_name(cfg, "train") == "yolo"
    check(open_detection(cfg, "train"))


def test_classes_are_those_of_the_file_in_the_order_of_their_numbers_where_none_are_named(tmp_path, make_config):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\nnames: {7: zebra, 1: dog, 0: 3}\n")
    dataset = open_detection(make_config(coco_classes="[]", num_classes=81, train_dataset=root), "train")
    assert dataset.classes == ("3", "dog", "zebra") and dataset.category_ids == [0, 1, 7]
    assert [item.label for item in dataset.record(0).objects] == [1, 0]


def test_each_split_has_its_own_images(tmp_path, make_config):
    make(tmp_path, "images/train", "labels/train", data_yaml="train: images/train\nval: images/val\n" + LISTED)
    picture(tmp_path / "images" / "val" / "v.png")
    (tmp_path / "labels" / "val").mkdir()
    (tmp_path / "labels" / "val" / "v.txt").write_text(BOX)
    cfg = make_config(**NAMES | {"train_dataset": tmp_path, "val_dataset": tmp_path})
    assert [len(open_detection(cfg, split)) for split in ("train", "val")] == [3, 1]
    (tmp_path / "data.yaml").write_text("train: images/train\n" + LISTED)  # the folders tell
    assert open_detection(cfg, "val").record(0).path.name == "v.png"
    shutil.rmtree(tmp_path / "images" / "val")
    with pytest.raises(UserError, match="data.yaml names no val data, .* has no folder of them; val_split holds"):
        open_detection(cfg, "val")


ODD = {
    "1 0.5 0.5 0.25": "lines are no labels",
    "1 0.5 0.5 0.25 0.5 0.9": "lines are no labels",
    "1 0.1 0.1 0.6 0.1 0.6 0.9 0.5": "lines are no labels",
    "dog 0.5 0.5 0.25 0.5": "lines are no labels",
    "1.5 0.5 0.5 0.25 0.5": "lines are no labels",
    "nan 0.5 0.5 0.25 0.5": "lines are no labels",
    "1 0.5 nan 0.25 0.5": "lines are no labels",
    "1 0.5 1e999 0.25 0.5": "lines are no labels",
    "1 200 80 40 40": "lines have numbers that are no shares of the image's width and height",
    "1 -7 0.5 0.25 0.5": "lines have numbers that are no shares",
    "2 0.5 0.5 0.25 0.5": "lines have a class that nothing names",
    "-1 0.5 0.5 0.25 0.5": "lines have a class that nothing names",
    f"1{'0' * 300} 0.5 0.5 0.25 0.5": "lines have a class that nothing names",
    "1 0.5 0.5 -0.25 0.5": "annotations have no area inside their image",
    "1 0.5 0.5 0.001 0.5": "annotations have no area inside their image",
    "1 0.1 0.1 0.2 0.2 0.3 0.3": "annotations have no area inside their image",
    "1 0.5 0.5 0.25 0.5 # dog": "lines are no labels",
}


@pytest.mark.parametrize("line", ODD)
def test_an_odd_line_is_left_out_and_named_by_file_and_line(tmp_path, make_config, line, caplog):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    (root / "labels" / "b.txt").write_text(f"{BOX}\n\n{line}\n{BOX}")
    dataset = open_detection(make_config(**NAMES, train_dataset=root), "train")
    (said,) = [one for one in dataset.report.lines() if ODD[line] in one]
    assert said.startswith("1 ") and "(labels/b.txt, line 3)" in said
    assert len(dataset.record(1).objects) == 2 and len(dataset.record(0).objects) == 2
    assert all("\n" not in one and len(one) < 700 for one in caplog.messages)


def test_what_lies_a_little_outside_is_cut_and_keypoints_are_no_polygon(tmp_path, make_config):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\nkpt_shape: [2, 2]\n" + LISTED)
    (root / "labels" / "a.txt").write_text("1 0.05 0.5 0.2 0.5 0.1 0.1 0.9 0.9")
    (item,) = open_detection(make_config(**NAMES, train_dataset=root), "train").record(0).objects
    assert item.box == pytest.approx((0, 5, 6, 15)) and item.segmentation is None


def test_a_turned_photograph_is_labelled_as_people_see_it(tmp_path, make_config):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "a.jpg", exif=turned)
    (root / "images" / "a.png").unlink()
    record = open_detection(make_config(**NAMES, train_dataset=root), "train").record(0)
    assert (record.width, record.height) == (HEIGHT, WIDTH)
    assert record.objects[0].box == pytest.approx((7.5, 10, 12.5, 30))


def test_labels_of_no_image_and_images_that_are_none_are_said(tmp_path, make_config):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    (root / "labels" / "gone.txt").write_text(BOX)
    (root / "images" / "c.png").write_bytes(b"none")
    dataset = open_detection(make_config(**NAMES, train_dataset=root), "train")
    lines = dataset.report.lines()
    assert len(dataset) == 2 and "1 label files are of no image: passed over (gone.txt)" in lines
    assert any("1 image files are missing or no images" in line and "c.png" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("train: images\nnames: 3\n", "names is 3; it must be a list of class names"),
        ("train: images\nnames: []\n", "names is "),
        ("train: images\nnames: [cat, [1]]\n", "class 1 has name .1.; it must be a text"),
        ("train: images\nnames: {x: cat}\n", "names has the key 'x'; it must be the number of a class"),
        ("train: images\nnames: {-1: cat}\n", "names has the key -1"),
        ("train: images\nnames: {1e300: cat}\n", "names has the key"),
        ("- train: images\n  names: [a]\n", "expected a mapping with names, train and val"),
        ("train: images\nnames: [cat\n", "not valid YAML"),
        ("train: images\nnames: !!python/object:os.system [x]\n", "no values of the kind"),
        ("train: nowhere\nnames: [cat, dog]\n", "train is nowhere; there is no such folder or list in"),
        ("train: {a: b}\nnames: [cat, dog]\n", "train is {'a': 'b'}; it must be the name of a folder"),
        ("train: labels\nnames: [cat, dog]\n", "there is no image of its train data"),
        ("train: ../elsewhere\nnames: [cat, dog]\n", "train names '../elsewhere', outside of the data set's folder"),
        ("path: ../elsewhere\ntrain: .\nnames: [cat, dog]\n", "train names '.', outside of the data set's folder"),
        ("train: list.txt\nnames: [cat, dog]\n", "list.txt: line 2 names '../../elsewhere/e.png', outside of"),
        ("train: bare\nnames: [cat, dog]\n", "none of 1 images has a label file; looked for .*bare/x.txt"),
    ],
)
def test_a_data_yaml_that_is_wrong_is_one_line(tmp_path, make_config, text, why):
    root = make(tmp_path / "set", "images", "labels", data_yaml=text)
    picture(tmp_path / "elsewhere" / "e.png")
    picture(root / "bare" / "x.png")
    (root / "list.txt").write_text("images/a.png\n../../elsewhere/e.png\n")
    cfg = make_config(**NAMES, train_dataset=root)
    with pytest.raises(UserError, match=why) as caught:
        open_detection(cfg, "train")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_files_outside_are_read_where_that_is_allowed(tmp_path, make_config):
    root = make(tmp_path / "set", "images", "labels", data_yaml="train: ../elsewhere\n" + LISTED)
    picture(tmp_path / "elsewhere" / "e.png")
    (tmp_path / "elsewhere" / "e.txt").write_text(BOX)
    dataset = open_detection(make_config(**NAMES, train_dataset=root, allow_outside=1), "train")
    assert len(dataset) == 1 and len(dataset.record(0).objects) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"1 0.5 0.5 0.25 0.5\xff"])
def test_a_label_file_that_is_no_text_is_named(tmp_path, make_config, content):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    (root / "labels" / "b.txt").write_bytes(content)
    with pytest.raises(UserError, match="b.txt cannot be read: it is no text in UTF-8"):
        open_detection(make_config(**NAMES, train_dataset=root), "train")


def test_the_data_set_is_no_place_for_outputs(tmp_path, make_config):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    cfg = make_config(**NAMES, train_dataset=root / "data.yaml")
    assert ("train_dataset", root / "data.yaml") in inputs_of(cfg).files
    assert ("train_dataset", root) in inputs_of(cfg).folders


YAML = {"path": ".", "train": ["images"], "val": "images", "nc": 2, "names": {0: "cat", 1: "dog"}, "kpt_shape": None}


@pytest.mark.parametrize("place", [*places(YAML), ()], ids=str)
def test_every_odd_value_of_a_data_yaml_is_borne_or_one_line(tmp_path, place):
    root = make(tmp_path, "images", "labels")
    for value in ODD_VALUES:
        content = changed(YAML, place, value) if place else value
        if content is ABSENT:
            continue
        (root / "data.yaml").write_text(yaml.safe_dump(content))
        try:
            dataset = read_yolo(yolo_files(root / "data.yaml", "train"), (), USUAL_RULES)
        except UserError as error:
            assert is_one_line(str(error)), value
        else:
            assert len(dataset) == 3


def test_damaged_bytes_of_a_label_file_are_borne_or_one_line(tmp_path):
    root = make(tmp_path, "images", "labels", data_yaml="train: images\n" + LISTED)
    files, rng = yolo_files(root, "train"), np.random.RandomState(0)
    whole = f"{BOX}\n{POLYGON}\n".encode()
    borne = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.randint(0, len(whole), rng.randint(1, 4)):
            damaged[place] = rng.choice(list(b"\x00\x09\n\r -.019eENa\xc3\xff"))
        (root / "labels" / "b.txt").write_bytes(damaged[: rng.randint(1, len(whole) + 1)])
        try:
            dataset = read_yolo(files, CLASSES, USUAL_RULES)
        except UserError as error:
            assert is_one_line(str(error)), damaged
        else:
            borne += 1
            boxes = [item.box for k in range(3) for item in dataset.record(k).objects]
            assert all(0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT for x1, y1, x2, y2 in boxes)
    assert borne > 50
