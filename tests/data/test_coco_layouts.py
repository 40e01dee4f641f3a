"""COCO files wherever a tool or a person puts them: found by themselves, or by the keys that name file and folder."""

import json
import shutil
from pathlib import Path

import pytest

from src.commands.places import inputs_of
from src.data.formats import detection_source, format_name, open_detection
from src.data.formats.coco import read_coco
from src.errors import UserError
from tests.data.tiny import CLASSES, square

NAMES = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3, "val_dataset": ""}


@pytest.fixture()
def original(coco_folder) -> Path:
    return coco_folder([(32, 24), (20, 30)], [square(1, (2, 4, 6, 8), 4), square(2, (1, 1, 5, 5))])


@pytest.fixture()
def lay(original, tmp_path):
    """The set in another layout: the place of its label file, of its images, and how that names them."""

    def make(labels: str, images: str, prefix: str = "", **entry) -> Path:
        root = tmp_path / "root"
        content = json.loads((original / "labels.json").read_text())
        content["images"] = [one | {"file_name": prefix + one["file_name"]} | entry for one in content["images"]]
        (root / labels).parent.mkdir(parents=True, exist_ok=True)
        (root / labels).write_text(json.dumps(content))
        shutil.copytree(original / "data", root / images, dirs_exist_ok=True)
        return root

    return make


def same_objects(dataset, original: Path) -> bool:
    expected = read_coco(original, CLASSES)
    pairs = [(dataset.record(k), expected.record(k)) for k in range(2)]
    same = all(a.objects == b.objects and (a.width, a.height) == (b.width, b.height) for a, b in pairs)
    return same and all(a.path.read_bytes() == b.path.read_bytes() for a, b in pairs) and len(dataset) == 2


@pytest.mark.parametrize(
    ("labels", "images", "prefix", "folder"),
    [
        ("_annotations.coco.json", ".", "", "."),  # Roboflow, a split's own folder
        ("train/_annotations.coco.json", "train", "", "."),  # and the folder above
        ("annotations/instances_default.json", "images", "", "."),  # CVAT
        ("annotations/instances_default.json", "images", "images/", "."),
        ("annotations/instances_Train.json", "images/Train", "", "."),
        ("annotations/instances_train.json", "images", "sub\\", "."),
        ("result.json", "images", "images/", "."),  # Label Studio
        ("result.json", "images", "images\\", "."),
        ("result.json", "images", "../../label-studio/data/media/upload/1/", "."),
        ("result.json", "images", "/data/upload/1/", "."),
        ("labels.json", "data", "", "."),
        ("annotations/instances_train2017.json", "train2017", "", "."),
        ("annotations/instances_train2017.json", "train2017", "", "train2017"),
    ],
)
def test_what_tools_export_is_found_by_itself(original, lay, make_config, labels, images, prefix, folder):
    root = lay(labels, images, prefix)
    cfg = make_config(**NAMES, train_dataset=root / folder)
    assert format_name(cfg, "train") == "coco"
    dataset = open_detection(cfg, "train")
    assert dataset.annotation_file == root / labels and same_objects(dataset, original)


def test_each_split_of_an_exported_tree_is_its_own(original, lay, make_config):
    lay("train/_annotations.coco.json", "train")
    root = lay("valid/_annotations.coco.json", "valid")
    cfg = make_config(**NAMES | {"train_dataset": root, "val_dataset": root})
    for split, folder in (("train", "train"), ("val", "valid")):
        dataset = open_detection(cfg, split)
        assert dataset.annotation_file.parent.name == folder and dataset.record(0).path.parent.name == folder


@pytest.mark.parametrize(
    ("labels", "images", "keys"),
    [
        ("x/y.json", "z/w", {"annotations": "x/y.json", "images": "z/w"}),
        ("y.json", ".", {"annotations": "y.json"}),
        ("y.json", "images", {"annotations": "y.json"}),
        ("annotations/mine.json", "mine", {"annotations": "annotations/mine.json"}),
        ("x/y.json", "w", {"annotations": "x/y.json", "dataset": "w"}),
        ("labels.json", "w", {"images": "w", "dataset": "."}),
    ],
)
def test_keys_name_the_label_file_and_the_images(original, lay, make_config, labels, images, keys):
    root = lay(labels, images)
    named = {f"val_{key}": root / value for key, value in keys.items()}
    cfg = make_config(**NAMES | {"val_dataset": ""} | named)
    assert same_objects(open_detection(cfg, "val"), original) and Path(detection_source(cfg, "val")).exists()
    read = {path for _, path in inputs_of(cfg).files + inputs_of(cfg).folders}
    assert set(named.values()) <= read  # no output takes their place


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"annotations": "no.json"}, "val_annotations .*no.json is no file that is there"),
        ({"annotations": "."}, "val_annotations .* is no file that is there"),
        ({"annotations": "y.json", "images": "nowhere"}, "val_images .*nowhere is no folder that is there"),
        ({"images": "."}, "val_dataset is empty"),
        ({"dataset": "."}, "holds no labels of a known format; looked for coco"),
        ({"annotations": "y.json", "data_type": "mindrecord"}, "val_annotations names COCO data, and val_data_type is"),
    ],
)
def test_keys_that_lead_nowhere_are_named(lay, make_config, keys, why):
    root = lay("y.json", ".")
    named = {f"val_{key}": root / value if key != "data_type" else value for key, value in keys.items()}
    with pytest.raises(UserError, match=why) as caught:
        open_detection(make_config(**NAMES | named), "val")
    assert "\n" not in str(caught.value)


def test_a_named_label_file_leads_to_no_image_outside_of_the_named_folder(lay, make_config, tmp_path):
    root = lay("x/y.json", "z/w", prefix="../../../")
    shutil.move(root / "z" / "w" / "1.png", tmp_path / "1.png")
    cfg = make_config(**NAMES, val_annotations=root / "x" / "y.json", val_images=root / "z" / "w")
    with pytest.raises(UserError, match=r"y.json: image 1 names .*outside of the data set's folder .*w; allow_outside"):
        open_detection(cfg, "val")
    elsewhere = shutil.move(root / "x", tmp_path / "x")
    cfg = make_config(**NAMES, val_annotations=Path(elsewhere) / "y.json", val_images=root / "z" / "w")
    with pytest.raises(UserError, match="outside of the data set's folder"):  # not the folder that holds both
        open_detection(cfg, "val")


@pytest.mark.parametrize("text", ["", "[]", '[{"id": 1, "images": []}]', '{"result": 1}', "\0", "{"])
def test_another_result_json_is_no_label_file(tmp_path, make_config, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match="holds no labels of a known format"):
        open_detection(make_config(**NAMES, train_dataset=tmp_path), "train")


def test_an_entry_without_a_size_has_that_of_its_image(original, lay, make_config):
    root = lay("result.json", "images", "images/", width=None, height=None)
    assert same_objects(open_detection(make_config(**NAMES, train_dataset=root), "train"), original)
    content = json.loads((root / "result.json").read_text())
    for entry in content["images"]:
        del entry["width"], entry["height"]
    (root / "result.json").write_text(json.dumps(content))
    assert same_objects(open_detection(make_config(**NAMES, train_dataset=root), "train"), original)
    (root / "images" / "2.png").write_bytes(b"")
    with pytest.raises(UserError, match="result.json: image 2 has width None; it must be a number of pixels"):
        open_detection(make_config(**NAMES, train_dataset=root), "train")
