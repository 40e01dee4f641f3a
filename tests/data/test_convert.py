"""`python -m src.data.convert`: any format as COCO's or labelme's, the same objects, nothing replaced."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data import convert as module
from src.data.formats import open_detection
from src.data.formats.coco import read_coco
from src.data.formats.mindrecord import read_mindrecord
from src.data.masks import to_bitmap
from src.data.mindrecord import convert as to_mindrecord
from tests.data.test_yolo import LISTED, make, picture
from tests.data.tiny import CLASSES, square
from tests.end_to_end.commands import run

RUNS = {"size": [24, 32], "counts": [26, 6, 18, 6, 18, 6, 18, 6, 664]}
KEYS = {"coco_classes": "[]", "num_classes": 81, "val_dataset": ""}


@pytest.fixture()
def coco(coco_folder) -> Path:
    """Every kind of object: a polygon, two of one object, a crowd of runs, runs, a box; and an image without any."""
    two = [[2, 2, 8, 2, 8, 8], [12, 12, 18, 12, 18, 18]]
    area, box = 18 + 18, [2, 2, 16, 16]
    annotations = [
        square(1, (2, 4, 6, 8), 4),
        square(1, (2, 2, 16, 16), 9) | {"segmentation": two, "area": area, "bbox": box},
        square(2, (1, 2, 4, 6), 9, segmentation=RUNS, area=24, iscrowd=1),
        square(2, (1, 2, 4, 6), 9, segmentation=RUNS, area=24),
        square(2, (3, 4, 8, 9), 4, segmentation=[]),
    ]
    return coco_folder([(32, 24)] * 3, annotations, info={"year": 2026})


def convert(*arguments, status: int = 0) -> str:
    return run("-m", "src.data.convert", *arguments, status=status)


def objects(dataset) -> list[list]:
    return [list(dataset.record(index).objects) for index in range(len(dataset))]


def test_a_coco_set_comes_out_as_it_went_in(coco, tmp_path):
    printed = convert(coco, tmp_path / "out")
    original, written = (read_coco(folder, ()) for folder in (coco, tmp_path / "out"))
    assert objects(written) == objects(original) and written.classes == original.classes
    assert (written.category_ids, written.image_ids) == (original.category_ids, original.image_ids)
    assert written.report == original.report and written.raw.rest["info"] == {"year": 2026}
    for index in range(3):
        assert written.record(index).path.read_bytes() == original.record(index).path.read_bytes()
        assert not written.record(index).path.is_symlink()
    assert "out: 3 images, 5 objects, 2 classes: dog, cat" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]  # nothing half made is left


def test_yolo_comes_out_as_coco_with_both_of_its_parts(tmp_path, make_config):
    root = make(tmp_path / "yolo", "images/train", "labels/train", data_yaml="train: images/train\nval: v\n" + LISTED)
    picture(root / "v" / "1.png")
    (root / "v" / "1.txt").write_text("1 0.5 0.5 0.25 0.5")
    convert(root, tmp_path / "out", "--images", "link")
    for split, subset in (("train", "train"), ("val", "validation")):
        original = open_detection(make_config(**KEYS | {f"{split}_dataset": root}), split)
        written = read_coco(tmp_path / "out" / subset, ())
        assert [[item.box for item in one] for one in objects(written)] == [
            [pytest.approx(item.box) for item in one] for one in objects(original)
        ]
        assert [one.label for one in objects(written)[0]] == [one.label for one in objects(original)[0]]
        assert written.classes == CLASSES and written.record(0).path.is_symlink()
        assert written.record(0).path.resolve() == original.record(0).path.resolve()
    assert read_coco(tmp_path / "out" / "train", ()).image_ids == [1, 2, 3]


def test_records_come_out_with_their_images(coco, make_config, tmp_path):
    cfg = make_config(**KEYS, train_dataset=coco)
    to_mindrecord(cfg, open_detection(cfg, "train"), tmp_path / "record")
    convert(tmp_path / "record", tmp_path / "out", "--images", "link")
    written, original = read_coco(tmp_path / "out", ()), read_mindrecord(tmp_path / "record", ())
    assert objects(written) == objects(original)
    assert (tmp_path / "out" / "data" / "2.png").read_bytes() == (coco / "data" / "2.png").read_bytes()


def painted(shape: dict) -> np.ndarray:
    """What an annotation tool shows of a shape, by OpenCV."""
    mask = np.zeros((24, 32), np.uint8)
    points = np.round(shape["points"]).astype(int)
    if shape["shape_type"] == "mask":
        (left, top), (right, bottom) = points
        content = np.frombuffer(base64.b64decode(shape["mask"]), np.uint8)
        mask[top : bottom + 1, left : right + 1] = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) > 0
    else:
        cv2.fillPoly(mask, [points], 1)
    return mask


def test_labelme_gets_a_file_an_image_with_every_kind_of_shape(coco, tmp_path):
    convert(coco, tmp_path / "out", "--to", "labelme")
    contents = {k: json.loads((tmp_path / "out" / f"{k}.json").read_text()) for k in (1, 2, 3)}
    for number, content in contents.items():
        assert (tmp_path / "out" / content["imagePath"]).read_bytes() == (coco / "data" / f"{number}.png").read_bytes()
        assert (content["imageWidth"], content["imageHeight"], content["imageData"]) == (32, 24, None)
    first, second, third = (content["shapes"] for content in contents.values())
    assert [(one["label"], one["shape_type"], one["group_id"]) for one in first] == [
        ("dog", "polygon", None), ("cat", "polygon", 2), ("cat", "polygon", 2),
    ]  # fmt: skip
    assert first[0]["points"] == [[2, 4], [8, 4], [8, 12], [2, 12]] and not third
    kinds = [(one["label"], one["shape_type"], one["flags"]) for one in second]
    assert kinds == [("cat", "mask", {"difficult": True}), ("cat", "mask", {}), ("dog", "rectangle", {})]
    assert np.array_equal(painted(second[1]), to_bitmap(RUNS, 24, 32))
    assert second[2]["points"] == [[3, 4], [11, 13]]


def test_images_of_one_name_and_files_that_are_none_are_told_apart(coco, tmp_path):
    content = json.loads((coco / "labels.json").read_text())
    for image, name in zip(content["images"], ("x/a.png", "y/A.png", "secret.png")):
        picture(coco / "data" / name)
        image["file_name"] = name
    (coco / "data" / "secret.png").write_text("root:x:0:0")
    (coco / "labels.json").write_text(json.dumps(content))
    assert "1 images are missing, or no images: not written (secret.png)" in convert(coco, tmp_path / "out")
    found = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(found) == ["data/x/a.png", "data/y/A.png", "labels.json"]
    assert read_coco(tmp_path / "out", ()).report.missing_files == ["secret.png"]


def test_a_share_is_held_out_where_that_is_asked_for(coco, tmp_path):
    convert(coco, tmp_path / "out", "--val_split", "0.4")
    parts = [read_coco(tmp_path / "out" / name, ()) for name in ("train", "validation")]
    assert sum(map(len, parts)) == 3 and all(map(len, parts)) and parts[0].category_ids == parts[1].category_ids


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("IN", "there"), "OUT .*there is there already: give a new folder"),
        (("IN", "file"), "OUT .*file is there already"),
        (("IN", "IN"), "OUT .*set is there already"),
        (("IN", "IN/new"), "OUT .*new lies in IN"),
        (("IN", "link/new"), "OUT .*new lies in IN"),
        (("IN", "file/new"), "cannot be written"),
        (("nowhere", "new"), "data set folder .*nowhere does not exist"),
        (("there", "new"), "holds no labels of a known format; looked for coco"),
        (("IN",), "OUT is missing"),
        (("IN", "new", "--format", "yolo"), "has no data.yaml"),
        (("IN", "new", "--format", "none"), "--format: invalid choice"),
        (("IN", "new", "--crowd_rel", "objects"), "unknown key crowd_rel; did you mean crowd_rle"),
        (("IN", "new", "more"), "unexpected argument 'more'"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(coco, tmp_path, arguments, why):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(coco)
    before = sorted(tmp_path.rglob("*"))
    paths = [str(tmp_path / one) if one[0] != "-" and place < 2 else one for place, one in enumerate(arguments)]
    printed = convert(*(one.replace(str(tmp_path / "IN"), str(coco)) for one in paths), status=2)
    assert [line for line in printed.splitlines() if line.startswith("error: ")] == printed.splitlines()[-1:]
    assert len(printed.splitlines()[-1]) < 800
    assert re.search(why, printed), printed
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_taken_and_a_conversion_that_fails_leaves_nothing(coco, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    convert(coco, tmp_path / "empty")
    assert (tmp_path / "empty" / "labels.json").is_file()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_coco", full)
    with pytest.raises(SystemExit) as left:
        module.main([str(coco), str(tmp_path / "new")])
    assert left.value.code == 2 and "new: cannot be written (No space left on device)" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "set"]
