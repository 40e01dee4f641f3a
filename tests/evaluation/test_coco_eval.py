import contextlib
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex, ImageRecord, ObjectRecord, outline
from src.evaluation.coco_eval import STATISTICS, evaluate_predictions, format_protocol, score_predictions
from tests.evaluation.tiny import detection, make_dataset

COCO_LABELS = Path(__file__).parents[1] / "data_files" / "coco_validation_labels.json.gz"


def perfect(dataset) -> list[dict]:
    return [
        detection(one["image_id"], one["category_id"], one["bbox"], 0.9) for one in dataset.coco.dataset["annotations"]
    ]


def pycocotools_metrics(dataset, results: list[dict]) -> dict[str, float]:
    """Its own metrics of boxes and masks, by the names that they have here."""
    truth = COCO()
    truth.dataset = dataset.coco.dataset
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return direct_metrics(truth, results)


def direct_metrics(truth: COCO, results: list[dict]) -> dict[str, float]:
    metrics = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for kind, prefix, other in (("bbox", "bbox", "segmentation"), ("segm", "seg", "bbox")):
            found = truth.loadRes([{k: v for k, v in one.items() if k != other} for one in results])
            direct = COCOeval(truth, found, kind)
            direct.evaluate()
            direct.accumulate()
            direct.summarize()
            metrics |= {f"{prefix}_{name}": value for name, value in zip(STATISTICS, direct.stats.tolist())}
    return metrics


def test_perfect_predictions_score_one(tiny_dataset, capsys):
    metrics = evaluate_predictions(tiny_dataset, perfect(tiny_dataset), {"size": "64x64"})
    assert metrics["bbox_mAP"] == pytest.approx(1) and metrics["seg_mAP"] == pytest.approx(1)
    assert metrics["bbox_AP50"] == pytest.approx(1) and metrics["seg_AR100"] == pytest.approx(1)
    printed = capsys.readouterr().out
    assert "Bbox eval result: " in printed and "Segmentation eval result: " in printed
    assert "bbox_mAP: 1.0000" in printed and "segm_mAP: 1.0000" in printed
    assert printed.count("Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all") == 2
    assert "Protocol: images 3, size 64x64" in printed


def test_no_predictions_score_zero_and_still_print_the_tables(tiny_dataset, capsys):
    metrics = evaluate_predictions(tiny_dataset, [], {})
    assert metrics["bbox_mAP"] == 0 and metrics["seg_mAP"] == 0
    printed = capsys.readouterr().out
    assert printed.count("Average Recall") == 12 and "bbox_mAP: 0.0000" in printed


def test_without_ground_truth_metrics_are_minus_one_and_it_is_said(capsys):
    dataset = make_dataset([])
    metrics = evaluate_predictions(dataset, [detection(11, 7, (0, 0, 9, 9), 0.5)], {})
    assert metrics["bbox_mAP"] == -1 and metrics["seg_mAP"] == -1
    assert "no ground-truth object" in capsys.readouterr().out
    assert evaluate_predictions(dataset, [], {})["bbox_mAP"] == -1


def test_images_without_predictions_count(tiny_dataset):
    # Image 12 holds two of the three squares: finding only image 11's gives recall 1/3, so precision 1 at 34 of the
    # 101 recall points; the disc is perfect.
    found = [one for one in perfect(tiny_dataset) if one["image_id"] == 11]
    assert evaluate_predictions(tiny_dataset, found, {})["bbox_mAP"] == pytest.approx((34 / 101 + 1) / 2)


def test_class_table_follows_the_class_list_not_the_order_of_ids(tiny_dataset, capsys):
    found = [one for one in perfect(tiny_dataset) if one["category_id"] == 3]
    evaluate_predictions(tiny_dataset, found, {})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["square", "3", "0.000", "0.000"] in rows
    assert ["disc", "1", "1.000", "1.000"] in rows
    assert ["bar", "0", "-", "-"] in rows


def test_detections_inside_a_crowd_are_not_errors():
    dataset = make_dataset([(11, 7, (0, 0, 20, 20), False), (11, 7, (40, 40, 60, 60), True)])
    results = [detection(11, 7, (50, 50, 10, 10), 0.95), detection(11, 7, (0, 0, 20, 20), 0.9)]
    metrics = evaluate_predictions(dataset, results, {})
    assert metrics["bbox_mAP"] == pytest.approx(1) and metrics["seg_mAP"] == pytest.approx(1)


def test_optional_annotation_fields_may_be_missing(tiny_dataset):
    results = perfect(tiny_dataset)
    for annotation in tiny_dataset.coco.dataset["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    metrics = evaluate_predictions(tiny_dataset, results, {})
    assert metrics["bbox_mAP"] == pytest.approx(1) and metrics["seg_mAP"] == pytest.approx(1)


def test_an_object_of_id_zero_can_be_found():
    dataset = make_dataset([(11, 7, (0, 0, 20, 20), False)])
    dataset.coco.dataset["annotations"][0]["id"] = 0
    assert evaluate_predictions(dataset, perfect(dataset), {})["bbox_mAP"] == pytest.approx(1)


def test_an_object_without_a_box_is_one_that_nothing_finds(tiny_dataset):
    results = perfect(tiny_dataset)
    del tiny_dataset.coco.dataset["annotations"][1]["bbox"]  # the only disc
    assert evaluate_predictions(tiny_dataset, results, {})["bbox_mAP"] == pytest.approx(0.5)


def test_evaluation_changes_neither_data_set_nor_results(tiny_dataset):
    polygon = [[10, 10, 50, 10, 50, 50, 10, 50]]
    tiny_dataset.coco.dataset["annotations"][0]["segmentation"] = polygon
    results = perfect(tiny_dataset)
    before = [sorted(one) for one in results]
    first = evaluate_predictions(tiny_dataset, results, {})
    assert tiny_dataset.coco.dataset["annotations"][0]["segmentation"] == polygon
    assert [sorted(one) for one in results] == before
    assert evaluate_predictions(tiny_dataset, results, {}) == first


def test_metrics_are_those_of_pycocotools_used_directly(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "labels.json").write_bytes(gzip.decompress(COCO_LABELS.read_bytes()))
    truth = COCO(str(tmp_path / "labels.json"))
    rng = np.random.default_rng(0)
    results = []
    for one in truth.dataset["annotations"]:
        if rng.random() < 0.7 and not one["iscrowd"]:
            code = truth.annToRLE(one)
            box = np.asarray(one["bbox"]) * rng.uniform(0.9, 1.1, 4)
            code = {"size": code["size"], "counts": code["counts"].decode()}
            results.append(
                {k: one[k] for k in ("image_id", "category_id")}
                | {"bbox": box.tolist(), "score": float(rng.random()), "segmentation": code}
            )
    dataset = read_coco(tmp_path, [truth.cats[i]["name"] for i in truth.getCatIds()])
    assert [line for line in dataset.report.lines() if "image files are missing" not in line] == []
    metrics = evaluate_predictions(dataset, results, {})
    assert metrics == direct_metrics(truth, results)
    assert 0.1 < metrics["bbox_mAP"] < 0.9 and 0.1 < metrics["seg_mAP"] < 0.95


def test_protocol_is_one_line():
    protocol = {"images": 80, "size": "512x512", "flip": "off", "config": "12ab", "checkpoint": "34cd"}
    expected = "Protocol: images 80, size 512x512, flip off, config 12ab, checkpoint 34cd"
    assert format_protocol(protocol) == expected


@pytest.mark.parametrize(("kept", "prefix", "other"), [("bbox", "bbox", "seg"), ("segmentation", "seg", "bbox")])
def test_boxes_alone_and_masks_alone_are_scored_by_what_is_there(tiny_dataset, capsys, kept, prefix, other):
    shapes = {"bbox", "segmentation"}
    results = [{k: v for k, v in one.items() if k == kept or k not in shapes} for one in perfect(tiny_dataset)]
    metrics = evaluate_predictions(tiny_dataset, results, {})
    assert metrics == {k: v for k, v in evaluate_predictions(tiny_dataset, perfect(tiny_dataset), {}).items()
                       if k.startswith(f"{prefix}_")}  # fmt: skip
    assert metrics[f"{prefix}_mAP"] == pytest.approx(1)
    assert f"4 of 4 predictions have no {'mask' if other == 'seg' else 'box'}" in capsys.readouterr().out


def test_where_some_predictions_lack_a_mask_the_others_are_scored(tiny_dataset, capsys):
    results = perfect(tiny_dataset)
    del results[0]["segmentation"]
    metrics = evaluate_predictions(tiny_dataset, results, {})
    assert metrics["bbox_mAP"] == pytest.approx(1) and 0 < metrics["seg_mAP"] < 1
    assert "1 of 4 predictions have no mask: they take no part in Segmentation evaluation" in capsys.readouterr().out


@pytest.mark.parametrize("count", [100, 150])
def test_of_images_by_tiles_all_detections_count_not_the_first_100_of_a_class(tmp_path, capsys, count):
    """150 objects of 4 x 4 pixels, each found: COCO counts the best 100 of them, recall 2/3, precision 1 up to 0.66."""
    boxes = [(6 * (k % 30), 6 * (k // 30), 6 * (k % 30) + 4, 6 * (k // 30) + 4) for k in range(count)]
    objects = tuple(ObjectRecord(tuple(map(float, box)), 0, False, outline(box)) for box in boxes)
    dataset = DetectionIndex(tmp_path / "l.json", ["a"], [ImageRecord(tmp_path / "a.png", 1, 180, 60, objects)])
    results = [
        {"image_id": 1, "category_id": 1, "bbox": [x, y, 4, 4], "score": 0.9 - k / 1000}
        for k, (x, y, _, _) in enumerate(boxes)
    ]
    usual = score_predictions(dataset, results, {}, has_masks=False)
    printed = capsys.readouterr().out
    assert printed.count("maxDets=100 ] =") == 10
    assert usual.metrics["bbox_mAP"] == pytest.approx(1 if count == 100 else 67 / 101)
    whole = score_predictions(dataset, results, {}, has_masks=False, all_count=True)
    assert whole.metrics["bbox_mAP"] == whole.metrics["bbox_AP50"] == 1 == whole.metrics["bbox_AR100"]
    assert len(whole.kinds["bbox"].table.score) == count
    shown = capsys.readouterr().out
    assert shown.count(f"maxDets={count} ] = 1.000") == 6 and shown.count("-1.000") == printed.count("-1.000")
