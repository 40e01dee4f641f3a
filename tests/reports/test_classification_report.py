"""The report of a classification: four images and an unreadable one, whose numbers are worked out by hand."""

import csv
import os
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest

from src.config import load_config
from src.data.formats.image_folder import ImageFolder
from src.errors import UserError
from src.evaluation.classification_images import ClassScores
from src.outputs import Inputs
from src.pages.page import Page
from src.reports.classification_files import FOUR_FILES
from src.reports.confusions import confusion_section
from src.reports.folder import read_facts
from src.tasks import TASKS
from src.tasks.classification import classify_dataset
from tests.evaluation.test_classification_eval import DEMO
from tests.process.test_channel import connect, together

ODD = '<i>a"\'&$x^2$#%25 猫'
NAMES = sorted([ODD, "cat", "never"])  # the odd one, cat, never
LOGITS = np.float32([[2, 0, 0], [1, 0, 0], [0, 3, 0], [0, 4, 0]])  # of image k; all but the third are right
LABELS = [0, 0, 0, 1]


def config(*keys: str):
    settings = ["--num_classes", "3", "--input_size", "32", "--eval_resize", "32", "--test_batch_size", "2"]
    return load_config(DEMO, [*settings, "--img_mean", "[0,0,0]", "--img_std", "[1,1,1]", *keys])


def model(image: ms.Tensor) -> ms.Tensor:
    return ms.Tensor(LOGITS[np.round(image.asnumpy()[:, 0, 16, 16]).astype(int)])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ImageFolder:
    root = tmp_path_factory.mktemp("classes")
    for name in NAMES:
        (root / name).mkdir()
    for k, label in enumerate(LABELS):
        cv2.imwrite(str(root / NAMES[label] / f"{k}.png"), np.full((40, 50, 3), k, np.uint8))
    (root / "cat" / "broken.png").write_bytes(b"no image")
    return ImageFolder(root)


def score(cfg, dataset, *more) -> dict[str, float]:
    return TASKS["classification"].score(cfg, model, dataset, *more)


@pytest.fixture(scope="module")
def report(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "report"
    score(config("--report_dir", str(folder)), dataset)
    return folder


def rows(report: Path, file: str) -> list[list[str]]:
    with (report / file).open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def softmax(logits: list[float]) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_every_number_of_the_classes_is_that_worked_out_by_hand(report):
    head, *classes = rows(report, "classes.csv")
    assert head == [
        "class", "images", "unreadable", "predicted", "right", "precision", "recall", "F1", "top-5 recall",
    ]  # fmt: skip
    assert [row[0] for row in classes] == NAMES == [ODD, "cat", "never"]
    # sklearn.metrics.precision_recall_fscore_support([0, 0, 0, 1], [0, 0, 1, 1], zero_division=0)
    expected = [[3, 0, 2, 2, 1, 2 / 3, 0.8, 1], [1, 1, 2, 1, 0.5, 1, 2 / 3, 1], [0] * 8]
    assert [[float(one) for one in row[1:]] for row in classes] == [pytest.approx(one) for one in expected]
    matrix = [["true \\ predicted", *NAMES], [ODD, "2", "1", "0"], ["cat", "0", "1", "0"], ["never", "0", "0", "0"]]
    assert rows(report, "confusion.csv") == rows(report, "confusion_matrix.csv") == matrix
    head, pair = rows(report, "confusions.csv")
    assert head == ["truth", "taken for", "images", "share of the class"] and pair[:3] == [ODD, "cat", "1"]
    assert float(pair[3]) == pytest.approx(1 / 3)


def test_every_number_of_the_scores_is_that_worked_out_by_hand(report, dataset):
    facts, own = read_facts(report), score(config(), dataset)
    loss = -np.mean([np.log(softmax(LOGITS[k])[label]) for k, label in enumerate(LABELS)])
    assert own == pytest.approx({"Loss": loss, "Top_1_Acc": 3 / 5, "Top_5_Acc": 4 / 5})
    macro = {"macro_precision": 0.75, "macro_recall": 5 / 6, "macro_f1": 11 / 15}  # of the two classes that occur
    assert facts["metrics"] == pytest.approx(own | macro)
    assert {name: float(value) for name, value in rows(report, "metrics.csv")[1:]} == facts["metrics"]
    assert (facts["task"], facts["images"], facts["unreadable"]) == ("classification", 5, 1)
    assert facts["classes"] == NAMES and facts["protocol"]["size"] == "32x32"
    assert set(facts["files"]) >= {*FOUR_FILES, "index.html", "images.csv"}


def test_every_image_stands_with_its_probabilities(report):
    head, *images = rows(report, "images.csv")
    assert head == [
        "image", "truth", "predicted", "right", "confidence", "probability_of_truth", "in_top5", "readable",
    ]  # fmt: skip
    unreadable = next(row for row in images if row[0] == "cat/broken.png")
    assert unreadable[1:] == ["cat", "", "0", "", "", "0", "0"]
    images.remove(unreadable)
    assert [row[:4] for row in images] == [
        [f"{ODD}/0.png", ODD, ODD, "1"], [f"{ODD}/1.png", ODD, ODD, "1"], [f"{ODD}/2.png", ODD, "cat", "0"],
        ["cat/3.png", "cat", "cat", "1"],
    ]  # fmt: skip
    for row, logits, label in zip(images, LOGITS, LABELS):
        shares = softmax(logits)
        assert [float(one) for one in row[4:]] == pytest.approx([shares.max(), shares[label], 1, 1])


def test_the_errors_that_it_is_surest_of_are_shown_and_what_was_unreadable_is_named(report):
    names = sorted(path.name for path in (report / "pictures").iterdir())
    assert names == ["confusion.png", "error_01.jpg", "f1.png"]
    row = [row[0] for row in rows(report, "images.csv")[1:]].index(f"{ODD}/2.png")
    assert read_facts(report)["pictures"] == {"pictures/error_01.jpg": row}
    text = (report / "index.html").read_text(encoding="utf-8")
    sure = softmax(LOGITS[2])
    shown = "&lt;i&gt;a&quot;&#x27;&amp;$x^2$#%25 猫"
    assert f"{shown}, taken for cat ({sure[1]:.3f}, the truth {sure[0]:.3f}): {shown}/2.png" in text
    assert "<i>" not in text and "Neither there nor predicted: never." in text
    assert "broken.png" in text and "counted as wrong" in text


def test_several_ranks_write_the_report_that_one_writes(report, dataset, tmp_path):
    cfg = config("--report_dir", str(tmp_path / "ranks"))
    channels, _ = connect(3)
    together(channels, lambda process: score(cfg, dataset, process))
    for name in ("classes.csv", "images.csv", "confusion.csv", "confusions.csv", *FOUR_FILES):
        assert (tmp_path / "ranks" / name).read_bytes() == (report / name).read_bytes(), name


def test_without_a_report_nothing_is_kept_of_an_image_and_no_number_is_another(dataset):
    plain, full = (classify_dataset(config(), model, dataset, with_images=kept) for kept in (False, True))
    assert plain.images is None and [one.index for one in full.images] == [0, 1, 2, 3, 4]
    assert plain.metrics() == full.metrics() and plain.unreadable == full.unreadable
    np.testing.assert_array_equal(plain.confusion, full.confusion)


def test_among_files_of_others_the_four_files_are_written_as_ever_and_the_page_where_it_has_room(dataset, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    cfg = config("--report_dir", str(folder))
    TASKS["classification"].check_report(cfg, Inputs())
    for _ in range(2):
        score(cfg, dataset)
    assert (folder / "index.html").exists() and (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("taken", [FOUR_FILES[:1], FOUR_FILES[1:], ["classes.csv", FOUR_FILES[2]]])
def test_one_of_the_four_files_that_no_report_has_written_is_not_replaced(tmp_path, taken):
    for name in taken:
        (tmp_path / name).write_text("mine")
    first = min(set(taken) & set(FOUR_FILES))
    with pytest.raises(UserError, match=f"^report_dir {tmp_path} holds {first}, which no report has written: give an"):
        TASKS["classification"].check_report(config("--report_dir", str(tmp_path)), Inputs())
    assert sorted(os.listdir(tmp_path)) == sorted(taken)


def test_the_four_files_of_a_report_of_before_there_was_a_page_are_replaced(dataset, report, tmp_path):
    for name in FOUR_FILES:
        (tmp_path / name).write_text("old")
    cfg = config("--report_dir", str(tmp_path))
    TASKS["classification"].check_report(cfg, Inputs())
    score(cfg, dataset)
    assert (tmp_path / "index.html").exists()
    (tmp_path / FOUR_FILES[0]).unlink()
    TASKS["classification"].check_report(cfg, Inputs())  # report.json says that the other three are its own
    assert (tmp_path / FOUR_FILES[2]).read_bytes() == (report / FOUR_FILES[2]).read_bytes()


def test_a_name_of_the_page_that_somebody_has_taken_leaves_the_four_files(dataset, tmp_path, caplog, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.csv").write_text("mine")
    cfg = config("--report_dir", str(folder))
    TASKS["classification"].check_report(cfg, Inputs())
    assert "holds metrics.csv, which no report has written" in caplog.text and "are written" in caplog.text
    for _ in range(2):
        score(cfg, dataset)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("confusion_matrix.csv, ") and "but no page: " in last and "holds metrics.csv" in last
    assert sorted(os.listdir(folder)) == sorted([*FOUR_FILES, "metrics.csv"])
    assert (folder / "metrics.csv").read_text() == "mine"
    (folder / "confusion_matrix.csv").unlink()
    with pytest.raises(UserError, match="would replace a file of val_dataset"):
        TASKS["classification"].check_report(cfg, Inputs(folders=(("val_dataset", folder),)))


def test_scores_of_classes_where_nothing_is_known():
    assert ClassScores.of(np.zeros((2, 2), int)).macro() == {f"macro_{one}": 0 for one in ("precision", "recall", "f1")}


def test_of_a_thousand_classes_those_with_the_most_errors_are_drawn(tmp_path):
    confusion = np.diag(np.full(1000, 7))
    confusion[7, 900], confusion[900, 31] = 5, 3
    page = Page(tmp_path, "many")
    confusion_section(page, confusion, [f"class {k}" for k in range(1000)], "", "images")
    text = page.write().read_text()
    assert "Of 1000 classes these are the 40 with the most errors" in text
    assert max(cv2.imread(str(tmp_path / "pictures" / "confusion.png")).shape) < 2500
    pairs = rows(tmp_path, "confusions.csv")
    assert [row[:3] for row in pairs[1:]] == [["class 7", "class 900", "5"], ["class 900", "class 31", "3"]]
    assert len(rows(tmp_path, "confusion.csv")) == 1001
