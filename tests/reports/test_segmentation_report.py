"""The report of a segmentation: four images, two of them readable and labelled, with numbers worked out by hand."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.segmentation_list import open_segmentation
from src.errors import UserError
from src.evaluation import segmentation_images
from src.evaluation.segmentation_images import ImageScores, merged_images
from src.outputs import Inputs
from src.process.runtime import SINGLE
from src.reports.folder import read_facts
from src.tasks import TASKS
from src.tasks.segmentation import segment_dataset
from tests.evaluation.test_segmentation_eval import CITYSCAPES, KEYS, model
from tests.process.test_channel import connect, together

SKY = '<b>s"k$y</b> & 猫'
NAMES = ["road", SKY, "never"]
ODD = "i 1 <i>#%25.png"
X = 255  # ignored
PAIRS = {  # label and prediction of each image
    "i0.png": ([[0, 0, 1, 1], [0, 0, 1, X]], [[0, 0, 1, 0], [0, 0, 1, 1]]),
    ODD: ([[0, 0], [0, 0]], [[1, 1], [1, 1]]),
    "i2.png": ([[X, X], [X, X]], [[0, 0], [0, 0]]),
    "i3.png": ([[1, 1], [0, X]], [[1, 1], [0, 0]]),  # whose image cannot be read
}


def config(*keys: str):
    own = [f"--class_names={json.dumps(NAMES, ensure_ascii=False)}", "--num_classes=3"]
    return load_config(CITYSCAPES, [*KEYS, *own, *keys])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for number, (name, (label, predicted)) in enumerate(PAIRS.items()):
        predicted = np.uint8(predicted)
        cv2.imwrite(str(root / name), np.stack([0 * predicted, 0 * predicted, predicted], 2))
        cv2.imwrite(str(root / f"l{number}.png"), np.uint8(label))
    (root / "i3.png").write_bytes(b"no image")
    lines = [f"{name}\tl{number}.png\n" for number, name in enumerate(PAIRS)]
    (root / "val.lst").write_text("".join(lines))
    return open_segmentation(config(), root, "val")


def score(cfg, dataset, *more) -> dict[str, float]:
    return TASKS["segmentation"].score(cfg, model, dataset, *more)


@pytest.fixture(scope="module")
def report(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "report"
    score(config(f"--report_dir={folder}"), dataset)
    return folder


def rows(report: Path, file: str) -> list[list[str]]:
    with (report / file).open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def numbers(row: list[str]) -> list[float]:
    return [float(one) for one in row[1:]]


def test_every_number_of_the_classes_is_that_worked_out_by_hand(report):
    head, *classes = rows(report, "classes.csv")
    assert head == ["class", "IoU", "accuracy", "precision", "share of pixels", "labelled", "predicted", "right"]
    assert [row[0] for row in classes] == NAMES
    # road: 4 right of 8 labelled in readable images and 1 in the other, 5 predicted; sky: 2 of 3 and 2, 6 predicted.
    expected = [[4 / 10, 4 / 9, 4 / 5, 9 / 14, 9, 5, 4], [2 / 9, 2 / 5, 2 / 6, 5 / 14, 5, 6, 2], [0] * 7]
    assert [numbers(row) for row in classes] == [pytest.approx(one, abs=1e-15) for one in expected]
    assert rows(report, "confusion.csv") == [
        ["true \\ predicted", *NAMES], ["road", "4", "4", "0"], [SKY, "1", "2", "0"], ["never", "0", "0", "0"],
    ]  # fmt: skip
    head, first, second = rows(report, "confusions.csv")
    assert head == ["truth", "taken for", "pixels", "share of the class"]
    assert first == ["road", SKY, "4", "0.5"] and second[:3] == [SKY, "road", "1"]
    assert float(second[3]) == pytest.approx(1 / 3)


def test_every_number_of_the_scores_is_that_worked_out_by_hand_and_printed(report, dataset, capsys):
    expected = {"mIoU": (4 / 10 + 2 / 9) / 3, "pixel_acc": 6 / 14, "mean_acc": (4 / 9 + 2 / 5) / 3}
    facts = read_facts(report)
    assert facts["metrics"] == pytest.approx(expected, abs=1e-15)
    assert {name: float(value) for name, value in rows(report, "metrics.csv")[1:]} == facts["metrics"]
    assert score(config(), dataset) == facts["metrics"]
    assert facts["task"] == "segmentation" and facts["classes"] == NAMES and facts["images"] == 4
    assert facts["unreadable"] == 1 and facts["classes_neither_there_nor_predicted"] == ["never"]
    assert facts["protocol"]["images"] == 4 and facts["protocol"]["dataset"] == "custom"


def test_every_image_has_its_scores_and_the_counts_that_make_up_all_of_them(report):
    head, *images = rows(report, "images.csv")
    assert head == ["image", "mIoU", "pixel_accuracy", "labelled", "right", "readable"]
    first = images[0]
    assert [float(one) for one in first[1:3]] == pytest.approx([(4 / 5 + 2 / 3) / 2, 6 / 7])
    assert first[0] == "i0.png" and first[3:] == ["7", "6", "1"]
    assert images[1:] == [
        [ODD, "0.0", "0.0", "4", "0", "1"], ["i2.png", "", "", "0", "0", "1"], ["i3.png", "0.0", "0.0", "3", "0", "0"],
    ]  # fmt: skip
    head, *counts = rows(report, "image_classes.csv")
    assert head == ["image", "class", "right", "labelled", "predicted"] and counts == [
        ["i0.png", "road", "4", "4", "5"], ["i0.png", SKY, "2", "3", "2"], [ODD, "road", "0", "4", "0"],
        [ODD, SKY, "0", "0", "4"], ["i3.png", "road", "0", "1", "0"], ["i3.png", SKY, "0", "2", "0"],
    ]  # fmt: skip


def test_the_worst_images_are_drawn_with_their_errors_and_what_was_left_out_is_named(report):
    names = sorted(path.name for path in (report / "pictures").iterdir())
    assert names == ["confusion.png", "iou.png", "worst_01.jpg", "worst_02.jpg"]
    assert read_facts(report)["pictures"] == {"pictures/worst_01.jpg": 1, "pictures/worst_02.jpg": 0}
    text = (report / "index.html").read_text(encoding="utf-8")
    assert "i 1 &lt;i&gt;#%25.png: mIoU 0.000, pixel accuracy 0.000" in text
    assert "i0.png: mIoU 0.733, pixel accuracy 0.857" in text and "<b>s" not in text and "<i>" not in text
    assert "i3.png" in text and "counted as wrong" in text and "i2.png: mIoU" not in text
    assert "Neither there nor predicted, and counted as 0 in the mean: never. mIoU of the others: 0.3111" in text
    picture = cv2.imread(str(report / "pictures" / "worst_02.jpg"))  # 4 of 384 x 192 pixels, a pixel being 96
    errors = picture[26:, -384:].astype(int)
    reds = errors[48::96, 48::96, 2] - errors[48::96, 48::96, 0]
    assert (reds > 100).tolist() == [[False, False, False, True], [False] * 4]
    assert errors[48::96, 48::96].max(2)[1, 3] < 20  # ignored


def test_several_ranks_write_the_report_that_one_writes(report, dataset, tmp_path):
    cfg = config(f"--report_dir={tmp_path / 'ranks'}")
    channels, _ = connect(3)
    together(channels, lambda process: score(cfg, dataset, process))
    assert {path.name for path in (tmp_path / "ranks").iterdir()} == {path.name for path in report.iterdir()}
    for path in sorted(report.rglob("*.*")):
        other = tmp_path / "ranks" / path.relative_to(report)
        assert other.read_bytes() == path.read_bytes(), path.name


def test_without_a_report_nothing_is_kept_of_an_image_and_no_number_is_another(dataset):
    plain = segment_dataset(config(), model, dataset)
    full = segment_dataset(config(), model, dataset, with_images=True)
    assert plain.images is None and len(full.images.counts) == 4
    np.testing.assert_array_equal(plain.confusion, full.confusion)
    np.testing.assert_array_equal(plain.missed, full.missed)
    assert plain.metrics() == full.metrics() and plain.unreadable == full.unreadable


def test_in_training_each_evaluation_writes_its_own_in_place_of_the_last(dataset, tmp_path):
    cfg = config(f"--report_dir={tmp_path / 'report'}", f"--val_dataset={dataset.root}")
    evaluate = TASKS["segmentation"].make_evaluator(cfg, SINGLE)
    for _ in range(2):
        evaluate(model)
    facts = read_facts(tmp_path / "report")
    assert facts["protocol"]["checkpoint"] == "in training" and len(facts["files"]) == 12
    (tmp_path / "other").write_text("a file")
    with pytest.raises(UserError, match="report_dir .*other is a file"):
        TASKS["segmentation"].make_evaluator(replace(cfg, report_dir=str(tmp_path / "other")), SINGLE)


def test_only_the_worst_maps_are_kept_small_and_by_parts_the_same(monkeypatch):
    monkeypatch.setattr(segmentation_images, "MOST_WORST", 3)
    rng, whole, parts = np.random.RandomState(0), ImageScores(), [ImageScores(), ImageScores()]
    for index in range(12):
        label, predicted = rng.randint(0, 2, (2, 30, 600)).astype(np.uint8)
        confusion = np.bincount(2 * label.ravel() + predicted.ravel(), minlength=4).reshape(2, 2)
        for scores in (whole, parts[index > 4]):
            scores.add(index, confusion, label, predicted)
    found = merged_images(parts)
    assert [one.index for one in found.worst] == [one.index for one in whole.worst]
    means = [one.mean_iou for one in whole.counts]
    assert [one.index for one in whole.worst] == np.argsort(means, kind="stable")[:3].tolist()
    assert {one.label.shape for one in whole.worst} == {(24, 480)}
    assert [one.index for one in found.counts] == list(range(12))


def test_a_folder_of_other_things_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.pdf").write_text("mine")
    with pytest.raises(UserError, match="holds thesis.pdf, which no report has written: give another folder"):
        TASKS["segmentation"].check_report(config(f"--report_dir={tmp_path / 'full'}"), Inputs())
