"""The real commands, as a user types them, on the smallest model: train, kill, resume, evaluate, infer, draw."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask

from src.config import load_config
from tests.end_to_end.commands import ROOT, command_line, losses, run, run_process, table

pytestmark = pytest.mark.usefixtures("networks_are_kept")
CONFIG = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
TRAIN_IMAGES, STEPS = 6, 8  # 3 batches an epoch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes") / "data"
    run("-m", "src.data.synthetic", "coco", out, "--images", TRAIN_IMAGES, "--val-images", 3, "--size", 64, "--seed", 3)
    return out


def train_command(data: Path, outputs: Path, *more: object) -> list[str]:
    settings = ("--train_dataset", data / "train", "--val_dataset", data / "validation", "--train_outputs", outputs)
    limits = ("--epoch_size", 3, "--max_steps", STEPS, "--save_every", 2, "--filter_empty_gt", 0)
    return command_line("train.py", "--config_path", CONFIG, *settings, *limits, *more)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Folder of an uninterrupted run."""
    outputs = tmp_path_factory.mktemp("whole")
    subprocess.run(train_command(data, outputs), cwd=ROOT, check=True, capture_output=True, timeout=280)
    return next(outputs.iterdir())


def test_training_leaves_configuration_log_losses_curves_and_checkpoints(trained):
    assert {path.name for path in trained.iterdir()} == {
        "config.yaml", "train.log", "losses.csv", "losses.png", "metrics.csv", "metrics.png", "ckpt", "best_ckpt",
    }  # fmt: skip
    assert len(losses(trained)) == STEPS
    log = (trained / "train.log").read_text()
    assert "Number of parameters: 252112" in log and "Result metrics for epoch 3: {'bbox_mAP': " in log
    assert len(list((trained / "best_ckpt").iterdir())) >= 1


def test_a_wrong_validation_folder_is_said_before_training_and_leaves_nothing(data, tmp_path):
    _, *arguments = train_command(data, tmp_path / "out", "--val_dataset", data / "nowhere")
    assert "nowhere does not exist" in run(*arguments, status=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_losses(data, trained, tmp_path):
    process = subprocess.Popen(train_command(data, tmp_path, "--run_eval", 0), cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("*/ckpt/epoch_0002_*.ckpt")):
        assert process.poll() is None or list(tmp_path.glob("*/ckpt/epoch_0002_*.ckpt")), "ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = train_command(data, tmp_path, "--run_eval", 0, "--resume", 1)
    subprocess.run(resumed, cwd=ROOT, check=True, capture_output=True, timeout=280)
    folder = next(tmp_path.iterdir())
    assert "Resumed from" in (folder / "train.log").read_text()
    assert losses(folder) == losses(trained)


@pytest.mark.slow
def test_a_run_from_mindrecord_in_the_cloud_told_to_mlflow_is_the_same_run(data, trained, tmp_path):
    bucket = tmp_path / "obs" / "bucket"
    sources = ("--train_dataset", data / "train", "--val_dataset", data / "validation")
    convert = ("-m", "src.data.mindrecord", "--config_path", CONFIG, *sources, "--mindrecord_dir", bucket / "record")
    assert "validation: 3 images in 1 shards verified" in run(*convert, "--mindrecord_shards", 1)
    _, *arguments = train_command(
        data, "elsewhere", "--train_data_type", "mindrecord", "--val_data_type", "mindrecord",
        "--mindrecord_dir", "record", "--mlflow", 1, "--enable_modelarts", 1,
        "--data_url", "obs://bucket", "--train_url", "obs://results",
        "--data_path", tmp_path / "cache" / "data", "--output_path", tmp_path / "cache" / "outputs",
    )  # fmt: skip
    stand_in = {"OBS_ROOT": str(tmp_path / "obs"), "PYTHONPATH": str(ROOT / "tests" / "integrations" / "stand_in")}
    output = run_process(*arguments, environment=stand_in)
    (folder,) = (tmp_path / "obs" / "results").glob("*_MaskRCNN_*")
    assert losses(folder) == losses(trained), output
    assert table(folder / "metrics.csv") == table(trained / "metrics.csv") and list((folder / "best_ckpt").iterdir())
    store = tmp_path / "obs" / "results" / "mlruns"
    known = json.loads((folder / "mlflow.json").read_text())["run_id"]
    (logged,) = store.glob(f"*/{known}/metrics/loss_rpn_cls")
    assert [float(line.split()[1]) for line in logged.read_text().splitlines()] == [
        float(row["loss_rpn_cls"]) for row in losses(trained)
    ]


def test_evaluation_prints_tables_with_their_protocol_and_saved_predictions_give_the_same(data, trained, tmp_path):
    checkpoint = next((trained / "best_ckpt").iterdir())
    saved = tmp_path / "predictions.json"
    common = ("eval.py", "--config_path", CONFIG, "--val_dataset", data / "validation", "--prediction_path", saved)
    first = run(*common, "--checkpoint_path", checkpoint, "--test_cfg.rcnn.score_thr", 0.0)
    assert "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]" in first
    assert "images 3" in first and "config " in first and "checkpoint " in first
    assert json.loads(saved.read_text())
    second = run(*common)
    lines = [[x for x in text.splitlines() if x.startswith(("bbox_mAP:", "segm_mAP:"))] for text in (first, second)]
    assert lines[0] == lines[1] and len(lines[0]) == 2
    # The same images as a test set without labels: the same results, no score, and nothing is written over.
    unlabelled, results = tmp_path / "test", tmp_path / "results.json"
    shutil.copytree(data / "validation" / "data", unlabelled / "test2017")
    labels = json.loads((data / "validation" / "labels.json").read_text())
    (unlabelled / "annotations").mkdir()
    info = {name: labels[name] for name in ("images", "categories")}
    (unlabelled / "annotations" / "image_info_test2017.json").write_text(json.dumps(info))
    form = (*common[:3], "--val_dataset", unlabelled / "test2017", "--format_only", 1, "--checkpoint_path", checkpoint)
    named = (*form, "--prediction_path", results, "--test_cfg.rcnn.score_thr", 0.0)
    assert "mAP" not in run(*named)
    assert json.loads(results.read_text()) == json.loads(saved.read_text())
    assert "results.json is there already" in run(*named, status=2)
    assert "prediction_path is empty: format_only 1 writes COCO results there" in run(*form, status=2)
    given = ("--checkpoint_path", checkpoint, "--test_cfg.rcnn.score_thr", 0.0)
    assert "the network is not run" in run(*common, *given)
    other = run(*common, *given[:3], 0.1, status=2)
    assert "another test_cfg.rcnn.score_thr (0.0 then, 0.1 now): give another prediction_path" in other


def test_an_evaluation_matches_the_checkpoints_classes_by_name(data, trained):
    checkpoint = next((trained / "best_ckpt").iterdir())
    common = ("eval.py", "--config_path", CONFIG, "--val_dataset", data / "validation", "--checkpoint_path", checkpoint,
              "--test_cfg.rcnn.score_thr", 0.0)  # fmt: skip
    names = load_config(str(ROOT / CONFIG)).coco_classes
    texts = [run(*common), run(*common, "--coco_classes", json.dumps([names[0], *names[:0:-1]]))]
    scores = [[x for x in text.splitlines() if x.startswith(("bbox_mAP:", "segm_mAP:"))] for text in texts]
    assert scores[0] == scores[1] and "another order: they are matched by name" in texts[1]
    text = run(*common, "--coco_classes", json.dumps([*names[:-1], "other"]), status=2)
    assert f"has the classes [{', '.join(names[1:])}], but the configuration has [" in text


def test_inference_writes_the_documented_json_and_drawing_makes_overlays(data, trained, tmp_path):
    checkpoint = next((trained / "best_ckpt").iterdir())
    out = tmp_path / "out.json"
    images = data / "validation" / "data"
    low = ("--infer_score_thr", 0, "--test_cfg.rcnn.score_thr", 0.0)
    settings = ("--val_dataset", data / "validation", "--checkpoint_path", checkpoint, *low)
    run("infer.py", "--config_path", CONFIG, *settings, "--pred_input", images, "--pred_output", out)
    content = json.loads(out.read_text())
    assert sorted(content) == sorted(str(path) for path in images.iterdir())
    found = [(entry, item) for entry in content.values() for item in entry["predictions"]]
    assert found
    for entry, item in found:
        assert set(item) == {"bbox", "class", "mask", "score"}
        assert set(item["bbox"]) == {"x_min", "y_min", "width", "height"}
        assert item["class"]["category_id"] in (2, 5, 7, 11)
        assert item["mask"]["size"] == [entry["height"], entry["width"]]
        assert coco_mask.decode(item["mask"]).shape == (entry["height"], entry["width"])
    draw = ("draw_predictions.py", "--pred_file", out, "--out_dir", tmp_path / "overlays", "--score_thr", 0)
    printed = run(*draw, "--allow_outside", 1)  # the images lie elsewhere
    assert len(list((tmp_path / "overlays").iterdir())) == len(content), printed


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("train.py", "--config_path", "nowhere.yaml"), "nowhere.yaml"),
        (("train.py", "--config_path", CONFIG, "--lrr", "1"), "did you mean lr?"),
        (("train.py", "--config_path", CONFIG, "--train_dataset", "no/such/folder"), "no/such/folder"),
        (("eval.py", "--config_path", CONFIG), "checkpoint_path"),
        (("eval.py", "--config_path", CONFIG, "--checkpoint_path", "x.ckpt", "--val_dataset", "y"), "y does not exist"),
        (("infer.py", "--config_path", CONFIG, "--pred_input", "a.jpg"), "--checkpoint_path is missing"),
        (("draw_predictions.py", "--pred_file", "none.json", "--out_dir", "d"), "none.json"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(arguments, message):
    output = run(*arguments, status=2)
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], output


@pytest.mark.parametrize("script", ["train.py", "eval.py", "infer.py", "export.py"])
def test_help_lists_the_keys_without_a_device(script):
    assert "--train_cfg.rcnn.sampler.num [512]" in run_process(script, "--help")


def test_the_check_reports_every_part_and_a_forecast(data):
    output = run("-m", "src.check", "--config_path", CONFIG, "--train_dataset", data / "train",
                 "--val_dataset", data / "validation")  # fmt: skip
    for title in ("environment", "configuration", "training data", "validation data", "weights", "anchors"):
        assert f"== {title}" in output
    assert "forecast: " in output and "losses loss_rpn_cls" in output


@pytest.mark.slow
def test_training_takes_classes_and_objects_without_masks_from_the_label_file_and_evaluates_text_ids(
    data_files, tmp_path
):
    for split, name in (("train", "mixed"), ("validation", "text_ids")):
        (tmp_path / split).mkdir()
        shutil.copy(data_files / "quirky_labels" / name / "labels.json", tmp_path / split)
        (tmp_path / split / "data").symlink_to(data_files / "quirky_labels" / "images")
    open_classes = ("--coco_classes", "[]", "--num_classes", 81, "--epoch_size", 1)
    _, *arguments = train_command(tmp_path, tmp_path / "out", *open_classes, "--max_steps", 1)
    printed = run(*arguments)
    assert "4 of 5 objects have no mask" in printed and "Protocol: images 4" in printed
    (folder,) = (tmp_path / "out").iterdir()
    cfg = load_config(str(folder / "config.yaml"))
    assert (cfg.coco_classes, cfg.num_classes) == (["background", "bolt", "nut"], 3)
    assert float(losses(folder)[0]["loss_mask"]) > 0
