"""A label format from outside is a reader and a line in `FORMATS`: it trains and evaluates like COCO's own files."""

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.config import Config
from src.data.formats import FORMATS, Format, detection_source, open_detection
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex, ImageRecord, ObjectRecord, Report, clipped_box, outline
from src.data.pipeline import COLUMNS, build_eval_loader, build_train_loader
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions, ground_truth
from tests.data.tiny import CLASSES, square

ROWS = """
1.png;2;4;6;8;dog
1.png;10;4;12;8;cat
2.png;1;2;20;20;cat
2.png;5;5;0;3;dog
2.png;5;5;4;3;cow
4.png;0;0;5;5;dog
"""


def read_csv(cfg: Config, split: str) -> DetectionIndex:
    """Boxes without masks: a line `file;x;y;w;h;class` each, images in the folder of the file."""
    path, report, objects = Path(FORMATS["csv"].source(cfg, split)), Report(), {}
    classes = cfg.coco_classes[1:]
    with open(path, newline="", encoding="utf-8") as file:
        for number, (name, *sides, kind) in enumerate(filter(None, csv.reader(file, delimiter=cfg.csv_separator)), 1):
            found = objects.setdefault(name, [])
            image = cv2.imread(str(path.parent / name))
            height, width = image.shape[:2] if image is not None else (1000, 1000)
            box = clipped_box([float(side) for side in sides], width, height)
            if kind not in classes:
                report.unknown_references.append(f"line {number}")
            elif box is None:
                report.degenerate_boxes.append(f"line {number}")
            else:
                found.append((width, height, ObjectRecord(box, classes.index(kind), False, outline(box))))
    records = [
        ImageRecord(path.parent / name, image_id, *found[0][:2], tuple(item for _, _, item in found))
        for image_id, (name, found) in enumerate(objects.items(), start=1)
    ]
    return DetectionIndex(path, classes, records, report=report)


@pytest.fixture()
def csv_config(tmp_path, monkeypatch, make_config) -> Config:
    """The format in its dict, a file of it, and a configuration with its name and a key of its own."""
    monkeypatch.setitem(FORMATS, "csv", Format(read_csv))
    for name, (width, height) in {"1.png": (32, 24), "2.png": (30, 40)}.items():
        picture = np.random.RandomState(width).randint(0, 256, (height, width, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "labels.csv").write_text(ROWS.lstrip())
    names = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3}
    paths = {f"{split}_dataset": tmp_path / "labels.csv" for split in ("train", "val")}
    cfg = dataclasses.replace(make_config(**names, **paths), train_data_type="csv", val_data_type="csv")
    object.__setattr__(cfg, "csv_separator", ";")
    return cfg


def test_a_format_from_outside_gives_training_and_evaluation_batches(csv_config):
    dataset = open_detection(csv_config, "train")
    assert detection_source(csv_config, "val") == str(dataset.annotation_file) and len(dataset) == 3
    assert dataset.report.missing_files == ["4.png"] and dataset.training_indices(True) == [0, 1]
    assert dataset.report.degenerate_boxes == ["line 4"] and dataset.report.unknown_references == ["line 5"]
    loader = build_train_loader(csv_config, dataset)
    batch = dict(zip(COLUMNS, loader.source[0]))
    first = int(np.flatnonzero(batch["gt_valid"].sum(1) == 2)[0])  # the image with two objects
    assert batch["gt_labels"][first].tolist() == [2, 1, 0]
    assert batch["gt_boxes"][first].tolist() == [[4, 8, 16, 24], [20, 8, 44, 24], [0, 0, 0, 0]]
    masks = np.unpackbits(batch["gt_masks"], axis=-1)[first]
    assert masks[0, 8:24, 4:16].all() and masks[0].sum() == 16 * 12 and not masks[2].any()
    (evaluated, rest) = build_eval_loader(csv_config, open_detection(csv_config, "val"))
    assert evaluated.image_ids == [1, 2] and evaluated.readable == [True, True]
    assert rest.image_ids == [3, -1] and rest.readable == [False, False]


def test_a_format_from_outside_is_evaluated_by_a_label_file_made_of_its_records(csv_config, capsys):
    dataset = open_detection(csv_config, "val")
    truth = ground_truth(dataset)
    kinds = {number: category["name"] for number, category in truth.cats.items()}
    assert [kinds[one["category_id"]] for one in truth.dataset["annotations"]] == ["dog", "cat", "cat", "dog"]
    assert [one["bbox"] for one in truth.dataset["annotations"]][:2] == [[2, 4, 6, 8], [10, 4, 12, 8]]
    assert [one["area"] for one in truth.dataset["annotations"]][:2] == [48, 96]
    results = [
        {
            "image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.9,
            "segmentation": encoded(truth.annToMask(one)),
        }
        for one in truth.dataset["annotations"]
    ]  # fmt: skip
    metrics = evaluate_predictions(dataset, results, {})
    assert metrics["bbox_mAP"] == metrics["seg_mAP"] == 1
    assert "Protocol: images 3" in capsys.readouterr().out
    missed = evaluate_predictions(dataset, results[1:], {})
    assert 0 < missed["bbox_mAP"] < 1


def encoded(mask: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask))
    return {"size": code["size"], "counts": code["counts"].decode()}


def test_the_label_file_made_of_the_records_of_a_coco_file_has_the_same_objects(coco_folder):
    crowd = square(2, (8, 8, 16, 8), 9, iscrowd=1, segmentation={"size": [24, 32], "counts": [24 * 32]})
    annotations = [square(1, (2, 4, 6, 8), 4), crowd, square(2, (1, 1, 5, 5))]
    original = read_coco(coco_folder([(32, 24)] * 2, annotations), CLASSES)
    records = [original.record(k) for k in range(2)]
    made = DetectionIndex(original.annotation_file, CLASSES, records, original.category_ids)
    keys = ("image_id", "category_id", "bbox", "iscrowd", "segmentation")
    ours, theirs = (
        [[one[key] for key in keys] for one in index.coco.dataset["annotations"]] for index in (made, original)
    )
    assert ours == theirs
    for image_id in (1, 2):
        assert made.coco.imgs[image_id] == original.coco.imgs[image_id]
    assert made.coco.cats == original.coco.cats and made.report == original.report


def test_an_unknown_format_is_an_error_that_names_the_key_and_the_formats(make_config):
    cfg = dataclasses.replace(make_config(), val_data_type="voc")
    with pytest.raises(UserError, match="val_data_type is 'voc'; it must be one of coco, mindrecord"):
        open_detection(cfg, "val")


def test_two_images_of_one_id_are_an_error(tmp_path):
    record = ImageRecord(tmp_path / "1.png", 5, 8, 8, ())
    with pytest.raises(UserError, match="labels.csv: two images have the same id"):
        DetectionIndex(tmp_path / "labels.csv", CLASSES, [record, record])


def test_a_segmentation_that_is_none_of_cocos_is_named_when_the_data_are_evaluated(tmp_path):
    record = ImageRecord(tmp_path / "1.png", 5, 8, 8, (ObjectRecord((1, 1, 5, 5), 0, False, None),))
    with pytest.raises(UserError, match="labels.csv: an object of 1.png: segmentation is neither polygons nor RLE"):
        ground_truth(DetectionIndex(tmp_path / "labels.csv", CLASSES, [record]))


@pytest.mark.parametrize(
    ("box", "expected"),
    [((2, 3, 4, 5), (2, 3, 6, 8)), ((-2, 3, 40, 50), (0, 3, 32, 24)), ((2, 3, 0.5, 5), None), ((33, 3, 4, 5), None)],
)
def test_boxes_are_clipped_to_the_image_and_degenerate_ones_are_none(box, expected):
    assert clipped_box(box, 32, 24) == expected
