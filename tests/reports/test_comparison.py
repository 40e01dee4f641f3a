"""Two reports side by side: every difference by hand, its interval by a slow loop, and files that are no reports."""

import cv2
import numpy as np
import pytest

from src.commands.compare import compare_reports
from src.evaluation.bootstrap import Difference
from src.reports.compared import Name, compared
from src.reports.comparison import BETTER, CHANCE, TOO_FEW, WORSE, compare, verdict
from src.reports.folder import read_facts
from src.reports.saved import read_report
from tests.evaluation.test_coco_eval import pycocotools_metrics
from tests.evaluation.tiny import detection, make_dataset
from tests.pages.test_page import Reader
from tests.reports.four_images import BAR_NAME, CLASSES, FOUND, OBJECTS
from tests.reports.test_segmentation_report import NAMES as REGIONS
from tests.reports.two_reports import (
    LAST,
    NAMES,
    OUTCOMES,
    PIXELS,
    A,
    B,
    C,
    D,
    numbers,
    rows,
    shown,
)


def test_every_difference_of_two_detectors_is_that_worked_out_by_hand(detection_reports, tmp_path, capsys):
    first, second = detection_reports
    compare_reports(first, second, tmp_path / "page")
    said = capsys.readouterr().out
    # Of four squares the second has 0.95 (wrong), 0.9, 0.85, 0.7 (wrong), 0.6, 0.5 (wrong); the first lacks 0.85.
    square = (51 * 2 / 3 + 25 * 3 / 5) / 101 - 51 * 0.5 / 101
    scores = {row[0]: row[1:] for row in rows(tmp_path / "page", "metrics.csv")[1:]}
    assert float(scores["bbox AP50"][2]) == pytest.approx(square / 2, abs=1e-12)
    for name in ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"):
        for kind, prefix in (("bbox", "bbox"), ("segm", "seg")):
            expected = [read_facts(one)["metrics"][f"{prefix}_{name}"] for one in (first, second)]
            values = numbers(scores[f"{kind} {name}"][:3])
            if expected[0] is None:
                assert values == [None] * 3 and scores[f"{kind} {name}"][3:] == ["", "", "-", "0"]
            else:
                assert values == pytest.approx([*expected, expected[1] - expected[0]], abs=1e-12)
    classes = {(row[0], row[1]): row[2:] for row in rows(tmp_path / "page", "classes.csv")[1:]}
    assert list(classes) == [(name, kind) for kind in ("bbox", "segm") for name in CLASSES]
    of_report = rows(second, "classes.csv")
    place = of_report[0].index("bbox AP")
    assert float(classes["square", "bbox"][1]) == pytest.approx(float(of_report[1][place]), abs=1e-12)
    assert numbers(classes["disc", "bbox"][2:5]) == [0, 0, 0] and classes["disc", "bbox"][5:] == [CHANCE, "2"]
    assert classes["square", "bbox"][6] == "3" and classes[BAR_NAME, "bbox"] == ["", "", "", "", "", "-", "0"]
    sizes = {tuple(row[:3]): row[3:] for row in rows(tmp_path / "page", "class_sizes.csv")[1:]}
    assert len(sizes) == 2 * 3 * 3 and float(sizes["bbox", "square", "small"][2]) > 0
    assert sizes["segm", "disc", "medium"][6] == "1" and scores["bbox AP_medium"][6] == "1"
    assert scores["bbox AP50"][6] == "4" and scores["bbox AP_small"][6] == "3"
    assert rows(tmp_path / "page", "images.csv")[1:] == [
        [A, "0.0", "0.0", "0.0"], [B, "3.0", "3.0", "0.0"], [C, "3.0", "3.0", "0.0"], [D, "1.0", "0.0", "1.0"],
    ]  # fmt: skip
    assert "4 images and 3 classes are in both; 1000 resamples" in said
    assert f"1 of 4 images are better in errors: {D}: 1 -> 0" in said
    assert f"bbox AP50: {scores['bbox AP50'][0][:6]} -> " in said and CHANCE in said
    assert not list((tmp_path / "page" / "pictures").glob("*second*"))  # where nothing is wrong with it
    before = cv2.imread(str(tmp_path / "page" / "pictures" / "better_01_first.jpg"))
    worst = [cv2.imread(str(first / "pictures" / f"worst_0{k}.jpg")) for k in (1, 2, 3)]
    alike = [np.corrcoef(before.ravel(), one.ravel())[0, 1] for one in worst if one.shape == before.shape]
    assert alike[-1] > 0.95 and max(alike[:-1], default=0) < 0.9


def test_the_interval_is_that_of_pycocotools_on_the_images_that_are_drawn(detection_reports):
    reports = [read_report(one) for one in detection_reports]
    found = compare(*reports, compared(*reports), resamples=12)
    draws, gains = np.random.default_rng(0), []
    for _ in range(12):
        taken = np.repeat(np.arange(4), np.bincount(draws.integers(0, 4, 4), minlength=4))
        both = []
        for predictions in (FOUND, [*FOUND, LAST]):
            objects = [(11 + k, *one[1:]) for k, i in enumerate(taken) for one in OBJECTS if one[0] == 11 + i]
            own = [detection(11 + k, *one[1:]) for k, i in enumerate(taken) for one in predictions if one[0] == 11 + i]
            both.append(pycocotools_metrics(make_dataset(objects, images=4), own))
        gains.append([
            after - before if before > -1 else np.nan
            for before, after in ((both[0][name], both[1][name]) for name in ("bbox_mAP", "bbox_AP50", "seg_AP_small"))
        ])  # fmt: skip
    own = {name.words: one for name, one in found.of(classes=False)}
    for k, name in enumerate(("bbox mAP", "bbox AP50", "segm AP_small")):
        expected = np.nanpercentile(np.array(gains)[:, k], (2.5, 97.5))
        np.testing.assert_allclose([own[name].low, own[name].high], expected, atol=1e-12)


def test_the_same_report_twice_differs_by_exactly_nothing(detection_reports, classification_reports, tmp_path, capsys):
    for first, _ in (detection_reports, classification_reports):
        compare_reports(first, first, tmp_path / "page")
        zeros = ["0.0", "0.0", "0.0", CHANCE], ["", "", "", "-"]
        for name, *cells in rows(tmp_path / "page", "metrics.csv")[1:]:
            assert cells[0] == cells[1] and cells[2:-1] in zeros, name
        said = capsys.readouterr().out
        assert "beyond chance:" not in said and said.count("0 of") == 4


@pytest.mark.parametrize(
    "low,high,images,said",
    [
        (0.1, 0.3, 6, BETTER), (-0.3, -0.1, 6, WORSE), (0.1, 0.3, 5, TOO_FEW), (-0.3, -0.1, 1, TOO_FEW),
        (0.0, 0.3, 6, CHANCE), (-0.3, 0.0, 600, CHANCE), (-0.1, 0.3, 1, CHANCE), (None, None, 9, "-"),
    ],
)  # fmt: skip
def test_what_is_said_of_an_interval(low, high, images, said):
    assert verdict(Name("mAP", images), Difference(0.5, 0.7, low, high)) == said


def test_classifiers(classification_reports, tmp_path, capsys):
    page = compare_reports(*classification_reports, tmp_path / "page").parent
    assert [row[:4] for row in rows(page, "metrics.csv")[1:]] == [
        ["Top_1_Acc", "0.6", "0.8", str(0.8 - 0.6)], ["Top_5_Acc", "1.0", "1.0", "0.0"],
    ]  # fmt: skip
    header, *classes = rows(page, "classes.csv")
    assert header == ["class", "first", "second", "difference", "interval from", "to", "", "images"]
    assert [row[7] for row in classes] == ["2", "3", "0"]
    assert [row[:4] for row in classes] == [
        [NAMES[0], "0.5", "1.0", "0.5"], [NAMES[1], str(2 / 3), str(2 / 3), "0.0"], [NAMES[2], "", "", ""],
    ]  # fmt: skip
    images = rows(page, "images.csv")[1:]
    assert [numbers(row[1:3]) for row in images] == [list(one[2::2]) for one in OUTCOMES]
    draws = np.random.default_rng(0)
    gains = [np.array([0, 1, 0, -1, 1])[draws.integers(0, 5, 5)].mean() for _ in range(1000)]
    interval = numbers(rows(page, "metrics.csv")[1][4:6])
    assert interval == pytest.approx(np.percentile(gains, (2.5, 97.5)).tolist(), abs=1e-12)
    texts = shown(page)
    assert NAMES[0] in texts and not Reader((page / "index.html").read_text(encoding="utf-8")).of("b")
    assert any(f"{NAMES[1]}/4 #%.png: 0.200 -> 0.900" in text for text in texts)
    assert sorted(path.name for path in (page / "pictures").iterdir()) == [
        "better_01_first.jpg", "better_02_first.jpg", "classes.png", "worse_01_second.jpg",
    ]  # fmt: skip
    assert "1 of 5 images" not in capsys.readouterr().out.partition("images are better")[0]


def test_segmentations(segmentation_reports, tmp_path):
    page = compare_reports(*segmentation_reports, tmp_path / "page").parent
    # road: 4 + 2 right of 5 + 2 then 4 + 3 predicted, 6 labelled; sky: 2 + 2 then 3 + 1 right, 2 + 2 then 3 + 1, 5.
    before, after = [6 / 7, 4 / 5, 0], [6 / 7, 4 / 5, 0]
    metrics = {row[0]: numbers(row[1:6]) for row in rows(page, "metrics.csv")[1:]}
    assert metrics["mIoU"][:3] == pytest.approx([sum(before) / 3, sum(after) / 3, 0], abs=1e-15)
    assert metrics["pixel_acc"][:2] == pytest.approx([10 / 11, 10 / 11])
    for name, values in metrics.items():
        assert values[:2] == [read_facts(one)["metrics"][name] for one in segmentation_reports]
    held = [row[::7] for row in rows(page, "classes.csv")[1:]]
    assert held == [[REGIONS[0], "2"], [REGIONS[1], "2"], [REGIONS[2], "0"]]
    counts = np.array([  # of each image right, labelled, predicted of both classes, then of the second report
        [[4, 4, 5, 2, 3, 2], [4, 4, 4, 3, 3, 3]], [[2, 2, 2, 2, 2, 2], [2, 2, 3, 1, 2, 1]], np.zeros((2, 6)),
    ])  # fmt: skip
    draws, gains = np.random.default_rng(0), []
    for _ in range(1000):
        total = counts[draws.integers(0, 3, 3)].sum(axis=0).reshape(2, 2, 3)
        iou = total[..., 0] / np.maximum(total[..., 1] + total[..., 2] - total[..., 0], 1)
        gains.append((iou[1] - iou[0]).sum() / 3)
    assert metrics["mIoU"][3:] == pytest.approx(np.percentile(gains, (2.5, 97.5)).tolist(), abs=1e-12)
    images = rows(page, "images.csv")[1:]
    assert [row[0] for row in images] == list(PIXELS) and images[2][1:] == ["", "", ""]
    assert numbers(images[0][1:]) == pytest.approx([(4 / 5 + 2 / 3) / 2, 1, 1 - (4 / 5 + 2 / 3) / 2])
    assert {"better_01_first.jpg", "worse_01_second.jpg"} <= {path.name for path in (page / "pictures").iterdir()}
