"""The configuration out of a checkpoint: what it says of the network, and nothing that could do harm."""

import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from src.checkpoint import save_arrays
from src.config import leaves, load_config, parse_cli, to_dict
from src.config.portable import TAKEN, portable_values
from src.errors import UserError
from src.tasks import TASKS
from src.zoo import carried
from src.zoo.carried import carried_config
from src.zoo.command_line import parse_cli as parse_with_weights
from tests.end_to_end.commands import ROOT, run

MUSEUM = ROOT / "tests" / "museum"
FAMILIES = sorted(path.name for path in MUSEUM.iterdir() if (path / "run").is_dir())
TINY = ROOT / "tests" / "end_to_end" / "mask_rcnn_resnet_tiny.yaml"
HOSTILE = {  # what a stranger's checkpoint might say, each of another kind than the default
    "prediction_path": "/home/you/.bashrc", "report_dir": "/home/you", "pred_output": "/x", "file_name": "/x",
    "train_outputs": "/x", "compile_cache_path": "/x", "mlflow": True, "mlflow_uri": "http://x", "tensorboard": True,
    "allow_outside": True, "max_image_pixels": 2**30, "enable_modelarts": True, "data_url": "obs://x", "font": "/x",
    "pre_trained": "/x", "checkpoint_path": "/x", "verify": "/x", "run_distribute": True, "num_parallel_workers": 64,
    "backend": "onnx", "enable_profiling": True, "format_only": True,
    "infer_score_thr": "/x/thresholds.yaml",
}  # fmt: skip


@pytest.fixture()
def checkpoint(tmp_path):
    """Writes a checkpoint of one number with this configuration in it."""

    def write(values: object, name: str = "k.ckpt"):
        save_arrays({"a": np.zeros(1, np.float32)}, tmp_path / name, {"config": values})
        return tmp_path / name

    return write


def reaching(cfg) -> dict:
    """Every key that can reach a result, and those that are taken besides."""
    found = {leaf.name: leaf.value for leaf in leaves(cfg) if leaf.matters != "never" or leaf.name in TAKEN}
    return found | {"backbone.pretrained": "", "device_target": ""}


@pytest.mark.parametrize("family", FAMILIES)
def test_of_a_run_of_before_it_is_that_of_its_folder(tmp_path, family):
    (saved,) = (MUSEUM / family).glob("run/*/config.yaml")
    (packed,) = (MUSEUM / family).glob("run/*/best_ckpt/*.gz")
    (tmp_path / "best_ckpt").mkdir()
    shutil.copy(saved, tmp_path)
    path = tmp_path / "best_ckpt" / "k.ckpt"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    cfg = carried_config(path)
    assert reaching(cfg) == reaching(load_config(str(saved))) and cfg.checkpoint_path == str(path)
    assert cfg.origin == (str(tmp_path / "config.yaml"),)
    path = path.rename(tmp_path / "k.ckpt")
    with pytest.raises(UserError, match=r"k\.ckpt carries no configuration, and lies in no run's .*: give --"):
        carried_config(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_older_versions_in_a_checkpoint_are_read_as_those_of_a_run_folder(checkpoint, family):
    (saved,) = (MUSEUM / family).glob("run/*/config.yaml")
    path = checkpoint(yaml.safe_load(saved.read_text()))
    assert reaching(carried_config(path)) == reaching(load_config(str(saved)))


@pytest.mark.parametrize("demo", sorted(path.name for path in (ROOT / "configs" / "demo").glob("*.yaml")))
def test_what_a_training_writes_is_read_back_whole(checkpoint, demo):
    cfg = load_config(str(ROOT / "configs" / "demo" / demo))
    assert reaching(carried_config(checkpoint(TASKS[cfg.task].facts(cfg)["config"]))) == reaching(cfg)


def test_what_is_typed_goes_on_top_and_a_typed_file_wins(checkpoint):
    cfg = load_config(str(TINY))
    path = checkpoint(to_dict(cfg) | {"val_dataset": "/there"})
    assert parse_with_weights("d", ["--checkpoint_path", str(path)], command="eval.py").val_dataset == "/there"
    typed = ["--checkpoint_path", str(path), "--val_dataset", "/here", "--test_cfg.rcnn.score_thr", "0.3"]
    cfg = parse_with_weights("d", [*typed, "--report_dir=/mine"], command="eval.py")
    assert (cfg.val_dataset, cfg.test_cfg.rcnn.score_thr, cfg.report_dir) == ("/here", 0.3, "/mine")
    assert cfg.checkpoint_path == str(path) and {"val_dataset", "report_dir", "checkpoint_path"} <= cfg.typed
    with_file = ["--config_path", str(TINY), *typed]
    assert parse_with_weights("d", with_file, command="eval.py") == parse_cli("d", with_file, command="eval.py")
    by_word = parse_with_weights("d", [f"--checkpoint_url={path}"], command="export.py")
    assert by_word.checkpoint_path == str(path)


def test_nothing_of_outputs_services_limits_and_machines_is_taken(checkpoint):
    cfg = load_config(str(TINY))
    values = to_dict(cfg)
    values["backbone"] = values["backbone"] | {"pretrained": "/x"}
    found, usual = carried_config(checkpoint(values | HOSTILE)), type(cfg)()
    for name in HOSTILE.keys() - {"checkpoint_path"}:
        assert getattr(found, name) == getattr(usual, name) != HOSTILE[name], name
    assert found.backbone.pretrained == "" and found.checkpoint_path.endswith("k.ckpt")
    kept = carried_config(checkpoint(values | HOSTILE), ["--report_dir", "/mine"])
    assert kept.report_dir == "/mine"


def test_every_key_for_a_text_that_is_taken_is_a_choice_or_known_to_be_harmless():
    """A new key with a path in it comes here first."""
    known = {"coco_classes", "class_attribute", "mask_class", "frozen_parts", "auto_augment", "arch", "type", *TAKEN}
    known |= {"pretrained"}  # which is emptied
    texts = (str, list[str], str | list[str], bool | str)
    odd = {
        leaf.name
        for leaf in leaves(type(load_config(str(TINY))))
        if leaf.item.type in texts and not leaf.item.metadata["choices"] and leaf.matters != "never"
    }
    assert {name.rpartition(".")[2] for name in odd} - known == set(), odd


@pytest.mark.parametrize(
    "values,message",
    [
        ({"bbox_haed": {}}, "unknown key bbox_haed; did you mean bbox_head"),
        ({"_base_": "/etc/passwd"}, "unknown key _base_"),
        ({"num_classes": 10**40}, "num_classes is .*; it must be"),
        ({"img_width": "wide"}, "img_width must be a whole number"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"val_dataset": "a\0b"}, "must not hold a NUL"),
        ({"task": "<b>x</b>"}, "task is '<b>x</b>'; it may be"),
        ([1, 2], "is no mapping of keys"),
        ("text", "is no mapping of keys"),
    ],
)
def test_a_configuration_that_is_none_is_one_line_that_names_the_checkpoint(checkpoint, values, message):
    if isinstance(values, dict):
        values = to_dict(load_config(str(TINY))) | values
    path = checkpoint(values)
    with pytest.raises(UserError, match=message) as error:
        carried_config(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_device_that_is_not_here_is_the_cpu_unless_it_was_typed(checkpoint, monkeypatch, caplog):
    path = checkpoint(to_dict(load_config(str(TINY), ["--device_target", "GPU"])))
    monkeypatch.setattr(carried, "is_here", lambda device: device == "CPU")
    assert carried_config(path).device_target == "CPU" and "no GPU here: device_target is CPU" in caplog.text
    assert carried_config(path, ["--device_target", "GPU"]).device_target == "GPU"
    caplog.clear()
    assert carried_config(checkpoint(portable_values(load_config(str(TINY))))).device_target == "CPU"
    assert "device_target" not in caplog.text  # it says nothing of a device
    monkeypatch.setattr(carried, "is_here", lambda device: True)
    assert carried_config(path).device_target == "GPU"


def test_an_exported_file_says_nothing_of_machines_and_places():
    typed = ["--val_dataset", "/secret/v", "--train_dataset", "/secret/t", "--backbone.pretrained", "/secret/b"]
    cfg = load_config(str(TINY), [*typed, "--device_target", "CPU", "--train_outputs", "/secret/o"])
    values = portable_values(cfg)
    assert "/secret" not in str(values) and "device_target" not in values
    assert values["class_names"] == [] and values["coco_classes"] == cfg.coco_classes and "test_batch_size" in values


def test_without_either_it_is_the_line_of_before(tmp_path):
    for command in ("eval.py", "infer.py", "export.py"):
        assert "error: --config_path FILE.yaml is missing; see --help" in run(command, status=2)
    assert "--config_path FILE.yaml is missing" in run("train.py", "--checkpoint_path", tmp_path / "k.ckpt", status=2)
    assert "none.ckpt does not exist" in run("eval.py", "--checkpoint_path", tmp_path / "none.ckpt", status=2)
    printed = run("infer.py", "--help")
    assert "or: --checkpoint_path FILE" in printed and "--pred_input [" in printed


@pytest.fixture()
def classifier(tmp_path, monkeypatch):
    """The museum's classifier and its data in the working folder; its best weights."""
    shutil.copytree(MUSEUM / "data" / "classes", tmp_path / "data" / "classes")
    shutil.copytree(MUSEUM / "hrnet_cls", tmp_path / "hrnet_cls")
    for packed in list((tmp_path / "hrnet_cls").rglob("*.gz")):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    monkeypatch.chdir(tmp_path)
    (path,) = (tmp_path / "hrnet_cls").glob("run/*/best_ckpt/*.ckpt")
    return path


def command(*arguments: object, status: int = 0) -> str:
    return run(*arguments, status=status, folder=Path.cwd())


DATA = ("--val_dataset", "data/classes/val")
SCORES = r"'Loss': 2\.36704\d+, 'Top_1_Acc': 0\.125, 'Top_5_Acc': 0\.75"  # of the museum


def test_an_exported_file_alone_evaluates_and_one_of_before_says_what_it_lacks(classifier):
    model, cfg = onnx.load("hrnet_cls/model.onnx"), load_config(str(classifier.parents[1] / "config.yaml"))
    entry = model.metadata_props.add()
    entry.key, entry.value = "configuration", json.dumps(portable_values(cfg))
    onnx.save(model, "m.onnx")
    assert re.search(SCORES, command("eval.py", "--checkpoint_path", "m.onnx", *DATA))
    assert "no data set is named: give --val_dataset" in command("eval.py", "--checkpoint_path=m.onnx", status=2)
    old = command("eval.py", "--checkpoint_path", "hrnet_cls/model.onnx", *DATA, status=2)
    assert "hrnet_cls/model.onnx was exported without its configuration" in old and "give --config_path" in old


@pytest.mark.slow
def test_a_checkpoint_alone_evaluates_and_what_is_exported_from_it_alone_does_so_too(classifier):
    assert re.search(SCORES, command("eval.py", "--checkpoint_path", classifier))
    for kind in ("ONNX", "MINDIR"):
        command("export.py", "--checkpoint_path", classifier, "--file_name", "m", "--file_format", kind)
        path = f"m.{kind.lower()}"
        assert re.search(SCORES, command("eval.py", "--checkpoint_path", path, *DATA))
        images = ("--pred_input", "data/classes/val/star")
        command("infer.py", "--checkpoint_path", path, *images, "--pred_output", f"{kind}.json")
        assert json.loads(Path(f"{kind}.json").read_text())
