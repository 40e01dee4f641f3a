"""The real commands around an exported detector: export, infer by each backend, evaluate, the deployment example."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask

from src.data.images import read_bgr
from src.inference.unfinished import Unfinished
from tests.end_to_end.commands import ROOT, run
from tests.export.detector_weights import save_lively_detector

pytestmark = pytest.mark.usefixtures("networks_are_kept")
CONFIG = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
# With a fixed number of samples the framework's RoIAlign and the compiled one are the same up to rounding.
KEYS = ("--roi.roi_layer.sampling_ratio", "2", "--mask_roi.roi_layer.sampling_ratio", "2", "--test_batch_size", "1",
        "--test_cfg.rcnn.max_per_img", "25")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, a lively detector's checkpoint, its ONNX file and its portable MINDIR file."""
    folder = tmp_path_factory.mktemp("export")
    layout = ("coco", folder / "data", "--images", 1, "--val-images", 3, "--size", 64, "--seed", 3)
    run("-m", "src.data.synthetic", *layout)
    images = [read_bgr(path) for path in sorted((folder / "data" / "validation" / "data").iterdir())]
    save_lively_detector(str(ROOT / CONFIG), KEYS, images, folder / "model.ckpt")
    return folder


def arguments(folder: Path, name: str, *more: object) -> tuple:
    data = folder / "data" / "validation"
    return "--config_path", CONFIG, *KEYS, "--val_dataset", data, "--checkpoint_path", folder / name, *more


@pytest.fixture(scope="module")
def printed(folder):
    """What export.py says about each format."""
    settings = ("--file_name", folder / "model", "--file_format")
    return {
        "onnx": run("export.py", *arguments(folder, "model.ckpt", *settings, "ONNX")),
        "mindir": run("export.py", *arguments(folder, "model.ckpt", *settings, "MINDIR", "--portable", 1)),
    }


@pytest.fixture(scope="module")
def predictions(folder, printed):
    """What infer.py writes by each backend."""
    found = {}
    for backend, name in (("mindspore", "model.ckpt"), ("onnx", "model.onnx"), ("mindir", "model.mindir")):
        out = folder / f"{backend}.json"
        images = folder / "data" / "validation" / "data"
        run("infer.py", *arguments(folder, name, "--backend", backend, "--pred_input", images, "--pred_output", out))
        found[backend] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("kind", ["onnx", "mindir"])
def test_export_prints_the_differences_on_a_real_image_and_writes_the_file(folder, printed, kind):
    assert re.search(r"validation/data/\S+: \d+ detections, 0 without a partner; largest differ", printed[kind])
    assert "no detection: 0 detections" in printed[kind] and f"written to {folder}/model.{kind}" in printed[kind]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_portable_file_holds_no_compiled_operator(folder, printed):
    content = (folder / "model.mindir").read_bytes()
    assert b"custom_ops" not in content and b"ROIAlign" in content


def test_infer_writes_the_same_json_by_every_backend(predictions):
    expected = predictions["mindspore"]
    assert min(len(entry["predictions"]) for entry in expected.values()) >= 15
    for backend in ("onnx", "mindir"):
        assert list(predictions[backend]) == list(expected)
        for path, entry in expected.items():
            other = predictions[backend][path]
            assert (other["height"], other["width"]) == (entry["height"], entry["width"])
            assert_same(entry["predictions"], other["predictions"])


def assert_same(expected: list[dict], found: list[dict]) -> None:
    """The same objects; equal scores may stand in another order."""
    assert len(expected) == len(found)
    free = list(found)
    for item in expected:
        partner = min(
            (other for other in free if other["class"] == item["class"]),
            key=lambda other: sum(abs(other["bbox"][side] - item["bbox"][side]) for side in item["bbox"]),  # noqa: B023
        )
        free.remove(partner)
        assert partner["bbox"] == pytest.approx(item["bbox"], abs=0.02)
        assert partner["score"] == pytest.approx(item["score"], abs=1e-4)
        area = coco_mask.area(item["mask"])
        assert area == 0 or coco_mask.iou([partner["mask"]], [item["mask"]], [0])[0, 0] > 1 - 2 / area


def test_eval_measures_the_exported_file(folder, printed):
    text = run("eval.py", *arguments(folder, "model.onnx", "--backend", "onnx"))
    assert re.search(r"bbox_mAP: \d\.\d{4}\nsegm_mAP: \d\.\d{4}", text) and "total images num: 3" in text


@pytest.fixture()
def interrupt(monkeypatch):
    """Let Ctrl-C come once so many images are kept."""

    def arrange(count: int) -> None:
        append = Unfinished.append

        def interrupted(self, image, entry):
            append(self, image, entry)
            if self.done == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(Unfinished, "append", interrupted)

    yield arrange
    monkeypatch.undo()


def test_infer_and_eval_go_on_after_the_images_that_are_kept(folder, predictions, interrupt, tmp_path, monkeypatch):
    images = folder / "data" / "validation" / "data"
    keys = arguments(folder, "model.onnx", "--backend", "onnx")
    infer = ("infer.py", *keys, "--pred_input", images, "--pred_output", tmp_path / "out.json")
    evaluate = ("eval.py", *keys, "--prediction_path", tmp_path / "found.json")
    whole = run("eval.py", *keys, "--prediction_path", tmp_path / "whole.json")
    interrupt(2)
    for command, name in ((infer, "out.json"), (evaluate, "found.json")):
        assert f"2 of 3 images are kept in {tmp_path / name}.part: the same" in run(*command, status=130)
        assert not (tmp_path / name).exists()
    monkeypatch.undo()
    other = run(*infer, "--infer_score_thr", 0.5, status=2)
    assert "out.json.part holds the beginning of other results, with another infer_score_thr (0.05 then" in other
    for command in (infer, evaluate):
        printed = run(*command)
        assert f"goes on after 2 of 3 images of {tmp_path}" in printed
    assert (tmp_path / "out.json").read_bytes() == (folder / "onnx.json").read_bytes()
    for ending in ("", ".protocol"):
        found, expected = ((tmp_path / f"{name}.json{ending}").read_bytes() for name in ("found", "whole"))
        assert found == expected
    assert printed[printed.index("Protocol: ") :] == whole[whole.index("Protocol: ") :]
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".protocol"}


def test_an_exported_file_without_its_backend_is_one_line(folder, printed):
    text = run("eval.py", *arguments(folder, "model.onnx"), status=2)
    assert text.strip() == f"error: {folder}/model.onnx is an exported file: run it with --backend onnx"


def test_the_deployment_example_needs_nothing_of_the_project_and_finds_the_same(folder, predictions, tmp_path):
    shutil.copy(ROOT / "deploy" / "onnx_detect.py", tmp_path)
    path, entry = next(iter(predictions["onnx"].items()))
    command = [sys.executable, "-I", "onnx_detect.py", folder / "model.onnx", path, tmp_path / "overlay.png", "0.05"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(entry["predictions"])
    for line, item in zip(lines, entry["predictions"]):
        name, score, x1, y1, x2, y2, pixels = re.fullmatch(
            r"(\w+) (\S+) box \[(\S+), (\S+), (\S+), (\S+)\] pixels (\d+)", line
        ).groups()
        box = item["bbox"]
        corners = (box["x_min"], box["y_min"], box["x_min"] + box["width"], box["y_min"] + box["height"])
        assert name == item["class"]["name"] and float(score) == pytest.approx(item["score"], abs=1e-3)
        assert tuple(map(float, (x1, y1, x2, y2))) == pytest.approx(corners, abs=0.02)
        area = int(coco_mask.area(item["mask"]))
        assert int(pixels) == pytest.approx(area, abs=2)
    before, after = read_bgr(path), read_bgr(tmp_path / "overlay.png")
    assert after.shape == before.shape and (after != before).any()
