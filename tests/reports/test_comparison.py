"""Two reports side by side: every difference by hand, its interval by a slow loop, and files that are no reports."""

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.commands.compare import compare_reports, main
from src.config import default_config
from src.data.decoding import USUAL_RULES
from src.data.formats.image_folder import ImageFolder
from src.data.formats.segmentation_list import open_segmentation
from src.data.images import MAX_PIXELS
from src.errors import UserError
from src.evaluation.bootstrap import Difference
from src.evaluation.classification_eval import ClassificationResult
from src.evaluation.classification_images import ImageOutcome
from src.evaluation.segmentation_eval import SegmentationResult, confusion_matrix
from src.files import write_text
from src.reports.classification import write_classification_report
from src.reports.compared import Name, compared
from src.reports.comparison import BETTER, CHANCE, TOO_FEW, WORSE, compare, verdict
from src.reports.folder import read_facts, write_report
from src.reports.saved import read_report
from src.reports.segmentation import write_segmentation_report
from src.tasks import TASKS
from src.tasks.detection import Predicted
from tests.evaluation.test_coco_eval import pycocotools_metrics
from tests.evaluation.tiny import detection, make_dataset
from tests.pages.test_page import Reader
from tests.reports.four_images import BAR_NAME, CLASSES, FOUND, IMAGES, OBJECTS, SQUARE, results, write_data
from tests.reports.test_segmentation_report import NAMES as REGIONS
from tests.reports.test_segmentation_report import config as segmentation_config

LAST = (14, SQUARE, (30, 30, 30, 30), 0.85)  # the square that nothing finds in the first report
A, B, C, D = IMAGES.values()


def write_detection(folder: Path, dataset, found: list[dict]) -> Path:
    cfg = default_config(["--report_dir", str(folder), "--analysis", "1"])
    TASKS["detection"].score_results(cfg, dataset, Predicted(found, {"size": "100x100", "checkpoint": "<i>"}, ()))
    return folder


@pytest.fixture(scope="module")
def detection_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("<i>detection")
    dataset = write_data(folder / "data")
    more = [*results(), detection(*LAST)]
    return write_detection(folder / "r1", dataset, results()), write_detection(folder / "r2", dataset, more)


NAMES = ["cat <b>'x'", 'dog, "d" 猫', "never"]
OUTCOMES = [  # (truth, prediction of the first report, its probability, of the second) of each image
    (0, 0, 0.9, 0, 0.8), (0, 1, 0.3, 0, 0.6), (1, 1, 0.7, 1, 0.7), (1, 1, 0.8, 0, 0.1), (1, 0, 0.2, 1, 0.9),
]  # fmt: skip


def write_classification(folder: Path, dataset: ImageFolder, which: int) -> Path:
    confusion, images = np.zeros((3, 3), np.int64), []
    for index, one in enumerate(OUTCOMES):
        label, predicted, share = one[0], *one[1 + 2 * which : 3 + 2 * which]
        confusion[label, predicted] += 1
        images.append(ImageOutcome(index, label, predicted, share if label == predicted else 1 - share, share, True))
    result = ClassificationResult(confusion, 0.5, np.trace(confusion) / 5, 1.0, 0, images)
    write_report(folder, lambda new: write_classification_report(new, dataset, result, {}, "", MAX_PIXELS, USUAL_RULES))
    return folder


@pytest.fixture(scope="module")
def classification_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("classification")
    for k, one in enumerate(OUTCOMES):
        (folder / "data" / NAMES[one[0]]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "data" / NAMES[one[0]] / f"{k} #%.png"), np.full((20, 20, 3), 40 * k, np.uint8))
    (folder / "data" / NAMES[2]).mkdir()
    dataset = ImageFolder(folder / "data", NAMES)
    return tuple(write_classification(folder / f"r{k + 1}", dataset, k) for k in range(2))


def rows(folder: Path, file: str) -> list[list[str]]:
    with (folder / file).open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def numbers(cells: list[str]) -> list[float | None]:
    return [float(cell) if cell else None for cell in cells]


def shown(folder: Path) -> list[str]:
    return Reader((folder / "index.html").read_text(encoding="utf-8")).texts


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


PIXELS = {  # label, then prediction of both reports
    "i #1%.png": ([[0, 0, 1, 1], [0, 0, 1, 255]], [[0, 0, 1, 0], [0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]]),
    "<b>.png": ([[0, 0], [1, 1]], [[0, 0], [1, 1]], [[0, 0], [0, 1]]),
    "ignored.png": ([[255, 255]], [[0, 0]], [[1, 1]]),
}


def write_segmentation(folder: Path, dataset, which: int, *, images: tuple[int, ...] = (0, 1, 2)) -> Path:
    result = SegmentationResult.empty(3, with_images=True)
    for index in images:
        label, predicted = (np.uint8(one) for one in list(PIXELS.values())[index][:: which + 1][:2])
        confusion = confusion_matrix(label, predicted, 3, 255)
        result.confusion += confusion
        result.images.add(index, confusion, label, predicted)
    write_report(folder, lambda new: write_segmentation_report(new, dataset, result, {}, ""))
    return folder


@pytest.fixture(scope="module")
def segmentation_reports(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("segmentation")
    (folder / "val.lst").write_text("".join(f"{name}\tl{k}.png\n" for k, name in enumerate(PIXELS)))
    for k, (name, (label, *_)) in enumerate(PIXELS.items()):
        cv2.imwrite(str(folder / name), np.zeros((*np.shape(label), 3), np.uint8))
        cv2.imwrite(str(folder / f"l{k}.png"), np.uint8(label))
    dataset = open_segmentation(segmentation_config(), folder, "val")
    return tuple(write_segmentation(folder / f"r{k + 1}", dataset, k) for k in range(2))


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


def altered(report: Path, folder: Path, change: Callable[[dict], None]) -> Path:
    """A copy whose report.json is changed."""
    shutil.copytree(report, folder)
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    change(facts)
    write_text(folder / "report.json", json.dumps(facts))
    return folder


def replaced(report: Path, folder: Path, file: str, *pairs: tuple[str, str]) -> Path:
    """A copy in whose file texts are replaced."""
    folder = altered(report, folder, lambda facts: None)
    text = (folder / file).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    write_text(folder / file, text)
    return folder


def test_images_that_only_one_report_has_are_left_out_and_counted(segmentation_reports, tmp_path, capsys):
    first, second = segmentation_reports
    other = replaced(first, tmp_path / "other", "images.csv", ("<b>.png", "c.png"))
    replaced(other, tmp_path / "moved", "image_classes.csv", ("<b>.png", "c.png"))
    page = compare_reports(tmp_path / "moved", second, tmp_path / "page").parent
    said = capsys.readouterr().out
    assert f"1 of 3 images of {tmp_path / 'moved'} are not in the other report and left out" in said
    assert "2 images and 3 classes are in both" in said and "other labels" not in said
    score = dict(row[:2] for row in rows(page, "classes.csv")[1:])
    assert float(score[REGIONS[0]]) == 4 / 5 and float(score[REGIONS[1]]) == 2 / 3  # of the first image alone
    with pytest.raises(UserError, match=r"image_classes\.csv is damaged: images\.csv has no image <b>\.png"):
        compare_reports(other, second, tmp_path / "page")


def test_a_detectors_images_are_the_same_by_their_names_whatever_their_ids(detection_reports, tmp_path, capsys):
    first, second = detection_reports
    other = replaced(second, tmp_path / "ids", "images.csv", (f"{D},14", f"{D},99"))
    compare_reports(first, other, tmp_path / "page")
    assert "4 images and 3 classes are in both" in capsys.readouterr().out


def test_the_common_classes_are_compared(detection_reports, tmp_path, capsys):
    first, second = detection_reports
    other = altered(second, tmp_path / "names", lambda facts: facts.update(classes=["square", "ball", BAR_NAME]))
    page = compare_reports(first, other, tmp_path / "page").parent
    said = capsys.readouterr().out
    assert f"1 classes of {first} are not in the other report and left out: disc" in said
    assert "left out: ball" in said and "other labels" not in said
    score = {row[0]: row[1:] for row in rows(page, "metrics.csv")[1:]}
    assert float(score["bbox AP50"][0]) == pytest.approx(51 * 0.5 / 101)  # of the squares alone
    none = altered(second, tmp_path / "none", lambda facts: facts.update(classes=["a", "b", "c"]))
    with pytest.raises(UserError, match="have no class in common"):
        compare_reports(first, none, tmp_path / "page")


def test_other_labels_and_a_kind_that_only_one_has_are_said(detection_reports, tmp_path, capsys):
    first, second = detection_reports
    dataset = write_data(tmp_path / "less", objects=OBJECTS[:-1])
    compare_reports(first, write_detection(tmp_path / "r3", dataset, results()), tmp_path / "page")
    assert "1 images have other labels in the second report" in capsys.readouterr().out
    boxes = altered(second, tmp_path / "boxes", lambda facts: facts["kinds"].pop("segm"))
    compare_reports(first, boxes, tmp_path / "page")
    said = capsys.readouterr().out
    assert "Only one of the reports has scores of segm: left out" in said and "segm mAP" not in said


def test_a_report_without_facts_about_pictures_has_none_shown(detection_reports, tmp_path):
    olds = [altered(one, tmp_path / one.name, lambda facts: facts.pop("pictures")) for one in detection_reports]
    page = compare_reports(*olds, tmp_path / "page").parent
    assert not list((page / "pictures").glob("better*"))
    odd = altered(olds[0], tmp_path / "odd", lambda facts: facts.update(pictures={"../x.jpg": 3, "report.json": 3}))
    assert not list((compare_reports(odd, olds[1], tmp_path / "page").parent / "pictures").glob("better*"))


def test_a_picture_that_is_none_is_left_out_and_none_is_copied_as_it_is(detection_reports, tmp_path):
    first, second = detection_reports
    report = altered(first, tmp_path / "odd", lambda facts: None)
    (report / "pictures" / "worst_03.jpg").write_text("<script>")
    page = compare_reports(report, second, tmp_path / "page").parent
    assert not list((page / "pictures").glob("better*"))
    (report / "pictures" / "worst_03.jpg").write_bytes((first / "pictures" / "worst_03.jpg").read_bytes() + b"<script>")
    page = compare_reports(report, second, tmp_path / "page").parent
    assert b"<script>" not in (page / "pictures" / "better_01_first.jpg").read_bytes()


def npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def huge() -> bytes:
    """An array that says to have 10^15 numbers, in a few bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("image.npy", header.getvalue() + bytes(80))
    return content.getvalue()


def matches(report: Path, **other) -> bytes:
    with np.load(report / "matches_bbox.npz", allow_pickle=False) as arrays:
        return npz(**(dict(arrays) | other))


def test_damaged_matches_are_one_line(detection_reports, tmp_path):
    first, second = detection_reports
    found = len(FOUND) + 1
    for number, (content, said) in enumerate((
        (b"", "zip"), (b"PK\x03\x04 nothing", "zip"), (matches(second)[:-400], "zip"),
        (npz(image=np.zeros(1)), "it has no array label"), (huge(), "it has no array label"),
        (matches(second, image=np.array([{}] * found)), "image.npy holds no numbers"),
        (matches(second, image=np.full(found, 4, np.int32)), "image goes beyond what there is"),
        (matches(second, label=np.full(found, -1, np.int16)), "label goes beyond what there is"),
        (matches(second, score=np.full(found, np.nan)), "score goes beyond what there is"),
        (matches(second, score=np.zeros(3)), "score has another shape or type"),
        (matches(second, matched=np.zeros((found, 4))), "matched has another shape or type"),
        (matches(second, matched=np.full((found, 4), 2**10, np.uint16)), "matched goes beyond what there is"),
    )):  # fmt: skip
        folder = altered(second, tmp_path / str(number), lambda facts: None)
        (folder / "matches_bbox.npz").write_bytes(content)
        with pytest.raises(UserError, match=rf"matches_bbox\.npz is damaged.*{said}"):
            compare_reports(first, folder, tmp_path / "page")
    (folder / "matches_bbox.npz").unlink()
    with pytest.raises(UserError, match=r"matches_bbox\.npz is damaged \(it is not there"):
        compare_reports(first, folder, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_an_array_takes_no_more_memory_than_its_file_has_bytes(detection_reports, tmp_path):
    (tmp_path / "x.npz").write_bytes(huge())
    report = altered(detection_reports[0], tmp_path / "r", lambda facts: None)
    (report / "x.npz").write_bytes(huge())
    with pytest.raises(UserError, match="image.npy is cut off"):
        read_report(report).arrays("x.npz", ["image"])


@pytest.mark.parametrize(
    "old,new,said",
    [
        ("truth", "truths", "no column truth"),
        ("in_top5", "right", "no column right, or several"),
        (",0.9,1,1", ",nan,1,1", "probability_of_truth of row 6 is 'nan'"),
        (",1,1\n", ",1\n", "row 2 has 7 cells, the first row 8"),
        (",1,1\n", ",2,1\n", "in_top5 of row 2 is '2'"),
        (",1,1\n", ",0.5,1\n", "right and in_top5 are 0 or 1"),
        (NAMES[0], "bird", "truth is 'bird', which is no class"),
        ("\n", '\n"', "unexpected end of data|expected after"),
    ],
)
def test_a_damaged_table_is_one_line(classification_reports, tmp_path, old, new, said):
    first, second = classification_reports
    broken = replaced(second, tmp_path / "broken", "images.csv", (old, new))
    with pytest.raises(UserError, match=rf"images\.csv is damaged.*{said}"):
        compare_reports(first, broken, tmp_path / "page")


def test_what_is_no_report_is_one_line(detection_reports, classification_reports, tmp_path):
    first, second = detection_reports
    (tmp_path / "empty").mkdir()
    changes = {
        "newer": ({"format": 99}, "newer version"), "data": ({"task": None, "kind": "data"}, "it is a page of data"),
        "part": ({"task": None}, "it is not whole"), "names": ({"classes": [1]}, "classes is no list of names"),
        "twice": ({"classes": ["a", "a", "b"]}, "two classes have the name a"),
        "odd": ({"task": "x"}, "only reports of"),
        "half": ({"classes": ["\ud800"]}, "half of a character"), "kinds": ({"kinds": 3}, "neither boxes nor masks"),
    }  # fmt: skip
    for name, (new, said) in changes.items():
        other = altered(second, tmp_path / name, lambda facts, new=new: facts.update(new))
        with pytest.raises(UserError, match=said):
            compare_reports(first, other, tmp_path / "page")
    both = [altered(one, tmp_path / f"x{one.name}", lambda facts: facts.update(task="x")) for one in detection_reports]
    with pytest.raises(UserError, match="reports of x cannot be compared"):
        compare_reports(*both, tmp_path / "page")
    for folder, said in (
        (tmp_path / "empty", "it has no report.json"), (tmp_path / "none", "is no folder"),
        (first / "images.csv", "is no folder"), (classification_reports[0], "only reports of the same task"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            compare_reports(first, folder, tmp_path / "page")


def test_a_page_replaces_an_earlier_one_and_nothing_else(detection_reports, classification_reports, tmp_path):
    first, second = detection_reports
    for _ in range(2):
        compare_reports(first, second, tmp_path / "page")
    mine = altered(second, tmp_path / "mine", lambda facts: None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for out, said in (
        (mine, "holds a report of an evaluation"), (first / "page", "lies in the first report"),
        (second / "page" / "x", "lies in the second report"), (second, "holds a report of an evaluation"),
        (tmp_path / "other", "notes.txt, which no report has written"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"--out .*{said}"):
            compare_reports(first, second, out)
    with pytest.raises(UserError, match="is no report of eval.py --report_dir: it is a comparison of two reports"):
        compare_reports(first, tmp_path / "page", tmp_path / "again")


def test_the_command_says_it_in_words(classification_reports, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(list(map(str, classification_reports)))
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("5 images and 3 classes are in both; 1000 resamples; ")
    assert said[1].startswith("Top_1_Acc: 0.6000 -> 0.8000, +0.2000 [-") and said[1].endswith(f"], {CHANCE}")
    assert said[-1] == "outputs/comparison/index.html" and (tmp_path / said[-1]).is_file()
    with pytest.raises(SystemExit) as end:
        main([str(classification_reports[0]), str(tmp_path)])
    assert end.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as end:
        main([*map(str, classification_reports), "--font", "none.ttf"])
    assert end.value.code == 2 and "none.ttf is no font file" in capsys.readouterr().err
