"""The folder of a report: replaced by the next one, and never at the cost of somebody else's files."""

import json
import os
from pathlib import Path

import pytest

from src.errors import UserError
from src.files import write_text
from src.outputs import Inputs
from src.reports.folder import check_report_folder, read_facts, report_files, write_report

NOTHING = Inputs()


def fill(*names: str, **facts):
    def write(folder: Path) -> dict:
        for name in names:
            write_text(folder / name, f"{name} of {facts}")
        return facts

    return write


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_report_takes_the_place_of_an_earlier_one_and_leaves_nothing_of_it(tmp_path):
    folder = tmp_path / "in" / "report"
    write_report(folder, fill("index.html", "old.csv", "pictures/a.png", number=1))
    check_report_folder("report_dir", folder, NOTHING)
    write_report(folder, fill("index.html", "new.csv", number=2))
    assert sorted(os.listdir(folder)) == ["index.html", "new.csv", "report.json"]
    assert read_facts(folder) == {"format": 1, "number": 2, "files": ["index.html", "new.csv", "report.json"]}
    assert "'number': 2" in content(folder)["index.html"]
    assert os.listdir(tmp_path / "in") == ["report"]


@pytest.mark.parametrize("foreign", ["notes.txt", "index.html", "pictures/mine.png", "sub/x", "pictures"])
def test_a_folder_with_anything_else_in_it_is_refused_in_one_line(tmp_path, foreign):
    folder = tmp_path / "report"
    write_report(folder, fill("index.html", "pictures/a.png") if foreign == "notes.txt" else fill("a.csv"))
    write_text(folder / foreign, "mine")
    with pytest.raises(UserError, match=f"^report_dir {folder} holds {foreign.split('/x')[0]}, which no report has"):
        check_report_folder("report_dir", folder, NOTHING)
    assert (folder / foreign).read_text() == "mine"


def test_a_report_of_another_kind_is_not_replaced(tmp_path):
    write_report(tmp_path / "r", fill("index.html"))
    write_report(tmp_path / "page", lambda folder: {"kind": "data"} | fill("index.html")(folder))
    check_report_folder("report_dir", tmp_path / "r", NOTHING)
    check_report_folder("--out", tmp_path / "page", NOTHING, kind="data")
    with pytest.raises(UserError, match=f"^--out {tmp_path / 'r'} holds a report of an evaluation: give another"):
        check_report_folder("--out", tmp_path / "r", NOTHING, kind="data")
    with pytest.raises(UserError, match=f"^report_dir {tmp_path / 'page'} holds a page of data: give another"):
        check_report_folder("report_dir", tmp_path / "page", NOTHING)


def test_where_other_files_may_lie_too_only_the_names_of_the_report_are_refused(tmp_path):
    write_text(tmp_path / "notes.txt", "mine")
    check_report_folder("report_dir", tmp_path, NOTHING, ("matrix.csv",))
    write_report(tmp_path, fill("index.html", "matrix.csv"))
    check_report_folder("report_dir", tmp_path, NOTHING, ("matrix.csv", "more.csv"))
    write_report(tmp_path, fill("index.html"))
    assert sorted(os.listdir(tmp_path)) == ["index.html", "notes.txt", "report.json"]
    write_text(tmp_path / "matrix.csv", "mine")
    with pytest.raises(UserError, match="holds matrix.csv"):
        check_report_folder("report_dir", tmp_path, NOTHING, ("matrix.csv",))


def test_no_list_of_files_leads_out_of_the_folder(tmp_path):
    folder = tmp_path / "report"
    write_text(tmp_path / "precious", "mine")
    odd = ["../precious", "a/../../precious", str(tmp_path / "precious"), "pictures/../../precious", 3, None, "."]
    write_text(folder / "report.json", json.dumps({"files": ["report.json", *odd]}))
    assert report_files(folder) == ["report.json"]
    write_report(folder, fill("index.html"))
    assert (tmp_path / "precious").read_text() == "mine"


def test_thresholds_that_somebody_has_edited_are_not_replaced(tmp_path):
    folder, name = tmp_path / "r", "thresholds.yaml"
    for _ in range(2):
        check_report_folder("report_dir", folder, NOTHING)
        write_report(folder, fill("index.html", name))
    (folder / name).write_text("cat: 0.4")
    words = f"^report_dir {folder}: thresholds.yaml was edited since its report was written: move it elsewhere, or give"
    with pytest.raises(UserError, match=words):
        check_report_folder("report_dir", folder, NOTHING)
    assert (folder / name).read_text() == "cat: 0.4"
    (folder / name).rename(tmp_path / name)
    check_report_folder("report_dir", folder, NOTHING)
    for told in ({}, {"sha256": 3}, {"sha256": {"index.html": "0"}}):  # reports of before, and what anybody may write
        write_text(folder / "report.json", json.dumps({"files": ["report.json", "index.html", name]} | told))
        write_text(folder / name, "old")
        check_report_folder("report_dir", folder, NOTHING)


def test_a_report_that_fails_leaves_the_one_before_as_it_was(tmp_path):
    write_report(tmp_path / "r", fill("index.html", "a.csv", number=1))
    before = content(tmp_path / "r")

    def fail(folder: Path) -> dict:
        write_text(folder / "index.html", "half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_report(tmp_path / "r", fail)
    assert content(tmp_path / "r") == before and os.listdir(tmp_path) == ["r"]


def test_a_report_that_is_killed_while_it_takes_another_ones_place_can_be_written_again(tmp_path, monkeypatch):
    folder = tmp_path / "r"
    write_report(folder, fill("index.html", "a.csv", "c.csv"))
    moved = os.replace

    def stop(source, target):
        if Path(target) == folder / "b.csv":
            raise KeyboardInterrupt
        moved(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(folder, fill("index.html", "a.csv", "b.csv"))
    assert not (folder / "index.html").exists()
    monkeypatch.undo()
    check_report_folder("report_dir", folder, NOTHING)
    write_report(folder, fill("index.html", "b.csv"))
    assert sorted(os.listdir(folder)) == ["b.csv", "index.html", "report.json"]


def test_a_file_and_a_place_that_cannot_be_written_are_named(tmp_path):
    write_text(tmp_path / "file", "")
    for place, words in (
        ("file", "is a file"), ("file/in", "the folder cannot be made"), ("/proc/r", "the folder cannot be written"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"^report_dir {tmp_path / place}:? {words}"):
            check_report_folder("report_dir", tmp_path / place, NOTHING)
    with pytest.raises(UserError, match="the report cannot be written"):
        write_report(tmp_path / "file" / "in", fill("index.html"))


def test_facts_of_a_newer_version_or_of_no_report_are_refused(tmp_path):
    write_text(tmp_path / "report.json", '{"format": 99, "files": []}')
    with pytest.raises(UserError, match="newer version"):
        read_facts(tmp_path)
    write_text(tmp_path / "report.json", "[]")
    with pytest.raises(UserError, match="is not of a report"):
        read_facts(tmp_path)
