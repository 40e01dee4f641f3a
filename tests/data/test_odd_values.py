"""Fuzz: every field of every kind of a data set's files set to every wrong kind, one at a time.

No traceback, whatever stands there: a line that names the file, or objects that are left out, the same ones in training
and in evaluation. Without a network.
"""

import contextlib
import io
import json
import os
import shutil
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from src.config import load_config
from src.data.formats.coco import read_coco
from src.data.formats.image_folder import ImageFolder
from src.data.formats.mindrecord import read_mindrecord
from src.data.formats.segmentation_list import SegmentationDataset
from src.data.inspection import image_folder, label_files
from src.data.label_sets import label_set
from src.data.mindrecord import convert
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.evaluation.detection_analysis import analyse_detections
from src.evaluation.segmentation_eval import score_label_maps
from src.inference.prediction_file import load_predictions, load_protocol, require_same_origin, save_predictions
from src.inference.visualize import draw_prediction_file
from tests.data.test_segmentation_data import config as segmentation_config
from tests.data.tiny import CLASSES, square
from tests.data.truth import Agreement, perfect_results, scored
from tests.odd_values import ODD_VALUES, changed, is_one_line, name_of, places

RUNS = {"size": [12, 20], "counts": [26, 6, 6, 6, 6, 6, 184]}
TEXT = coco_mask.frPyObjects(RUNS, 12, 20)["counts"].decode()
LABELS = {
    "info": {"year": 2026, "version": "1", "contributor": None},
    "licenses": [{"id": 1, "name": "none", "url": ""}],
    "images": [
        {"id": k, "file_name": f"{k}.png", "width": 20, "height": 12, "license": 1, "coco_url": ""} for k in (1, 2)
    ],
    "categories": [
        {"id": own, "name": name, "supercategory": "animal", "keypoints": []} for own, name in ((4, "dog"), (9, "cat"))
    ],
    "annotations": [
        {"id": 1} | square(1, (2, 2, 6, 6)),
        {"id": 2} | square(1, (2, 2, 5, 6), 4, segmentation=RUNS, area=18),
        {"id": 3} | square(2, (2, 2, 5, 6), 4, segmentation=RUNS, area=18, iscrowd=1),
        {"id": 4} | square(2, (2, 2, 5, 6), segmentation={"size": [12, 20], "counts": TEXT}, area=18),
    ],
}
OF_LABELS = [place for place in places(LABELS) if len(place) < 5 or place[-1] in (0, 1)]  # not each of many numbers


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "data").mkdir()
    for k in (1, 2):
        picture = np.random.RandomState(k).randint(0, 256, (12, 20, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "data" / f"{k}.png"), picture)
    return folder


def failures_of(cases, attempt, subject: str) -> list[str]:
    """What went wrong in `attempt(content)`: anything but an answer or one line of a UserError that names the file."""
    failures = []
    for name, content in cases:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                problem = attempt(content)
        except UserError as error:
            problem = "" if is_one_line(str(error)) and subject in str(error) else f"UserError {error}"
        except Exception as error:
            problem = repr(error)
        failures += [f"{name}: {problem}"] if problem else []
    return failures


def cases_of(content, own_places):
    for place in own_places:
        for value in ODD_VALUES:
            yield name_of(place, value), changed(content, place, value)


@pytest.mark.parametrize("part", ["info", "licenses", "images", "categories", *range(4), "annotations"])
def test_a_field_of_a_label_file_may_be_anything_and_training_and_evaluation_agree(part, picture_folder, make_config):
    cfg, labels = make_config(num_gts=3, img_width=32, img_height=32), picture_folder / "labels.json"
    agrees = Agreement(cfg)
    if isinstance(part, int):
        own = [place for place in OF_LABELS if place[:2] == ("annotations", part)]
    else:
        own = [place for place in OF_LABELS if place[0] == part and (part != "annotations" or len(place) == 1)]

    def attempt(content: dict) -> str:
        labels.write_text(json.dumps(content))
        return agrees(read_coco(picture_folder, CLASSES))

    assert not failures_of(cases_of(LABELS, own), attempt, "labels.json")


# ----------------------------------------------------------------------------------------------------- predictions


@pytest.fixture(scope="module")
def predicted(picture_folder):
    """A data set, and predictions that find all of its objects."""
    folder = picture_folder / "predicted"
    folder.mkdir()
    (folder / "labels.json").write_text(json.dumps(LABELS))
    (folder / "data").symlink_to(picture_folder / "data")
    dataset = read_coco(folder, CLASSES)
    return dataset, perfect_results(dataset)


def test_a_field_of_saved_predictions_may_be_anything(predicted, tmp_path):
    dataset, results = predicted

    def attempt(content: object) -> str:
        (tmp_path / "p.json").write_text(json.dumps(content))
        found = load_predictions(tmp_path / "p.json", dataset)
        evaluate_predictions(dataset, found, {})
        if all("bbox" in one for one in found):
            analyse_detections(dataset, found)
        return ""

    own = [place for place in places(results) if place[0] == 0]
    assert not failures_of(cases_of(results, own), attempt, "p.json")
    assert not failures_of(((repr(one), one) for one in ODD_VALUES if type(one) is not object), attempt, "p.json")


def test_a_field_of_the_protocol_beside_predictions_may_be_anything(tmp_path, predicted):
    path = tmp_path / "p.json"
    save_predictions(path, predicted[1], {"size": "64x64", "checkpoint": "34cd"}, {"img_width": 64})
    protocol = tmp_path / "p.json.protocol"
    content = json.loads(protocol.read_text())

    def attempt(changed_content: dict) -> str:
        protocol.write_text(json.dumps(changed_content))
        line = ", ".join(f"{key} {value}" for key, value in load_protocol(path).items())
        require_same_origin(path, "k.ckpt", "34cd", {"img_width": 64})
        return "" if is_one_line(line) else line

    assert not failures_of(cases_of(content, places(content)), attempt, "p.json")


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_a_field_of_what_infer_wrote_may_be_anything_when_it_is_drawn(task, picture_folder, tmp_path):
    box = {"x_min": 2.0, "y_min": 2.0, "width": 6.0, "height": 6.0}
    kind = {"label": 0, "category_id": 9, "name": "cat"}
    found = {"bbox": box, "class": kind, "mask": {"size": [12, 20], "counts": TEXT}, "score": 0.9}
    entry = {"height": 12, "width": 20, "predictions": [found]}
    if task == "classification":
        entry = {"predictions": [{"label": 1, "name": "unknown", "score": 0.9}]}
    content = {str(picture_folder / "data" / "1.png"): entry}

    def attempt(changed_content: dict) -> str:
        (tmp_path / "out.json").write_text(json.dumps(changed_content))
        written, problems = draw_prediction_file(tmp_path / "out.json", tmp_path / "drawn", 0.3)
        return "" if all(map(is_one_line, problems)) and len(written) + len(problems) == len(changed_content) else "?"

    assert not failures_of(cases_of(content, places(content)), attempt, "out.json")


# ------------------------------------------------------------------------------------------------------ MindRecord


@pytest.fixture(scope="module")
def record(predicted, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("record") / "train"
    demo = Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml"
    convert(load_config(demo), predicted[0], folder)
    return folder


@pytest.fixture()
def copied(record, tmp_path) -> Path:
    return Path(shutil.copytree(record, tmp_path / "record"))


@pytest.mark.parametrize("name", ["dataset.json", "shard-1-of-1.mindrecord.done"])
def test_a_field_of_what_stands_beside_a_shard_may_be_anything(name, copied, predicted):
    path, truth = copied / name, scored(predicted[0])
    content = json.loads(path.read_text())

    def attempt(changed_content: dict) -> str:
        path.write_text(json.dumps(changed_content))
        found = scored(read_mindrecord(copied, CLASSES))
        return "" if found == truth or "categories" in str(changed_content) else "other objects"

    own = [place for place in places(content, 4) if place[:2] not in (("other", "info"), ("other", "licenses"))]
    assert not failures_of(cases_of(content, own), attempt, str(copied))


def test_a_field_of_a_shards_index_may_be_anything(copied):
    path = copied / "shard-1-of-1.mindrecord.db"
    original = path.read_bytes()
    values = ["text", "12", b"\0", -1, 0, 1.5, 1e30, 2**62, 7]

    def attempt(case: tuple[str, object]) -> str:
        path.write_bytes(original)
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE INDEXES SET {case[0]} = ? WHERE index_0 = 1", (case[1],))
        grown = os.path.getsize(path)
        done = copied / "shard-1-of-1.mindrecord.done"
        done.write_text(json.dumps(json.loads(done.read_text()) | {"index_bytes": grown}))
        dataset = read_mindrecord(copied, CLASSES)
        with contextlib.suppress(OSError):  # which counts as an image that cannot be read
            dataset.record(1).path.read_bytes()
        return ""

    columns = ["PAGE_ID_BLOB", "PAGE_OFFSET_BLOB", "PAGE_OFFSET_BLOB_END", "index_0", "crc32_0"]
    cases = ((f"{column} = {value!r}", (column, value)) for column in columns for value in values)
    assert not failures_of(cases, attempt, str(copied))


# ------------------------------------------------------------------------------ segmentation lists, class folders

GREY = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20) % 20


def labels_of_odd_kinds(folder: Path) -> list[str]:
    """Names of files that might be taken for labels, most of them made."""
    grey = Image.fromarray(GREY)
    pictures = {
        "one.png": grey,
        "bits.png": Image.fromarray(GREY > 9),
        "colour.png": Image.fromarray(np.stack([GREY] * 3, 2)),
        "float.tif": Image.fromarray(np.float32(GREY)),
        "deep.png": Image.fromarray(np.int32(GREY) * 300),
        "large.png": Image.fromarray(GREY + 20),
        "small.png": Image.fromarray(GREY[:5, :5]),
        "alpha.png": grey.convert("LA"),
        "moving.gif": grey,
        "cut.png": grey,
    }
    for name, picture in pictures.items():
        picture.save(folder / name)
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:-40])
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "folder.png").mkdir()
    (folder / "round.png").symlink_to("round.png")
    return [*pictures, "text.png", "empty.png", "folder.png", "round.png", "nowhere.png"]


def test_a_line_of_a_segmentation_list_may_name_anything(tmp_path):
    files = labels_of_odd_kinds(tmp_path)
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((12, 20, 3), np.uint8))
    labels = label_set(segmentation_config())
    odd = ["", " ", "#", "\t", "a\tb\tc", "\0\t\0", "x" * 300 + "\ty", "image.png", "\u2028\tb", "..\t..", "/\t/"]
    odd += [f"image.png\t{name}" for name in files] + [f"{name}\tone.png" for name in files]

    def attempt(line: str) -> str:
        (tmp_path / "val.lst").write_text(f"image.png\tone.png\n{line}\n", encoding="utf-8")
        dataset = SegmentationDataset(tmp_path, "val", labels)
        if not all(map(is_one_line, label_files(dataset, 255))):
            return "a line that is none"
        maps = []
        for k in range(len(dataset)):
            image, label = dataset.read(k)
            if image is not None and label is not None and image.shape[:2] != label.shape:
                return f"{label.shape} for an image of {image.shape}"
            maps.append((k, label, None if image is None else label))
        result = score_label_maps(dataset, 255, maps)
        return "" if result.confusion.sum() >= GREY.size and all(map(is_one_line, result.unreadable)) else "?"

    assert not failures_of(((line[:40], line) for line in odd), attempt, "val.lst")


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xff\xd8\xff\xe0" * 99, b"\xe9\te"])
def test_a_segmentation_list_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "val.lst").write_bytes(content)
    with pytest.raises(UserError, match="val.lst") as caught:
        SegmentationDataset(tmp_path, "val", label_set(segmentation_config()))
    assert is_one_line(str(caught.value))


def test_a_class_folder_may_hold_anything(tmp_path):
    good = tmp_path / "set" / "ant" / "0.png"
    good.parent.mkdir(parents=True)
    cv2.imwrite(str(good), GREY)
    odd = tmp_path / "set" / "bee"

    def attempt(make) -> str:
        if os.path.lexists(odd):
            odd.unlink() if odd.is_symlink() or not odd.is_dir() else shutil.rmtree(odd)
        make(odd)
        dataset = ImageFolder(tmp_path / "set")
        lines = [*image_folder(dataset), *dataset.notes]
        return "" if dataset.images[0] == (str(good), 0) and all(map(is_one_line, lines)) else "?"

    def within(action):
        def make(folder: Path) -> None:
            folder.mkdir()
            action(folder)

        return make

    makers = {
        "a file": Path.touch,
        "nothing": Path.mkdir,
        "a pipe": os.mkfifo,
        "a link that leads round": lambda path: path.symlink_to("bee"),
        "a link to nothing": lambda path: path.symlink_to("nowhere"),
        "a link to its own folder": lambda path: path.symlink_to("."),
        "a link back": within(lambda one: (one / "up").symlink_to("..")),
        "kinds of files": within(labels_of_odd_kinds),
        "a pipe as an image": within(lambda one: os.mkfifo(one / "a.jpg")),
        "a folder of folders": within(lambda one: (one / "a.jpg" / "b" / "c").mkdir(parents=True)),
        "names that are no text": within(lambda one: (one / "\udce9.jpg").touch()),
        "names of several lines": within(lambda one: (one / "a\nb.jpg").touch()),
        "names that look like endings": within(lambda one: (one / ".jpg").touch()),
    }
    assert not failures_of(makers.items(), attempt, str(tmp_path))
