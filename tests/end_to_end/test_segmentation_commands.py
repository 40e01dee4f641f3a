"""The real commands on the smallest segmentation network: train, resume, evaluate, infer, export, the binary path."""

import re

import cv2
import mindspore as ms
import pytest

from src.reports.folder import read_facts
from tests.end_to_end.commands import run

pytestmark = pytest.mark.usefixtures("networks_are_kept")
CONFIG = "configs/demo/hrnet_seg_lip_shapes.yaml"
SMALL = (
    "--img_width", 40, "--img_height", 32, "--base_size", 40, "--batch_size", 2, "--epoch_size", 2, "--log_every", 1,
    "--eval_every", 2, "--warmup_step", 0,
)  # fmt: skip


ASYMMETRIC = ("--seg_head.bilinear", "asymmetric")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("lip") / "data"
    run("-m", "src.data.synthetic", "lip", out, "--images", 4, "--val-images", 3, "--size", 48)
    return out


def train(data, outputs, *more, status=0) -> str:
    folders = ("--train_dataset", data, "--val_dataset", data, "--train_outputs", outputs)
    return run("train.py", "--config_path", CONFIG, *folders, *SMALL, *more, status=status)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("run")
    return train(data, outputs), next(outputs.iterdir())


@pytest.fixture(scope="module")
def common(data, trained):
    folder = trained[1]
    return (
        "--config_path", folder / "config.yaml", "--checkpoint_path", next((folder / "best_ckpt").iterdir()),
        "--val_dataset", data,
    )  # fmt: skip


def miou(printed: str) -> float:
    return float(re.search(r"^miou: (\d\.\d+)", printed, re.MULTILINE).group(1))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluated") / "report"


@pytest.fixture(scope="module")
def evaluated(common, report):
    return run("eval.py", *common, "--report_dir", report)


def test_training_logs_the_originals_epoch_line_and_keeps_the_best_by_miou(trained):
    printed, folder = trained
    times = r"epoch time: \d+\.\d+, steps:     2, per step time: \d+\.\d+"
    assert re.search(rf"epoch: \[  1/  2\], {times}, avg loss: \d\.\d{{3}}, lr:\[0\.\d{{6}}\]", printed)
    assert "Result metrics for epoch 2: {'loss': " in printed and folder.name.endswith("_HRNetSeg_seg_lip_demo")
    assert next((folder / "best_ckpt").iterdir()).name.startswith("mIoU_")


def test_evaluation_gives_the_metrics_of_training_and_takes_scales(evaluated, common, trained, report):
    assert f"'mIoU': {miou(evaluated)}"[:12] in trained[0]
    scaled = run("eval.py", *common, "--eval_scales", "[0.75]", "--eval_flip", 0, "--keep_ratio", 1)
    assert "Protocol: lip, whole images, scales 0.75, flip 0" in scaled
    assert "stretched to 40x32, scales 1, flip 1" in evaluated
    assert re.search(r"^left-arm +\d\.", evaluated, re.MULTILINE)
    assert f"{read_facts(report)['metrics']['mIoU']:.4f}" == f"{miou(evaluated):.4f}"
    assert (report / "index.html").exists() and "without effect" not in evaluated


def test_the_binary_path_over_onnx_and_mindir_gives_evals_miou(common, evaluated, tmp_path):
    config_keys = (*common[:2], *common[4:])
    style = ("--log_style", "original")
    printed = run("deploy/preprocess.py", *config_keys, "--result_path", tmp_path / "pre", *style)
    assert printed.endswith("Export bin files finished!\n")
    for kind in ("onnx", "mindir"):
        run("export.py", *common, "--file_name", tmp_path / f"net.{kind}", "--file_format", kind.upper())
        results = ("--preprocess_path", tmp_path / "pre", "--result_path", tmp_path / kind)
        printed = run("deploy/infer_files.py", "--model", tmp_path / f"net.{kind}", *results)
        assert "6 results" in printed  # three images and their mirror images
        scored = run("deploy/postprocess.py", *config_keys, *results)
        assert "310 Inference Result" in scored
        assert miou(scored) == pytest.approx(miou(evaluated), abs=1e-3)
    original = run("deploy/postprocess.py", *config_keys, *results, *style)
    assert "Total number of images:  3\n=========== 310 Inference Result ===========\nmiou: " in original
    assert miou(original) == miou(scored)
    unlike = run("deploy/postprocess.py", *config_keys, "--eval_flip", 0, *results, status=2)
    assert "eval_flip is False, but was True when the images were preprocessed" in unlike
    onnx = ("--checkpoint_path", tmp_path / "net.onnx", "--backend", "onnx")
    exported, otherwise = (run("eval.py", *config_keys, *onnx, *more) for more in ((), ASYMMETRIC))
    assert miou(exported) == pytest.approx(miou(evaluated), abs=1e-3) and "was exported with" not in exported
    assert "net.onnx was exported with half_pixel: run with --seg_head.bilinear half_pixel" in otherwise
    refused = run("deploy/preprocess.py", *config_keys, "--result_path", tmp_path / "pre", status=2)
    assert "nothing is written over" in refused
    next((tmp_path / "mindir").glob("*.bin")).write_bytes(b"1234")
    assert "holds 1 numbers" in run("deploy/postprocess.py", *config_keys, *results, status=2)
    wrong = run("deploy/preprocess.py", *config_keys, "--eval_width", 64, "--result_path", tmp_path / "no", status=2)
    assert "the exported network takes 64x32" in wrong and not any((tmp_path / "no").iterdir())


def test_inference_writes_three_pictures_for_a_folder_and_for_a_single_image(data, common, tmp_path):
    images = sorted((data / "TrainVal_images" / "val_images").iterdir())
    run("infer.py", *common[:4], "--pred_input", images[0].parent, "--pred_output", tmp_path / "all")
    assert len(list((tmp_path / "all").iterdir())) == 9
    run("infer.py", *common[:4], "--pred_input", images[1], "--pred_output", tmp_path / "one")
    size = cv2.imread(str(images[1])).shape
    pictures = {path.stem.rsplit("_", 1)[1]: cv2.imread(str(path), -1) for path in (tmp_path / "one").iterdir()}
    assert pictures["index"].shape == size[:2] and pictures["color"].shape == pictures["overlay"].shape == size
    # The same as label pictures of a test set: the data set's ids, under the images' names.
    form = ("eval.py", *common[:4], "--val_dataset", images[0].parent, "--format_only", 1)
    assert "3 label pictures written to" in run(*form, "--pred_output", tmp_path / "form")
    written = {path.name: cv2.imread(str(path), -1) for path in (tmp_path / "form").iterdir()}
    assert sorted(written) == [f"{path.stem}.png" for path in images]
    assert (written[f"{images[1].stem}.png"] == pictures["index"]).all()
    assert "pred_output is empty: format_only 1 writes" in run(*form, status=2)
    occupied = run("infer.py", *common[:4], "--pred_input", images[1], "--pred_output", images[2], status=2)
    assert "is a file; give the name of a folder" in occupied


def test_wrong_input_is_one_line(data, tmp_path):
    assert "num_classes is 7" in train(data, tmp_path / "out", "--num_classes", 7, status=2)
    assert "unknown key eval_scale" in train(data, tmp_path / "out", "--eval_scale", 2, status=2)
    (tmp_path / "empty").mkdir()
    assert "lip_lst_maker --root" in train(tmp_path / "empty", tmp_path / "out", status=2)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def original(common, tmp_path_factory):
    """The trained network as HRNetW48_seg's folder would have saved it: its names, and the optimizer's."""
    values = {name.removeprefix("backbone."): value for name, value in ms.load_checkpoint(str(common[3])).items()}
    values = {name: value for name, value in values.items() if not name.startswith("state/")}
    values |= {f"moment1.{name}": value for name, value in values.items()}
    path = tmp_path_factory.mktemp("original") / "hrnetw48seg-lip-600_10.ckpt"
    ms.save_checkpoint([{"name": name, "data": value} for name, value in values.items()], str(path))
    return path


def test_an_originals_checkpoint_is_named_with_what_converts_it_and_no_refused_start_leaves_a_folder(
    data, original, tmp_path
):
    said = f"{original} is a checkpoint of HRNetW48_seg of MindSpore's models (research/cv), which must be converted"
    out = tmp_path / "deep" / "out"
    for key in ("--pre_trained", "--backbone.pretrained"):
        for more in ((), ("--resume", 1)):
            assert said in train(data, out, key, original, *more, status=2)
            assert not (tmp_path / "deep").exists()
    config = ("--config_path", CONFIG, *SMALL, "--checkpoint_path", original)
    assert said in run("eval.py", *config, "--val_dataset", data, status=2)
    images = data / "TrainVal_images" / "val_images"
    assert said in run("infer.py", *config, "--pred_input", images, "--pred_output", tmp_path / "out", status=2)
    assert said in run("export.py", *config, "--file_name", tmp_path / "net.onnx", "--file_format", "ONNX", status=2)


def test_a_refused_start_takes_nothing_away_that_was_there(data, original, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(data, tmp_path, "--pre_trained", original, status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("script", ["convert_weights.py", "convert_from_pt.py"])
def test_a_converted_original_evaluates_and_a_checkpoint_of_this_project_needs_no_conversion(
    data, common, original, tmp_path, script
):
    config = ("--config_path", common[1], *ASYMMETRIC)
    out = tmp_path / "w.ckpt"
    printed = run(script, *config, "--pt_path", original, "--ckpt_path", out)
    assert "HRNetW48_seg" in printed and "WARNING" not in printed and "the optimizer's state of each weight" in printed
    said = run(script, *config, "--pt_path", common[3], "--ckpt_path", tmp_path / "again.ckpt", status=2)
    assert f"{common[3]} is a checkpoint of this project already: it needs no conversion" in said
    if script == "convert_weights.py":
        assert "outputs differ much" not in run("eval.py", *config, "--checkpoint_path", out, "--val_dataset", data)
