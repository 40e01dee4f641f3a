"""What a text names: files of its own data set, wherever the tool that wrote it thought they were, and no others."""

import json
import os
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import default_config
from src.data.formats import places as places_module
from src.data.formats.coco import read_coco
from src.data.formats.image_list import unlabelled_images
from src.data.formats.mindrecord import MANIFEST, SUBSETS, read_records
from src.data.formats.places import locate, note
from src.data.formats.rules import Rules
from src.data.formats.segmentation_list import SegmentationDataset, read_indices
from src.data.formats.yolo_files import yolo_files
from src.data.images import is_there, read_bgr
from src.data.label_sets import LabelSet
from src.errors import UserError
from tests.data.tiny import CLASSES, square
from tests.data.truth import entry
from tests.end_to_end.commands import run

SECRET = b"root:x:0:0:root:/root:/bin/bash\n"
OUTSIDE = ("{0}/secret.png", "../../secret.png", "x/../../../secret.png", "link/../../../secret.png")


@pytest.fixture()
def folder(tmp_path) -> Path:
    """A data set's folder with its images, some of one name, and a picture beside it."""
    made = tmp_path / "set"
    for name in ("data/a.png", "data/train/b.png", "data/train/same.png", "data/val/same.png"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(made / name), np.full((12, 20, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "secret.png"), np.full((12, 20, 3), 7, np.uint8))
    (made / "data" / "link").symlink_to(tmp_path)
    return made


def labels(folder: Path, *names: str) -> Path:
    """The folder with a label file of these images."""
    images = [entry(number) | {"file_name": name} for number, name in enumerate(names, start=1)]
    content = {
        "images": images,
        "annotations": [square(1, (2, 2, 6, 6))],
        "categories": [{"id": 4, "name": CLASSES[0]}, {"id": 9, "name": CLASSES[1]}],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "name,found",
    [
        ("a.png", "a.png"), ("./a.png", "a.png"), ("train/../a.png", "a.png"), ("train/b.png", "train/b.png"),
        ("images\\a.png", "a.png"), ("images\\train\\b.png", "train/b.png"), ("data/a.png", "a.png"),
        ("../x/a.png", "a.png"), ("../../x/train/b.png", "train/b.png"), ("C:\\set\\a.png", "a.png"),
        ("/home/me/set/data/a.png", "a.png"), ("/home/me/set/train/same.png", "train/same.png"),
        ("b.png", "train/b.png"), ("old/b.png", "train/b.png"), ("{0}/set/data/a.png", "a.png"),
        ("../data/a.png", "a.png"), ("link/secret.png", "link/secret.png"),
    ],
)  # fmt: skip
def test_a_file_is_found_where_its_name_says_or_by_its_end(folder, tmp_path, name, found):
    places = locate([name.format(tmp_path)], folder / "data", Path("labels.json"), root=folder)
    assert places.missing == set() and places.paths[0].samefile(folder / "data" / found)


@pytest.mark.parametrize("name", ["same.png", "old/same.png", "none.png", "x\\none.png", "", ".", "a.png/", "train"])
def test_what_is_not_there_or_not_one_file_is_missing(folder, name):
    places = locate([name], folder / "data", Path("labels.json"))
    assert places.missing == ({0} if name != "a.png/" else set()) and not note(places)


@pytest.mark.parametrize("name", ["\0", "a\0.png", "x" * 300, "\ud800.png", "y/" * 3000, "../" * 2000 + "data"])
def test_a_name_that_no_file_can_have_is_missing_or_refused_in_one_line(folder, name, caplog):
    try:
        dataset = read_coco(labels(folder, "a.png", name), CLASSES)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 400 + len(str(folder))
    else:
        assert dataset.training_indices(filter_empty=False) == [0]
        assert not is_there(dataset.record(1).path) and read_bgr(dataset.record(1).path) is None
    assert all("\n" not in line and len(line) < 600 + 2 * len(str(folder)) for line in caplog.messages)


def test_two_names_that_would_lead_to_one_file_lead_to_none(folder):
    for names in (["x/a.png", "y/a.png"], ["a.png", "x/a.png"]):
        places = locate(names, folder / "data", Path("labels.json"))
        assert 1 in places.missing and not places.found
    assert locate(["x/a.png", "x/a.png"], folder / "data", Path("labels.json")).missing == set()


@pytest.mark.parametrize("name", OUTSIDE)
def test_label_files_and_lists_name_no_file_outside_of_their_folder_unless_allowed(folder, tmp_path, name):
    name = name.format(tmp_path)
    labels(folder, "a.png", name)
    with pytest.raises(UserError, match=r"labels.json: image 2 names .*outside of .*allow_outside: 1 reads") as error:
        read_coco(folder, CLASSES)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    dataset = read_coco(folder, CLASSES, rules=Rules(allow_outside=True))
    assert dataset.training_indices(filter_empty=False) == ([0] if "/../../.." in name else [0, 1])

    (folder / "data" / "val.lst").write_text(f"a.png\ta.png\n\na.png\t{name}\n")
    names = LabelSet(("one",), np.zeros((1, 3), np.uint8), np.zeros(256, np.int16))
    with pytest.raises(UserError, match=r"val.lst: line 3 names .*outside of .*allow_outside: 1 reads it"):
        SegmentationDataset(folder / "data", "val", names)
    dataset = SegmentationDataset(folder / "data", "val", names, allow_outside=True)
    assert len(dataset) == 2 and dataset.samples[1][1] == folder / "data" / name


def test_a_list_of_files_beside_it_that_moved_is_found_and_said(folder, caplog):
    (folder / "data" / "val.lst").write_text("old\\a.png\t/home/me/train/b.png\n")
    names = LabelSet(("one",), np.zeros((1, 3), np.uint8), np.zeros(256, np.int16))
    dataset = SegmentationDataset(folder / "data", "val", names)
    assert [path.name for path in dataset.samples[0]] == ["a.png", "b.png"] and not dataset.missing
    assert r"2 files are not where their names say, found by their ends ('old\\a.png' is a.png, ...)" in caplog.text


def test_that_a_file_outside_is_there_and_another_is_taken_is_said_as_it_is(folder, tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((12, 20, 3), np.uint8))
    names = ["../../b.png", "../../c/a.png"]
    places = locate(names, folder / "data", Path("labels.json"))
    assert [path.relative_to(folder) for path in places.paths] == [Path("data/train/b.png"), Path("data/a.png")]
    assert note(places) == [
        "1 files are not where their names say, found by their ends ('../../c/a.png' is a.png)",
        "1 files are outside and not read (allow_outside: 1 does): those of their ends are taken "
        "('../../b.png' is train/b.png)",
    ]
    assert not note(locate(names[:1], folder / "data", Path("labels.json"), allow_outside=True))


def test_lists_of_every_format_say_that_another_file_is_taken(folder, tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((12, 20, 3), np.uint8))
    (folder / "data" / "val.lst").write_text(f"{tmp_path}/a.png\n")
    (folder / "data" / "val.txt").write_text(f"{tmp_path}/a.png\n")
    (folder / "data" / "data.yaml").write_text("names: [one]\nval: val.txt\n")
    took = [folder / "data" / "a.png"]
    assert unlabelled_images(default_config(["--val_dataset", str(folder / "data")])) == took
    assert yolo_files(folder / "data", "val").images == took
    assert [line.split(":")[1] for line in caplog.messages] == [" 1 files are outside and not read (allow_outside"] * 2


def test_normal_names_cost_a_look_at_each_file_and_no_search(folder, monkeypatch):
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("the folder is searched"))
    names = ["a.png", "train/b.png"] * 4000
    looks = []
    monkeypatch.setattr(places_module, "is_there", lambda path: looks.append(path) or True)
    assert not locate(names, folder / "data", Path("labels.json")).missing
    assert len(looks) == len(names)


def test_a_pipe_is_no_image(folder):
    os.mkfifo(folder / "data" / "pipe.png")
    dataset = read_coco(labels(folder, "a.png", "pipe.png"), CLASSES)
    assert dataset.training_indices(filter_empty=False) == [0]
    assert read_bgr(str(folder / "data" / "pipe.png")) is None and read_indices(folder / "data" / "pipe.png") is None


def test_a_label_image_is_of_a_kind_that_runs_no_program(tmp_path):
    """Pillow would hand this one to Ghostscript."""
    (tmp_path / "label.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    assert read_indices(tmp_path / "label.png") is None


def convert(folder: Path, out: Path, status: int = 0) -> str:
    keys = {"config_path": "configs/demo/mask_rcnn_hrnet_shapes.yaml", "train_dataset": folder, "mindrecord_dir": out}
    keys |= {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3, "val_dataset": ""}
    return run("-m", "src.data.mindrecord", *(one for k, v in keys.items() for one in (f"--{k}", v)), status=status)


def test_only_images_are_packed(folder, tmp_path):
    (tmp_path / "passwd").write_bytes(SECRET)
    (folder / "data" / "c.png").symlink_to(tmp_path / "passwd")
    picture = (folder / "data" / "a.png").read_bytes()
    (folder / "data" / "cut.png").write_bytes(picture[: len(picture) // 2])
    printed = convert(labels(folder, "a.png", "c.png", "cut.png", "link/secret.png"), tmp_path / "record")
    assert "train: 1 files are no images: not packed (c.png)" in printed
    _, images = read_records(tmp_path / "record" / SUBSETS["train"])
    sizes = {name: (images / name).size for name in ("a.png", "c.png", "cut.png", "link/secret.png")}
    assert sizes.pop("c.png") == 0 and all(sizes.values())
    for shard in (tmp_path / "record" / SUBSETS["train"]).iterdir():
        assert SECRET not in shard.read_bytes()
    labels(folder, str(tmp_path / "passwd"))
    assert "image 1 names" in convert(folder, tmp_path / "other", status=2)


def test_a_converted_data_set_names_its_own_shards_and_its_index_is_a_table(folder, tmp_path):
    convert(labels(folder, "a.png"), tmp_path / "record")
    record = tmp_path / "record" / SUBSETS["train"]
    text = (record / MANIFEST).read_text()
    (shard,) = json.loads(text)["shards"]
    outside = record.rename(tmp_path / "elsewhere")
    record.mkdir()
    (record / MANIFEST).write_text(json.dumps(json.loads(text) | {"shards": [str(outside / shard)]}))
    with pytest.raises(UserError, match=r"dataset.json: it names the shard .*outside of .*allow_outside: 1 reads it"):
        read_records(record)
    content, _ = read_records(record, allow_outside=True)
    assert len(content["images"]) == 1
    database = sqlite3.connect(outside / f"{shard}.db")
    database.execute("DROP TABLE INDEXES")
    endless = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x FROM n) SELECT * FROM n"
    database.execute(f"CREATE VIEW INDEXES AS {endless}")
    database.commit()
    sizes = {"rows": 1, "bytes": (outside / shard).stat().st_size}
    sizes["index_bytes"] = (outside / f"{shard}.db").stat().st_size
    (outside / f"{shard}.done").write_text(json.dumps(sizes))
    with pytest.raises(UserError, match="it or its index is damaged .its index has no table of rows"):
        read_records(record, allow_outside=True)
