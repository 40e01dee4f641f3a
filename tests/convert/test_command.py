"""The command: one line and exit status 2 for bad input, nothing replaced, and what it writes loads where it should."""

import pickle
import re

import numpy as np
import pytest
import torch

from src.checkpoint import read_checkpoint
from src.commands.convert import convert_file
from src.config import load_config
from src.engine.setup import load_start_weights
from src.errors import UserError
from src.tasks import TASKS, build_model
from tests.convert.case import convert, mmdetection_state
from tests.convert.test_read import MakesFile
from tests.end_to_end.commands import run, run_process
from tests.models.detection.mmdet_case import BASE, CONFIG

WITHOUT_TORCH = "import sys, runpy; sys.modules['torch'] = None; runpy.run_path('convert_from_pt.py', None, '__main__')"

STYLE = ("--verify", "", "--log_style", "original")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The narrow Mask R-CNN of three classes as MMDetection saves it."""
    path = tmp_path_factory.mktemp("weights") / "mmdet.pth"
    torch.save({"meta": {"epoch": 12}, "state_dict": mmdetection_state()}, path)
    return path


def test_the_command_needs_no_pytorch_and_its_checkpoint_is_the_source(weights, tmp_path):
    out = tmp_path / "new" / "w.ckpt"
    files = ("--pt_path", weights, "--ckpt_path", out)
    printed = run_process("-c", WITHOUT_TORCH, "--config_path", CONFIG, *files, *BASE, *STYLE)
    assert re.search(r"\d+ tensors in the source: (\d+) used, (\d+) ignored", printed)
    assert "Transform successfully!" in printed.splitlines()
    assert "the source expects img_mean" in printed and f"parameters written to {out}" in printed
    state, written = torch.load(weights, weights_only=True)["state_dict"], read_checkpoint(out)
    np.testing.assert_array_equal(written["bbox_head.fc_cls.weight"], state["roi_head.bbox_head.fc_cls.weight"].numpy())
    np.testing.assert_array_equal(written["backbone.bn1.moving_variance"], state["backbone.bn1.running_var"].numpy())


def test_a_file_that_asks_for_code_ends_the_command_with_one_line(tmp_path):
    marker = tmp_path / "made"
    content = {"model": {"w": np.ones(2)}, "x": MakesFile(marker, "os.system")}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content))
    files = ("--pt_path", tmp_path / "evil.pkl", "--ckpt_path", tmp_path / "w.ckpt")
    printed = run("convert_from_pt.py", "--config_path", CONFIG, *files, status=2)
    assert "error: " in printed and "evil.pkl is refused: it asks for" in printed and "Traceback" not in printed
    assert not marker.exists() and not (tmp_path / "w.ckpt").exists()


def test_help_names_the_commands_keys():
    printed = run_process("convert_from_pt.py", "--help")
    for key in ("pt_path", "ckpt_path", "source", "pt_entry", "verify", "finetune"):
        assert f"--{key} [" in printed


def test_an_existing_checkpoint_is_never_replaced(weights, tmp_path, pynative_mode):
    for name, message in (("w.ckpt", "exists already"), ("w.pth", "must end with .ckpt")):
        out = tmp_path / name
        out.write_text("precious")
        cfg = load_config(str(CONFIG), [*BASE, "--pt_path", str(weights), "--ckpt_path", str(out)])
        with pytest.raises(UserError, match=message):
            convert_file(cfg)
        assert out.read_text() == "precious"


def test_a_target_in_something_that_is_no_folder_is_one_line(weights, pynative_mode):
    cfg = load_config(str(CONFIG), [*BASE, "--pt_path", str(weights), "--ckpt_path", f"{weights}/w.ckpt"])
    with pytest.raises(UserError, match=r"mmdet.pth/w.ckpt: its folder cannot be made"):
        convert_file(cfg)


def test_another_number_of_classes_is_refused_and_with_finetune_starts_a_training(weights, tmp_path, pynative_mode):
    """The configuration has four classes, the weights three."""
    path = tmp_path / "mmdet.pth"
    path.symlink_to(weights)
    with pytest.raises(UserError, match=r"weight \[4, 64\], here bbox_head\.fc_cls\.weight \[5, 64\].*--finetune 1"):
        convert(CONFIG, path)
    assert not path.with_suffix(".ckpt").exists()
    _, done = convert(CONFIG, path, "--finetune", "1")
    layers = ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.conv_logits")
    assert sorted(done.dropped) == sorted(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))

    keys = ["--device_target", "CPU", "--pre_trained", str(path.with_suffix(".ckpt"))]
    cfg = load_config(str(CONFIG), [*keys, "--finetune", "1"])
    model = build_model(cfg)
    load_start_weights(cfg, model)
    own = {parameter.name: parameter.asnumpy() for parameter in model.get_parameters()}
    for name, value in done.values.items():
        np.testing.assert_array_equal(own[name], value, err_msg=name)
    with pytest.raises(UserError, match=r"6 parameters .*bbox_head\.fc_cls\.weight.* missing"):
        TASKS[cfg.task].load_network(cfg, str(path.with_suffix(".ckpt")))
    with pytest.raises(UserError, match="missing"):
        load_start_weights(load_config(str(CONFIG), keys), model)


def test_a_backbone_alone_starts_a_training_by_its_own_key(weights, tmp_path, pynative_mode):
    state = {n.removeprefix("backbone."): v for n, v in mmdetection_state().items() if n.startswith("backbone.")}
    torch.save(state, tmp_path / "backbone.pth")
    _, done = convert(CONFIG, tmp_path / "backbone.pth")
    assert done.unset
    cfg = load_config(str(CONFIG), ["--device_target", "CPU", "--backbone.pretrained", str(tmp_path / "backbone.ckpt")])
    model = build_model(cfg)
    load_start_weights(cfg, model)
    np.testing.assert_array_equal(model.backbone.conv1.weight.asnumpy(), state["conv1.weight"].numpy())


def test_without_an_argument_or_a_file_it_is_one_line():
    assert "--ckpt_path is missing" in run("convert_from_pt.py", "--config_path", CONFIG, "--pt_path", "w", status=2)
