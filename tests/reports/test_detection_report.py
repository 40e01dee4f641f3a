"""Every number of a detector's report, on the page and in its files, against those worked out by hand."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from src.config import default_config
from src.config.thresholds import read_thresholds
from src.errors import UserError
from src.evaluation.coco_eval import STATISTICS
from src.evaluation.detection_curves import ClassCurve
from src.evaluation.table_eval import MatchTable, accumulated
from src.outputs import Inputs
from src.reports import detection_tables
from src.tasks import TASKS
from src.tasks.detection_scores import Predicted, evaluate_saved
from tests.evaluation.test_coco_eval import pycocotools_metrics
from tests.pages.test_page import Reader
from tests.reports.four_images import BAR_NAME, CLASSES, FOUND, IMAGES, results, write_data

TASK = TASKS["detection"]
PROTOCOL = {"size": "100x100", "checkpoint": "34cd"}
A, B, C, D = IMAGES.values()
NONE = ""


def write(folder: Path, dataset, found: list[dict], *keys: str, unreadable=()) -> Path:
    cfg = default_config(["--report_dir", str(folder / "report"), "--analysis", "1", *keys])
    TASK.score_results(cfg, dataset, Predicted(found, PROTOCOL, unreadable))
    return folder / "report"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("four"))


@pytest.fixture(scope="module")
def report(tmp_path_factory, dataset) -> Path:
    return write(tmp_path_factory.mktemp("whole"), dataset, results())


def table(folder: Path, name: str) -> list[list]:
    """The rows of a CSV file, numbers as such."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return [[_number(cell) for cell in row] for row in csv.reader(file)]


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def shown(folder: Path) -> list[str]:
    return [text for text in Reader((folder / "index.html").read_text(encoding="utf-8")).texts if text.strip()]


def test_scores_are_pycocotools_own(report, dataset):
    expected = pycocotools_metrics(dataset, results())
    header, *rows = table(report, "metrics.csv")
    assert header == ["metric", "bbox", "segm"] and [row[0] for row in rows] == list(STATISTICS)
    for name, *values in rows:
        for prefix, value in zip(("bbox", "seg"), values):
            wanted = expected[f"{prefix}_{name}"]
            assert value == (NONE if wanted == -1 else wanted), (name, prefix)
    # Squares: of 0.95 (wrong), 0.9, 0.7 (wrong), 0.6 two of four are right, half of the objects. Discs: 0.8 is right,
    # 0.4 wrong, 0.2 right.
    ap50 = (51 * 0.5 + 51 + 50 * 2 / 3) / 101 / 2
    assert rows[1][1] == pytest.approx(ap50) and f"{ap50:.3f}" in shown(report)


def test_classes(report):
    header, *rows = table(report, "classes.csv")
    assert [row[0] for row in rows] == CLASSES
    rows = [dict(zip(header, row)) for row in rows]
    ap50 = [row["bbox AP50"] for row in rows]
    assert ap50 == [pytest.approx(51 * 0.5 / 101), pytest.approx((51 + 50 * 2 / 3) / 101), NONE]
    expected = {
        "objects": [4, 2, 0], "detections": [5, 2, 0], "correct": [2, 1, 0], "precision": [0.4, 0.5, NONE],
        "recall": [0.5, 0.5, NONE], "F1": [4 / 9, 0.5, NONE], "threshold": [0.6, 0.2, NONE],
        "best precision": [0.5, 2 / 3, NONE], "best recall": [0.5, 1.0, NONE], "best F1": [0.5, 0.8, NONE],
    }  # fmt: skip
    assert {name: [row[name] for row in rows] for name in expected} == expected


def test_thresholds(report):
    assert read_thresholds(report / "thresholds.yaml") == {"square": 0.6, "disc": 0.2, BAR_NAME: 0.3}
    text = (report / "thresholds.yaml").read_text(encoding="utf-8")
    assert "square: 0.6  # F1 0.500, precision 0.500, recall 0.500 of 4 objects\n" in text
    assert any("Where nothing is right there is none here (-), and 0.3 in the file." in one for one in shown(report))
    assert "# images 4, size 100x100, checkpoint 34cd\n" in text


def test_curves(report):
    header, *rows = table(report, "f1.csv")
    assert header == ["class", "score", "precision", "recall", "F1"]
    assert rows == [
        ["square", 0.95, 0.0, 0.0, 0.0],
        ["square", 0.9, 1 / 2, 1 / 4, 2 / 6],
        ["square", 0.7, 1 / 3, 1 / 4, 2 / 7],
        ["square", 0.6, 2 / 4, 2 / 4, 4 / 8],
        ["square", 0.5, 2 / 5, 2 / 4, 4 / 9],
        ["disc", 0.8, 1.0, 1 / 2, 2 / 3],
        ["disc", 0.4, 1 / 2, 1 / 2, 2 / 4],
        ["disc", 0.2, 2 / 3, 1.0, 4 / 5],
    ]
    header, *rows = table(report, "precision_recall.csv")
    assert header == ["kind", "class", "recall", "precision", "score"] and len(rows) == 4 * 101
    disc = [row[2:] for row in rows if row[:2] == ["bbox", "disc"]]
    assert disc[:51] == [[r / 100, pytest.approx(1), 0.8] for r in range(51)]
    assert disc[51:] == [[r / 100, pytest.approx(2 / 3), 0.2] for r in range(51, 101)]
    square = [row[2:] for row in rows if row[:2] == ["bbox", "square"]]
    assert square[0] == [0, pytest.approx(0.5), 0.95]
    assert square[1:26] == [[r / 100, pytest.approx(0.5), 0.9] for r in range(1, 26)]
    assert square[26:51] == [[r / 100, pytest.approx(0.5), 0.6] for r in range(26, 51)]
    assert square[51:] == [[r / 100, 0, 0] for r in range(51, 101)]


def test_of_many_scores_some_stand_in_the_table_and_the_best_among_them(monkeypatch):
    scores = np.linspace(1, 0, 50)
    f1 = np.where(np.arange(50) == 7, 1.0, 0.5)
    curve = ClassCurve(1, 50, scores, f1, f1, f1)
    monkeypatch.setattr(detection_tables, "MOST_SCORES", 5)
    report = SimpleNamespace(matches=SimpleNamespace(classes=["square"]), curves=[curve])
    assert [row[1] for row in detection_tables.f1(report)[1]] == scores[[0, 7, 12, 24, 37, 49]].tolist()


def test_confusion_matrix(report):
    header, *rows = table(report, "confusion.csv")
    assert header == ["true \\ predicted", *CLASSES, "background"]
    assert rows == [["square", 3, 0, 0, 2], ["disc", 1, 1, 0, 1], [BAR_NAME, 0, 0, 0, 0], ["background", 1, 1, 0, 0]]


def test_kinds_of_errors(report):
    rows = [row[:2] for row in table(report, "errors.csv")[1:]]
    assert rows == [["duplicate", 1], ["localisation", 1], ["confusion", 1], ["background", 1], ["missed", 1]]


def test_images_and_the_worst_of_them(report):
    header, *rows = table(report, "images.csv")
    assert header[:2] + header[3:] == [
        "image", "image_id", "objects", "detections", "correct", "false positives", "missed", "errors",
    ]  # fmt: skip
    assert [row[:2] + row[3:] for row in rows] == [
        [A, 11, 2, 2, 2, 0, 0, 0], [B, 12, 2, 3, 1, 2, 1, 3], [C, 13, 1, 2, 0, 2, 1, 3], [D, 14, 1, 0, 0, 0, 1, 1],
    ]  # fmt: skip
    assert [Path(row[2]).name for row in rows] == list(IMAGES.values())
    captions = [text for text in shown(report) if "objects missed" in text]
    assert captions == [
        f"1. {B}: 2 false positives, 1 of 2 objects missed",
        f"2. {C}: 2 false positives, 1 of 1 objects missed",
        f"3. {D}: 0 false positives, 1 of 1 objects missed",
    ]


def test_false_positives(report):
    header, *rows = table(report, "false_positives.csv")
    assert header == ["rank", "image", "image_id", "class", "score", "error", "x", "y", "w", "h"]
    assert rows == [
        [1, C, 13, "square", 0.95, "confusion", 0, 0, 40, 40],
        [2, B, 12, "square", 0.7, "localisation", 10, 20, 20, 20],
        [3, B, 12, "square", 0.5, "duplicate", 61, 60, 20, 20],
        [4, C, 13, "disc", 0.4, "background", 80, 0, 10, 10],
    ]
    assert f"1. square 0.950, confusion: {C}" in shown(report)


def test_likely_label_errors(report):
    rows = table(report, "label_errors.csv")[1:]
    assert rows == [
        # 0.95 x IoU 1 x what 0.2 leaves of the label x 1, all discs of that size are found
        [1, pytest.approx(0.95 * 0.8), "class", C, 13, "square", 0.95, 0, 0, 40, 40, "disc", 0, 0, 40, 40],
        # nothing is on it, and two of four small squares are found
        [2, 0.5, "unfound", D, 14, *[NONE] * 6, "square", 30, 30, 30, 30],
        [3, pytest.approx(0.7 * 2 / 3), "moved", B, 12, "square", 0.7, 10, 20, 20, 20, "square", 10, 10, 20, 20],
        [4, 0.4, "missing", C, 13, "disc", 0.4, 80, 0, 10, 10, *[NONE] * 5],
    ]
    assert f"2. 0.500 unfound, label square: {D}" in shown(report)
    assert f"4. 0.400 missing, seen disc 0.400: {C}" in shown(report)


def test_sizes(report, dataset):
    expected = pycocotools_metrics(dataset, results())
    header, *rows = table(report, "sizes.csv")
    assert header == ["kind", "size", "objects", "AP", "AR"]
    assert [row[:3] for row in rows] == [
        [kind, size, count] for kind in ("bbox", "segm") for size, count in
        (("all", 6), ("small", 5), ("medium", 1), ("large", 0))
    ]  # fmt: skip
    assert rows[1][3:] == [expected["bbox_AP_small"], expected["bbox_AR_small"]] and rows[3][3:] == [NONE, NONE]
    of_disc = [row for row in table(report, "class_sizes.csv") if row[:2] == ["bbox", "disc"]]
    assert [row[2:4] for row in of_disc] == [["all", 2], ["small", 1], ["medium", 1], ["large", 0]]
    assert of_disc[2][4] == pytest.approx(1)  # 0.2 has IoU 0.975; what is small counts neither way


def test_every_file_is_named_and_the_page_needs_nothing_else(report):
    facts = json.loads((report / "report.json").read_text(encoding="utf-8"))
    there = {str(path.relative_to(report)) for path in report.rglob("*") if path.is_file()}
    assert set(facts["files"]) == there and set(TASK.report_files) <= there
    reader = Reader((report / "index.html").read_text(encoding="utf-8"))
    places = [one["src"] for one in reader.of("img")] + [one["href"] for one in reader.of("a")]
    assert all(place.startswith("#") or place in there for place in places)
    assert {place for place in there if place.startswith("pictures/")} <= set(places)
    assert not reader.of("i") and not reader.of("b") and BAR_NAME in reader.texts
    for name in ("worst_01", "false_positive_04", "label_04"):
        assert cv2.imread(str(report / "pictures" / f"{name}.jpg")).std() > 10
    wanted = {"worst_01": 1, "worst_02": 2, "worst_03": 3}  # rows of images.csv
    wanted |= {"false_positive_01": 2, "false_positive_02": 1, "false_positive_03": 1, "false_positive_04": 2}
    wanted |= {"label_01": 2, "label_02": 3, "label_03": 1, "label_04": 2}
    assert facts["pictures"] == {f"pictures/{name}.jpg": row for name, row in wanted.items()}


def test_facts(report, dataset):
    facts = json.loads((report / "report.json").read_text(encoding="utf-8"))
    expected = {"task": "detection", "classes": CLASSES, "images": 4, "objects": [4, 2, 0]}
    expected |= {"iou_threshold": 0.5, "score_threshold": 0.3}
    assert {key: facts[key] for key in expected} == expected
    expected = pycocotools_metrics(dataset, results())
    assert facts["metrics"] == {name: None if value == -1 else value for name, value in expected.items()}
    assert facts["protocol"] == {"images": 4} | PROTOCOL and facts["label_errors"] == 4
    assert facts["thresholds"] == {"square": 0.6, "disc": 0.2, BAR_NAME: None}
    assert facts["errors"] == {"duplicate": 1, "localisation": 1, "confusion": 1, "background": 1, "missed": 1}
    assert facts["kinds"]["bbox"]["objects"]["all"] == [4, 2, 0] and facts["kinds"]["segm"]["AP"]["all"][2] is None


@pytest.mark.parametrize(("kind", "prefix"), [("bbox", "bbox"), ("segm", "seg")])
def test_the_matches_give_the_scores_again(report, dataset, kind, prefix):
    """What a comparison draws its samples of images from."""
    found = np.load(report / f"matches_{kind}.npz")
    bits = 1 << np.arange(10)
    matched, ignored = ((found[name][..., None] & bits) > 0 for name in ("matched", "ignored"))
    objects = found["object_image"], found["object_label"], found["object_ignored"]
    rows = [found[name] for name in ("image", "label", "score", "rank")]
    matches, recalls = MatchTable(*rows, matched, ignored, *objects), np.linspace(0, 1, 101)
    again = accumulated(matches, (10, 101, 3, 4, 1), recalls, [100])
    precision = again["precision"][:, :, :, 0, 0]
    assert precision[precision > -1].mean() == pycocotools_metrics(dataset, results())[f"{prefix}_mAP"]
    assert found["image"][found["score"] == 0.95].tolist() == [2]  # the third row of images.csv
    assert sorted(found["score"].tolist()) == sorted(score for *_, score in FOUND)


def test_what_was_unreadable_or_left_out_is_named(tmp_path):
    dataset = write_data(tmp_path / "data")
    cv2.imwrite(str(tmp_path / "data" / "data" / A), np.zeros((50, 100, 3), np.uint8))  # of another size
    (tmp_path / "data" / "data" / D).write_bytes(b"no image")
    found = [one for one in results() if one["image_id"] != 11]
    lines = shown(write(tmp_path, dataset, found, unreadable=[14]))
    assert f"1 images could not be read when the predictions were made: nothing is found in them ({D})" in lines
    assert f"1 images have another size than their labels say: left out ({A})" in lines
    assert any(text.startswith(f"3. {D}: 0 false positives") and "cannot be read" in text for text in lines)
    assert lines[-1].endswith(f"{D} is no image, or cut off")


def test_a_detector_without_masks_has_no_table_of_them(tmp_path, dataset):
    folder = write(tmp_path, dataset, results(masks=False), "--detector", "faster_rcnn")
    assert table(folder, "metrics.csv")[0] == ["metric", "bbox"]
    assert not (folder / "matches_segm.npz").exists()
    assert table(folder, "confusion.csv")[1] == ["square", 3, 0, 0, 2]


def test_masks_alone_have_the_box_around_them(tmp_path, dataset, capsys):
    found = [{key: value for key, value in one.items() if key != "bbox"} for one in results()]
    folder = write(tmp_path, dataset, found)
    assert table(folder, "metrics.csv")[0] == ["metric", "segm"] and "No error analysis" in capsys.readouterr().out
    assert table(folder, "confusion.csv")[1] == ["square", 3, 0, 0, 2]


def test_no_predictions_at_all(tmp_path, dataset):
    folder = write(tmp_path, dataset, [])
    assert table(folder, "confusion.csv")[1:3] == [["square", 0, 0, 0, 4], ["disc", 0, 0, 0, 2]]
    assert set(read_thresholds(folder / "thresholds.yaml").values()) == {0.3}
    header, square, *_ = table(folder, "classes.csv")
    assert [square[header.index(name)] for name in ("precision", "recall", "F1")] == [NONE, 0, 0]
    assert len(table(folder, "f1.csv")) == 1 and table(folder, "label_errors.csv")[1:] == []
    assert [row[0] for row in table(folder, "images.csv")[1:]] == list(IMAGES.values())


def test_no_objects_at_all(tmp_path):
    folder = write(tmp_path, write_data(tmp_path / "data", objects=()), results())
    assert {cell for row in table(folder, "metrics.csv")[1:] for cell in row[1:]} == {NONE}
    assert table(folder, "confusion.csv")[-1] == ["background", 6, 2, 0, 0]
    header, square, *_ = table(folder, "classes.csv")
    assert [square[header.index(name)] for name in ("precision", "recall", "F1")] == [0, NONE, 0]
    kinds = [row[2] for row in table(folder, "label_errors.csv")[1:]]
    # what lies on something better (0.5) or is the same again in another class (0.2) is not listed twice
    assert kinds == ["missing"] * 7
    assert table(folder, "f1.csv")[1] == ["square", 0.95, 0.0, 0.0, 0.0]


def test_texts_as_ids(tmp_path):
    dataset = write_data(tmp_path / "data", as_id=lambda number: f"image/{number} #")
    found = [one | {"image_id": f"image/{one['image_id']} #"} for one in results()]
    folder = write(tmp_path, dataset, found)
    assert table(folder, "images.csv")[2][:2] == [B, "image/12 #"]
    assert table(folder, "confusion.csv")[1] == ["square", 3, 0, 0, 2]


def test_names_of_files_that_are_no_text(tmp_path, monkeypatch):
    odd = os.fsdecode(b"b\xff.png")
    monkeypatch.setitem(IMAGES, 12, odd)
    folder = write(tmp_path, write_data(tmp_path / "data"), results(), unreadable=[12])
    assert table(folder, "images.csv")[2][0] == "b\\xff.png"
    assert "1. b\\xff.png: 2 false positives, 1 of 2 objects missed" in shown(folder)
    assert cv2.imread(str(folder / "pictures" / "worst_01.jpg")) is not None


def test_saved_predictions_have_the_same_report_and_replace_their_own_alone(tmp_path, dataset, report, capsys):
    (tmp_path / "found.json").write_text(json.dumps(results()))
    cfg = default_config(["--prediction_path", str(tmp_path / "found.json"), "--report_dir", str(tmp_path / "r")])
    for _ in range(2):
        TASK.check_report(cfg, Inputs())
        evaluate_saved(cfg, dataset)
    assert f"Report written to {tmp_path / 'r' / 'index.html'}" in capsys.readouterr().out
    for name in ("classes.csv", "label_errors.csv", "matches_bbox.npz", "pictures/label_01.jpg"):
        assert (tmp_path / "r" / name).read_bytes() == (report / name).read_bytes(), name
    (tmp_path / "r" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="^report_dir .* holds notes.txt, which no report has written"):
        TASK.check_report(cfg, Inputs())
    assert "notes.txt" in os.listdir(tmp_path / "r")


def test_a_report_changes_no_number(tmp_path, dataset, capsys):
    printed = []
    for keys in ([], ["--report_dir", str(tmp_path / "r")]):
        cfg = default_config(["--analysis", "1", *keys])
        metrics = TASK.score_results(cfg, dataset, Predicted(results(), PROTOCOL))
        lines = [line for line in capsys.readouterr().out.splitlines() if "DONE" not in line and "Report" not in line]
        printed.append((metrics, lines))
    assert printed[0] == printed[1]
