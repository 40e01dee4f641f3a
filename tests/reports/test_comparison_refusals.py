"""Reports that differ in what they are about, are damaged, or are none: one line each; and the command."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.commands.compare import compare_reports, main
from src.errors import UserError
from src.files import write_text
from src.reports.comparison import CHANCE
from src.reports.saved import read_report
from tests.reports.four_images import BAR_NAME, FOUND, OBJECTS, results, write_data
from tests.reports.test_segmentation_report import NAMES as REGIONS
from tests.reports.two_reports import (
    NAMES,
    D,
    rows,
    write_detection,
)


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
