"""Predictions as label files: read back as a data set, and evaluated against themselves."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.commands.infer import infer
from src.config import load_config
from src.data.formats import open_detection
from src.data.masks import to_bitmap
from src.data.synthetic.coco import CATEGORY_IDS, write_subset
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.inference import find
from src.inference.paste import paste_masks
from src.inference.results import ImagePrediction
from src.inference.unfinished import part_path
from src.tasks import TASKS
from src.tasks.detection_scores import evaluate_saved

DEMO = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml")


def config(**values):
    return load_config(DEMO, [f"--{name}={value}" for name, value in values.items()])


def predictions(dataset) -> dict[str, ImagePrediction]:
    """By the image's name, what a network could give: each object's box moved a little, its mask in 28 x 28 values."""
    rng, found = np.random.RandomState(0), {}
    for index in range(len(dataset)):
        record = dataset.record(index)
        objects = [item for item in record.objects if not item.crowd]
        boxes, masks = np.float32([item.box for item in objects]).reshape(-1, 4), []
        boxes += np.tile(boxes[:, 2:] - boxes[:, :2], 2) * rng.uniform(-0.06, 0.06, boxes.shape)
        boxes = boxes.clip(0, [record.width, record.height] * 2).astype(np.float32)
        for item, (x1, y1, x2, y2) in zip(objects, boxes):
            truth = to_bitmap(item.segmentation, record.height, record.width).astype(np.float32)
            across, down = np.linspace(x1, x2, 28) - 0.5, np.linspace(y1, y2, 28) - 0.5
            grid = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
            masks.append(cv2.remap(truth, *grid, cv2.INTER_LINEAR) + rng.normal(0, 0.2, (28, 28)))
        labels, scores = np.int32([item.label for item in objects]), rng.uniform(0.3, 1, len(objects))
        coded = paste_masks(np.float32(masks).reshape(-1, 28, 28), boxes, record.height, record.width, 0.5)
        order = np.argsort(-scores)
        coded = [coded[k] for k in order]
        size = record.height, record.width
        found[record.path.name] = ImagePrediction(*size, boxes[order], labels[order], scores[order], coded)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("labels")
    write_subset(root / "set", 12, 160, np.random.RandomState(5))
    return root / "set"


@pytest.fixture()
def run(place, monkeypatch):
    """run(kind, out, ...): what infer.py does with the network's predictions; has_masks of the detector."""
    made = predictions(open_detection(config(val_dataset=place), "val"))

    def run(kind: str, out: Path, has_masks: bool = True, stop_after: int = 99, pred_input=place / "data", **keys):
        class Made:
            def __init__(self, *_):
                pass

            def predict_files(self, paths):
                for number, path in enumerate(paths):
                    if number == stop_after:
                        raise KeyboardInterrupt
                    one = made.get(Path(path).name)
                    if one is not None and not has_masks:
                        one = ImagePrediction(one.height, one.width, one.boxes, one.labels, one.scores, None)
                    yield str(path), one

        monkeypatch.setattr(find, "make_predictor", Made)
        monkeypatch.setattr(type(TASKS["detection"]), "load", lambda self, cfg: None)
        monkeypatch.setattr("src.commands.infer.compile_once", lambda *_: None)
        places = {"pred_input": pred_input, "pred_output": out, "val_dataset": place}
        infer(config(infer_format=kind, device_target="CPU", **{**places, **keys}))
        return out

    run.made = made
    return run


@pytest.mark.parametrize("has_masks", [True, False])
def test_as_coco_they_are_a_data_set_on_which_they_score_one(place, run, tmp_path, has_masks, capsys):
    out = run("coco", tmp_path / "out", has_masks)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert sorted(path.name for path in out.iterdir()) == ["labels.json", "results.json"]
    keys = {"val_annotations": out / "labels.json", "val_images": place / "data"}
    cfg = config(prediction_path=out / "results.json", **keys)
    metrics = evaluate_saved(cfg, open_detection(cfg, "val"))
    names = ["bbox_mAP", "bbox_AP50", "bbox_AR100"] + ["seg_mAP", "seg_AP75", "seg_AR100"] * has_masks
    assert [metrics[name] for name in names] == pytest.approx([1.0] * len(names), abs=1e-9)
    assert ("seg_mAP" in metrics) == has_masks

    content = json.loads((out / "labels.json").read_text())
    assert [one["file_name"] for one in content["images"]] == sorted(run.made)
    sizes = {one["file_name"]: (one["height"], one["width"]) for one in content["images"]}
    assert sizes == {name: (one.height, one.width) for name, one in run.made.items()}
    original = json.loads((place / "labels.json").read_text())
    assert content["categories"] == [{"id": one["id"], "name": one["name"]} for one in original["categories"]]
    first, *_ = content["annotations"]
    assert set(first) == {"id", "image_id", "category_id", "bbox", "score", "area", "iscrowd"} | (
        {"segmentation"} if has_masks else set()
    )
    polygons = [one["segmentation"] for one in content["annotations"]] if has_masks else []
    assert all(isinstance(polygon, list) for one in polygons for polygon in one)


def labelme_metrics(out: Path, results: list[dict], names: dict[int, str], **keys) -> dict[str, float]:
    """Of COCO results against the labelme files in a folder."""
    dataset = open_detection(config(val_data_type="labelme", val_dataset=out, **keys), "val")
    ids = {Path(own).name: own for own in dataset.image_ids}
    of_class = dict(zip(dataset.classes, dataset.category_ids))
    original = {own: name for name, own in CATEGORY_IDS.items()}
    results = [
        one | {"image_id": ids[names[one["image_id"]]], "category_id": of_class[original[one["category_id"]]]}
        for one in results
    ]
    assert [line for line in dataset.report.lines() if "have no mask" not in line] == [] and len(dataset) == 12
    return evaluate_predictions(dataset, results, {})


def test_as_labelme_files_they_are_a_data_set_on_which_they_score_what_polygons_leave(place, run, tmp_path, capsys):
    coco = run("coco", tmp_path / "coco")
    results = json.loads((coco / "results.json").read_text())
    names = {one["id"]: one["file_name"] for one in json.loads((coco / "labels.json").read_text())["images"]}
    out = run("labelme", tmp_path / "labelme")
    assert sorted(path.name for path in out.iterdir()) == [f"{Path(name).stem}.json" for name in sorted(run.made)]
    metrics = labelme_metrics(out, results, names, allow_outside=1)
    assert metrics["bbox_AP50"] == pytest.approx(1.0) and metrics["seg_AP75"] == pytest.approx(1.0)
    assert metrics["seg_mAP"] >= 0.99

    name = sorted(run.made)[0]
    content = json.loads((out / f"{Path(name).stem}.json").read_text())
    assert (out / content["imagePath"]).resolve() == (place / "data" / name).resolve()
    size = run.made[name].width, run.made[name].height
    assert (content["imageData"], content["imageWidth"], content["imageHeight"]) == (None, *size)
    shape = content["shapes"][0]
    assert shape["shape_type"] == "polygon" and shape["description"] == f"score {run.made[name].scores[0]:.3f}"
    boxes = run("labelme", tmp_path / "boxes", has_masks=False)
    shapes = json.loads((boxes / f"{Path(name).stem}.json").read_text())["shapes"]
    assert {one["shape_type"] for one in shapes} == {"rectangle"} and len(shapes) == len(run.made[name])
    for one in results:
        one.pop("segmentation")
    assert labelme_metrics(boxes, results, names, allow_outside=1)["bbox_mAP"] == pytest.approx(1.0)


def test_beside_the_images_they_need_no_key_and_nothing_is_replaced(place, run, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in (place / "data").iterdir():
        os.link(path, images / path.name)
    run("labelme", images, pred_input=images)
    dataset = open_detection(config(val_data_type="labelme", val_dataset=images), "val")
    assert sum(len(dataset.record(k).objects) for k in range(12)) == sum(map(len, run.made.values()))
    content = {path: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(UserError, match=r"\.json is there already: labels are not replaced, give a new folder"):
        run("labelme", images, pred_input=images)
    with pytest.raises(UserError, match="is a file; give the name of a folder for the label files"):
        run("coco", next(images.glob("*.json")), pred_input=images)
    assert {path: path.read_bytes() for path in images.iterdir()} == content


def test_a_run_that_was_stopped_goes_on_and_takes_what_a_killed_one_has_written(run, tmp_path):
    whole = run("labelme", tmp_path / "whole")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run("labelme", out, stop_after=7)
    assert part_path(out).exists() and not list(out.iterdir())
    first, *_ = sorted(path.name for path in whole.iterdir())
    (out / first).write_bytes((whole / first).read_bytes())  # as if it had been killed while it wrote
    run("labelme", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }
    assert not part_path(out).exists()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run("labelme", other, stop_after=7)
    (other / first).write_text("somebody's")
    with pytest.raises(UserError, match=f"{first} is there already"):
        run("labelme", other)
    assert [path.read_text() for path in other.iterdir()] == ["somebody's"] and part_path(other).exists()


ODD = ['a "b" <i>#%.png', "tab\tand\nline.png", "ünï.png"]
RAW = os.fsdecode(b"caf\xe9.png")


def test_odd_names_folders_thin_boxes_empty_masks_and_unreadable_images(run, tmp_path, capsys):
    images = tmp_path / "tree"
    (images / "in").mkdir(parents=True)
    made = next(iter(run.made.values()))
    blank = paste_masks(np.zeros((1, 28, 28), np.float32), np.float32([[0, 0, 9, 9]]), 160, 160, 0.5)[0]
    odd = ImagePrediction(
        160, 160, np.float32([[5, 5, 5.5, 90], [10, 10, 60, 40], [-20, 10, 30, 40]]), np.int32([0, 1, 2]),
        np.float32([0.9, 0.8, 0.7]), [made.masks[0], blank, blank],
    )  # fmt: skip
    for name in ODD:
        cv2.imencode(".png", np.zeros((160, 160, 3), np.uint8))[1].tofile(os.fsencode(images / "in" / name))
        run.made[name] = odd
    (images / "broken.png").write_bytes(b"no image")
    out = run("coco", tmp_path / "coco", pred_input=images, recursive=1)
    printed = capsys.readouterr()
    assert "3 predictions are thinner than a pixel, or lie beside their image: left out" in printed.out + printed.err
    assert "1 images cannot be read" in printed.out + printed.err
    cfg = config(val_annotations=out / "labels.json", val_images=images)
    dataset = open_detection(cfg, "val")
    assert {os.fsencode(dataset.record(k).path.name) for k in range(3)} == {os.fsencode(one) for one in ODD}
    assert all(len(dataset.record(k).objects) == 2 and not dataset.record(k).objects[0].segmentation for k in range(3))
    out = run("labelme", tmp_path / "labelme", pred_input=images, recursive=1)
    assert len(list((out / "in").iterdir())) == 3
    shapes = json.loads((out / "in" / "ünï.json").read_text())["shapes"]
    assert [one["points"] for one in shapes] == [[[10, 10], [60, 40]], [[0, 10], [30, 40]]]


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_an_image_whose_name_is_no_text_is_named_and_left_out_and_the_files_can_be_learned_from(
    place, run, tmp_path, kind, capsys
):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    name, *_ = sorted(run.made)
    for own in (name, RAW):
        os.link(place / "data" / name, images / own)
    run.made[RAW] = run.made[name]
    run(kind, out, pred_input=images)
    shown = "1 images have a name that is no text in UTF-8, which label files cannot hold: left out: caf\\udce9.png"
    assert shown in "".join(capsys.readouterr())
    keys = {"val_annotations": out / "labels.json", "val_images": images}
    if kind == "labelme":
        keys = {"val_data_type": "labelme", "val_dataset": out, "allow_outside": 1}
    dataset = open_detection(config(**keys), "val")
    assert [dataset.record(k).path.name for k in range(len(dataset))] == [name]
    (images / name).unlink()
    with pytest.raises(UserError, match="1 images have a name that is no text .*, and no others are there: infer_for"):
        run(kind, tmp_path / "none", pred_input=images)
    assert not (tmp_path / "none").exists()
    run("json", tmp_path / "found.json", pred_input=images)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [Path(one).name for one in found] == [RAW]


def test_a_folder_whose_name_is_no_text_is_named_by_labelme_files_elsewhere_alone(place, run, tmp_path):
    images = tmp_path / RAW
    shutil.copytree(place / "data", images)
    assert len(list(run("coco", tmp_path / "coco", pred_input=images).iterdir())) == 2
    with pytest.raises(UserError, match="12 images have a name that is no text in UTF-8"):
        run("labelme", tmp_path / "labelme", pred_input=images)
    assert len(list(run("labelme", images, pred_input=images).glob("*.json"))) == 12


def test_the_json_file_is_the_usual_output_and_as_it_was(run, tmp_path):
    assert config().infer_format == "json"
    run("json", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    assert [Path(path).name for path in content] == sorted(run.made)
    assert (tmp_path / "out.json").read_text() == json.dumps(content, indent=1)


def test_the_least_score_is_that_of_infer_score_thr(run, tmp_path):
    out = run("coco", tmp_path / "out", infer_score_thr=0.7)
    scores = [one["score"] for one in json.loads((out / "results.json").read_text())]
    assert len(scores) == sum((one.scores >= 0.7).sum() for one in run.made.values()) and min(scores) >= 0.7
