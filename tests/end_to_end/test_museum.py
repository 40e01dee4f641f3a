"""What an older commit left still works: runs go on, weights and exported files score, predictions are read.

tests/museum/README.md says what lies there. Nothing is imported from the project but its commands, which run in this
process, in a copy of the museum.
"""

import csv
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.end_to_end.commands import ROOT, run

MUSEUM = ROOT / "tests" / "museum"
CHANGED = MUSEUM / "ranked_by_logit"
DETECTORS = ("mask_rcnn_hrnet", "mask_rcnn_spinenet", "mask_rcnn_resnet", "pointrend_hrnet")
DATA = {"hrnet_cls": "classes", "hrnet_seg_cityscapes": "streets", "hrnet_seg_lip": "persons"}
IMAGES = {
    "hrnet_cls": "data/classes/val/star",
    "hrnet_seg_cityscapes": "data/streets/leftImg8bit/val/corvallis",
    "hrnet_seg_lip": "data/persons/TrainVal_images/val_images",
}
FAMILIES = (*DETECTORS, *DATA)
COMPILED = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]  # what compiles large graphs: with --all
LOADED = [*COMPILED[: len(DETECTORS)], *DATA]  # a detector's MINDIR file is compiled too
RECORDS = ("--mindrecord_dir", "data/records")


@pytest.fixture(scope="module", autouse=True)
def nothing_in_the_museum_changes():
    before = museum_digest()
    yield
    assert museum_digest() == before


def museum_digest() -> dict[str, str]:
    files = sorted(path for path in MUSEUM.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture()
def copy(tmp_path, monkeypatch):
    """Make the copy of a family and its data the working folder; the family's folder in it."""

    def enter(family: str) -> Path:
        data = DATA.get(family, "shapes")
        shutil.copytree(MUSEUM / "data" / data, tmp_path / "data" / data)
        if family in DETECTORS:
            shutil.copytree(MUSEUM / "data" / "records", tmp_path / "data" / "records")
        shutil.copytree(MUSEUM / family, tmp_path / family)
        for packed in list((tmp_path / family).rglob("*.gz")):
            packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
            packed.unlink()
        monkeypatch.chdir(tmp_path)
        return Path(family)

    return enter


def command(name: str, *arguments: object) -> str:
    """Run a script of the repository's root, or a module, in the copy of the museum; what it printed."""
    return run(*(() if name.endswith(".py") else ("-m",)), name, *arguments, folder=Path.cwd())


def config(family: Path) -> tuple:
    (path,) = family.glob("run/*/config.yaml")
    return "--config_path", path


def best(family: Path) -> tuple:
    (path,) = family.glob("run/*/best_ckpt/*.ckpt")
    return *config(family), "--checkpoint_path", path


def exported(family: Path, backend: str) -> tuple:
    return *config(family), "--checkpoint_path", family / f"model.{backend}", "--backend", backend


def expected(family: Path) -> dict:
    return json.loads((family / "expected.json").read_text())


def scores(printed: str) -> dict[str, float]:
    """What eval.py prints, by name."""
    found = dict(re.findall(r"^(bbox_mAP|segm_mAP|mIoU): (-?\d+\.\d+)$", printed, re.MULTILINE))
    found |= dict(re.findall(r"'(Loss|Top_1_Acc|Top_5_Acc)': (\d+\.\d+)", printed))
    found |= dict(re.findall(r"(pixel accuracy|mean class accuracy): (\d+\.\d+)", printed))
    return {key: float(value) for key, value in found.items()}


def near(wanted: dict[str, float]):
    """Scores up to what another processor's rounding can do to them."""
    return pytest.approx(wanted, rel=1e-3, abs=5e-3)


def table(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def losses_to_the_end(family: Path) -> list[dict[str, float]]:
    """Of the steps after the stored state: as they were then, and where a change was meant, those since it."""
    stored, since = table(family / "losses_to_the_end.csv"), CHANGED / family.name / "losses_to_the_end.csv"
    changed = table(since) if since.exists() else []
    return stored[: len(stored) - len(changed)] + changed


def check_resume(family: Path, *more: object) -> None:
    """Go on with the stored state, mid-epoch, and compare every step that follows with the run that was not stopped."""
    printed = command("train.py", *config(family), "--resume", 1, "--run_eval", 0, *more)
    assert "Resumed from" in printed and printed.count("is of an earlier version and goes on as it was") == 1
    (losses,) = family.glob("run/*/losses.csv")
    rows, wanted = table(losses), losses_to_the_end(family)
    assert len(rows) == expected(family)["last_step"] and len(wanted) == 6
    for row, other in zip(rows[-6:], wanted):
        for name in ("epoch", "step", "global_step"):
            assert row.pop(name) == other[name]
        assert row.pop("lr") == pytest.approx(other["lr"], rel=1e-6)
        assert row == pytest.approx({name: other[name] for name in row}, rel=1e-3, abs=1e-5), other


def check_predictions(family: Path, stored_in: str, *model: object) -> None:
    """Predictions on the stored images against the stored ones."""
    images = IMAGES.get(family.name, "data/shapes/train/data")
    out = Path("new.json" if not family.name.startswith("hrnet_seg") else "new")
    command("infer.py", *model, "--pred_input", images, "--pred_output", out)
    if out.is_dir():
        for stored in (family / "pictures").iterdir():
            mine, other = cv2.imread(str(out / stored.name), -1), cv2.imread(str(stored), -1)
            assert mine.shape == other.shape and (mine == other).mean() > 0.998
        return
    mine, stored = json.loads(out.read_text()), json.loads((family / stored_in).read_text())
    assert list(mine) == list(stored) and any(entry["predictions"] for entry in stored.values())
    for path, entry in stored.items():
        compare = same_classes if family.name == "hrnet_cls" else same_objects
        compare(entry["predictions"], mine[path]["predictions"])


def same_classes(stored: list[dict], found: list[dict]) -> None:
    for wanted, item in zip(stored, found, strict=True):
        assert item.keys() == wanted.keys()
        for key, value in wanted.items():
            assert item[key] == (pytest.approx(value, abs=1e-3) if isinstance(value, float) else value)


def same_objects(stored: list[dict], found: list[dict]) -> None:
    """The same objects; equal scores may stand in another order."""
    assert len(stored) == len(found)
    free = list(found)
    for item in stored:
        same = [other for other in free if other["class"] == item["class"]]
        assert same, item
        partner = min(same, key=lambda other: distance(other["bbox"], item["bbox"]))  # noqa: B023
        free.remove(partner)
        assert partner["bbox"] == pytest.approx(item["bbox"], abs=0.05)
        assert partner["score"] == pytest.approx(item["score"], abs=1e-3)
        area = coco_mask.area(item["mask"])
        assert area == 0 or coco_mask.iou([partner["mask"]], [item["mask"]], [0])[0, 0] > 1 - 3 / area


def distance(box: dict, other: dict) -> float:
    return sum(abs(box[side] - other[side]) for side in box)


@pytest.mark.parametrize("family", COMPILED)
def test_a_stored_run_goes_on_to_the_losses_of_the_run_that_was_not_stopped(copy, family):
    check_resume(copy(family))


@pytest.mark.parametrize("family", COMPILED)
def test_stored_weights_score_what_they_did(copy, family):
    family = copy(family)
    assert scores(command("eval.py", *best(family))) == near(expected(family)["eval"])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_stored_weights_find_what_they_found(copy, family):
    family = copy(family)
    check_predictions(family, "inference.json", *best(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stored_onnx_file_scores_as_it_did_and_finds_what_the_weights_found(copy, family):
    family = copy(family)
    assert scores(command("eval.py", *exported(family, "onnx"))) == near(expected(family)["eval_onnx"])
    own = "inference_onnx.json"  # where scores are equal, onnxruntime keeps other boxes
    check_predictions(family, own if (family / own).exists() else "inference.json", *exported(family, "onnx"))


@pytest.mark.parametrize("family", LOADED)
def test_a_stored_mindir_file_scores_as_it_did(copy, family):
    family = copy(family)
    assert scores(command("eval.py", *exported(family, "mindir"))) == near(expected(family)["eval_mindir"])


@pytest.mark.parametrize("family", DETECTORS)
def test_a_stored_prediction_file_scores_as_its_weights_did_under_its_own_protocol(copy, family):
    family = copy(family)
    printed = command("eval.py", *config(family), "--prediction_path", family / "predictions.json")
    assert "the network is not run" in printed
    assert scores(printed) == pytest.approx(expected(family)["eval"], abs=1e-4)
    protocol = json.loads((family / "predictions.json.protocol").read_text())
    for name in ("config", "checkpoint", "predictions"):
        assert f"{name} {protocol[name]}" in printed


def test_stored_records_are_whole_and_evaluate_as_the_folder_does(copy):
    family = copy("mask_rcnn_hrnet")
    shutil.rmtree("data/shapes")
    printed = command("src.data.mindrecord", *config(family), *RECORDS, "--verify_only")
    assert re.search(r"^train: 10 images in 2 shards verified", printed, re.MULTILINE)
    assert re.search(r"^validation: 10 images in 2 shards verified", printed, re.MULTILINE)
    keys = ("--val_data_type", "mindrecord", *RECORDS)
    assert scores(command("eval.py", *exported(family, "onnx"), *keys)) == near(expected(family)["eval_onnx"])


@pytest.mark.slow
def test_a_stored_run_goes_on_from_stored_records(copy):
    family = copy("mask_rcnn_hrnet")
    shutil.rmtree("data/shapes")
    check_resume(family, "--train_data_type", "mindrecord", "--val_data_type", "mindrecord", *RECORDS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stored_foreign_file_becomes_the_stored_parameters(copy, family):
    family = copy(family)
    wanted = expected(family)["converted"]
    files = ("--pt_path", family / wanted["file"], "--ckpt_path", "converted.ckpt")
    command("convert_from_pt.py", *config(family), *files)
    entries = {name: value.asnumpy() for name, value in ms.load_checkpoint("converted.ckpt").items()}
    values = {name: value for name, value in entries.items() if name != "state/format"}  # since 0.2, no parameter
    assert len(values) == wanted["parameters"] and digest(values) == wanted["sha256"]


def digest(values: dict[str, np.ndarray]) -> str:
    """sha256 over names, shapes and float32 values in the names' order."""
    found = hashlib.sha256()
    for name in sorted(values):
        found.update(f"{name} {list(values[name].shape)}".encode())
        found.update(values[name].astype("<f4").tobytes())
    return found.hexdigest()
