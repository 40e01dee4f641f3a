"""The real commands on the smallest classifier: train, resume, start late, evaluate, infer."""

import json
import re

import pytest

from src.checkpoint import read_checkpoint
from src.engine.curves import CsvTable
from tests.end_to_end.commands import run

pytestmark = pytest.mark.usefixtures("networks_are_kept")
CONFIG = "configs/demo/hrnet_cls_shapes.yaml"
SMALL = (
    "--input_size", 32, "--eval_resize", 32, "--batch_size", 4, "--test_batch_size", 6, "--epoch_size", 2,
    "--log_every", 1, "--eval_every", 2, "--ema_decay", 0.9, "--cls_head.final_channels", 16,
    "--backbone.type", "resnet", "--backbone.depth", 18, "--backbone.base_channels", 4,
    "--cls_head.head_channels", "[4,4,4,4]",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("inet") / "data"
    run("-m", "src.data.synthetic", "imagenet", out, "--images", 8, "--val-images", 8, "--size", 40)
    return out


def train(data, outputs, *more, status=0) -> str:
    folders = ("--train_dataset", data / "train", "--val_dataset", data / "val", "--train_outputs", outputs)
    return run("train.py", "--config_path", CONFIG, *folders, *SMALL, *more, status=status)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("run")
    return train(data, outputs), next(outputs.iterdir())


def test_training_logs_the_originals_epoch_line_and_keeps_the_best_by_top_1(trained):
    printed, folder = trained
    times = r"epoch time: \d+\.\d+, steps: 2, per step time: \d+\.\d+"
    assert re.search(rf"epoch: \[ 1/2\], {times}, avg loss: \d\.\d{{3}}, lr:\[0\.\d{{3}}\]", printed)
    assert "Result metrics for epoch 2: {'Loss': " in printed
    assert folder.name.endswith("_Classifier_cls_demo")
    assert [path.name for path in (folder / "best_ckpt").iterdir()][0].startswith("Top_1_Acc_")


@pytest.mark.parametrize("word", ["checkpoint_path", "checkpoint_url"])
def test_weights_that_do_not_exist_by_the_originals_words_start_no_training(data, tmp_path, word):
    words = ("--data_path", data / "train", "--eval_data_path", data / "val", "--train_url", tmp_path / "out")
    printed = run("train.py", "--config_path", CONFIG, *SMALL, *words, f"--{word}", "gone.ckpt", status=2)
    assert "gone.ckpt does not exist" in printed and not list(tmp_path.iterdir())


def test_evaluation_and_inference_know_the_class_names_from_the_runs_configuration(data, trained, tmp_path):
    config, checkpoint = trained[1] / "config.yaml", next((trained[1] / "best_ckpt").iterdir())
    common = ("--config_path", config, "--checkpoint_path", checkpoint)
    printed = run("eval.py", *common, "--val_dataset", data / "val", "--report_dir", tmp_path / "report")
    assert re.search(r"\{'Loss': \d+\.\d+, 'Top_1_Acc': \d\.\d+, 'Top_5_Acc': \d\.\d+\}", printed)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "confusion_matrix.csv", "confusion_matrix.png", "per_class_accuracy.csv", "per_class_accuracy.png",
        "index.html", "report.json", "metrics.csv", "classes.csv", "images.csv", "confusion.csv", "confusions.csv",
        "pictures",
    }  # fmt: skip
    unfolded = run("eval.py", *common, "--val_dataset", data / "val", "--fold_batchnorm", 0)
    losses = [float(re.search(r"'Loss': (\d+\.\d+)", text).group(1)) for text in (printed, unfolded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    elsewhere = ("--val_dataset", "", "--train_dataset", "")
    image = next((data / "val" / "star").iterdir())
    run("infer.py", *common, *elsewhere, "--pred_input", image, "--pred_output", tmp_path / "out.json")
    (entry,) = json.loads((tmp_path / "out.json").read_text()).values()
    assert len(entry["predictions"]) == 5 and {p["name"] for p in entry["predictions"]} <= {
        "arrow", "burst", "circle", "cross", "gear", "square", "star", "triangle",
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_can_be_continued_from_a_given_epoch_and_end_at_one(data, trained, tmp_path):
    checkpoint = next((trained[1] / "best_ckpt").iterdir())
    keys = ("--begin_epoch", 1, "--end_epoch", 2, "--epoch_size", 3, "--pre_trained", checkpoint, "--run_eval", 0)
    printed = train(data, tmp_path, *keys)
    assert "epoch: [ 2/2]" in printed and "epoch: [ 1/2]" not in printed and "epoch: [ 3/" not in printed


def test_wrong_classes_are_said_before_training(data, tmp_path):
    assert "num_classes is 9" in train(data, tmp_path / "out", "--num_classes", 9, status=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_check_reports_the_folders_and_a_forecast(data):
    folders = ("--train_dataset", data / "train", "--val_dataset", data / "val")
    printed = run("-m", "src.check", "--config_path", CONFIG, *folders, *SMALL)
    for line in ("8 images in 8 classes", "image files opened, 0 unreadable", "losses loss_cls", "forecast: 4 steps"):
        assert line in printed


def test_evaluation_and_inference_in_half_precision_give_nearly_the_same(data, trained, tmp_path):
    config, checkpoint = trained[1] / "config.yaml", next((trained[1] / "best_ckpt").iterdir())
    common = ("--config_path", config, "--checkpoint_path", checkpoint)
    losses = []
    for level in ("O0", "O2"):
        printed = run("eval.py", *common, "--val_dataset", data / "val", "--amp_level", level)
        losses.append(float(re.search(r"'Loss': (\d+\.\d+)", printed).group(1)))
        assert ("layers compute in float16" in printed) == (level == "O2")
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=1e-2)
    where = ("--val_dataset", "", "--train_dataset", "", "--pred_input", next((data / "val" / "star").iterdir()))
    scores = []
    for level in ("O0", "O2"):
        run("infer.py", *common, *where, "--pred_output", tmp_path / f"{level}.json", "--amp_level", level)
        (entry,) = json.loads((tmp_path / f"{level}.json").read_text()).values()
        scores.append({one["name"]: one["score"] for one in entry["predictions"]})
    assert scores[0] != scores[1] and scores[0] == pytest.approx(scores[1], abs=1e-2)
    printed = run("eval.py", *common, "--amp_level", "O1", "--amp_dtype", "bfloat16", status=2)
    assert "amp_dtype is bfloat16, but MindSpore's operators for the CPU do not compute in bfloat16" in printed


def test_a_type_that_the_device_does_not_compute_in_starts_no_training(data, tmp_path):
    keys = ("--amp_level", "O2", "--amp_dtype", "bfloat16")
    assert "amp_dtype is bfloat16, but" in train(data, tmp_path / "out", *keys, status=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_training_in_half_precision_that_is_resumed_ends_with_the_same_bits(data, tmp_path):
    keys = ("--amp_level", "O2", "--loss_scale", "dynamic", "--loss_scale_init", 2.0**24, "--loss_scale_window", 2)
    keys += ("--epoch_size", 4, "--run_eval", 0, "--save_every", 1)
    train(data, tmp_path / "whole", *keys)
    train(data, tmp_path / "parts", *keys, "--max_steps", 3)
    printed = train(data, tmp_path / "parts", *keys, "--resume", 1)
    assert "Resumed from" in printed
    ends = []
    for name in ("whole", "parts"):
        (folder,) = (tmp_path / name).iterdir()
        ends.append((read_checkpoint(folder / "ckpt" / "epoch_0004_step_0000002.ckpt"), folder / "losses.csv"))
    assert set(ends[0][0]) == set(ends[1][0]) and ends[0][0]["state/loss_scale"] < 2**24
    for name, array in ends[0][0].items():
        if name != "state/facts" and "hooks" not in name:
            assert (array == ends[1][0][name]).all(), name
    assert ends[0][1].read_text() == ends[1][1].read_text()
    assert sum(row["overflow"] for row in CsvTable(ends[0][1]).read()) > 0
