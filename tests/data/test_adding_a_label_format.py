"""The page docs/adding_a_label_format.md, followed word by word: its format trains and evaluates like COCO's."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from src.config import EXTRA_KEYS, Config
from src.config.choices import DATA_TYPES
from src.data import formats
from src.data.pipeline import COLUMNS, build_eval_loader
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions, ground_truth
from src.tasks import TASKS
from tests.data.tiny import CLASSES
from tests.page_blocks import add_module, blocks

DETECTION = TASKS["detection"]
ROWS = """
1.png;32;24;dog;2;4;8;12
1.png;32;24;cat;10;4;22;12
2.png;30;40;cat;1;2;21;22
2.png;30;40;dog;5;5;5;8
2.png;30;40;cow;5;5;9;8
4.png;20;20;dog;0;0;5;5
"""


@pytest.fixture()
def csv_config(tmp_path, monkeypatch, make_config, added) -> Config:
    """The page's code in its places, a file of its format, and a configuration with its name and its key."""
    header, reader, line, keys = blocks("adding_a_label_format.md")
    module = add_module("src.data.formats.csv_boxes", reader, tmp_path, monkeypatch)
    for name, entry in eval("{" + line.strip() + "}", {**vars(formats), "csv_boxes": module}).items():
        monkeypatch.setitem(formats.FORMATS, name, entry)
        added(DATA_TYPES, name)
    added(EXTRA_KEYS, add_module("src.config.csv_keys", keys, tmp_path, monkeypatch).CsvKeys)

    for name, (width, height) in {"1.png": (32, 24), "2.png": (30, 40)}.items():
        picture = np.random.RandomState(width).randint(0, 256, (height, width, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    columns = header.splitlines()[0].replace(",", ";")
    (tmp_path / "labels.csv").write_text(columns + ROWS)
    names = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3}
    data = {f"{split}_{what}": value for split in ("train", "val") for what, value in
            (("dataset", tmp_path), ("data_type", "csv"))}  # fmt: skip
    return make_config(**names, **data, csv_separator=";")


def test_it_gives_training_and_evaluation_batches(csv_config):
    dataset = DETECTION.open(csv_config, "train")
    assert formats.detection_source(csv_config, "val") == str(dataset.annotation_file.parent) and len(dataset) == 3
    assert dataset.report.missing_files == ["4.png"] and dataset.training_indices(True) == [0, 1]
    assert dataset.report.degenerate_boxes == ["line 5"] and dataset.report.unknown_references == ["line 6"]
    batch = dict(zip(COLUMNS, DETECTION.make_loader(csv_config, 0, 1, 0).source[0]))
    first = int(np.flatnonzero(batch["gt_valid"].sum(1) == 2)[0])  # the image with two objects
    assert batch["gt_labels"][first].tolist() == [2, 1, 0]
    assert batch["gt_boxes"][first].tolist() == [[4, 8, 16, 24], [20, 8, 44, 24], [0, 0, 0, 0]]
    masks = np.unpackbits(batch["gt_masks"], axis=-1)[first]
    assert masks[0, 8:24, 4:16].all() and masks[0].sum() == 16 * 12 and not masks[2].any()
    (evaluated, rest) = build_eval_loader(csv_config, DETECTION.open(csv_config, "val"))
    assert evaluated.image_ids == [1, 2] and evaluated.readable == [True, True]
    assert rest.image_ids == [3, -1] and rest.readable == [False, False]


def test_it_is_evaluated_by_a_label_file_made_of_its_records(csv_config, capsys):
    dataset = DETECTION.open(csv_config, "val")
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


def test_auto_tells_it_by_its_file(csv_config, make_config, tmp_path):
    cfg = make_config(train_dataset=tmp_path, val_dataset=tmp_path)
    assert cfg.train_data_type == "auto" and formats.format_name(cfg, "train") == "csv"


def test_check_looks_at_it(csv_config):
    sections = {title: list(lines) for title, lines in DETECTION.inspect(csv_config)}
    assert list(sections) == ["training data", "validation data", "anchors"]
    assert "labels.csv" in sections["training data"][0] and "3 images" in sections["training data"][0]


def test_its_key_is_heard_and_a_file_that_is_none_is_named(csv_config, make_config, tmp_path):
    keys = {"train_dataset": tmp_path, "train_data_type": "csv"}
    with pytest.raises(UserError, match="labels.csv, line 2: not filename, class, width, height"):
        DETECTION.open(make_config(**keys), "train")
    with pytest.raises(UserError, match="csv_separator is 'x'"):
        make_config(**keys, csv_separator="x")
    with pytest.raises(UserError, match="elsewhere/labels.csv does not exist"):
        DETECTION.open(make_config(**keys | {"train_dataset": tmp_path / "elsewhere"}), "train")
