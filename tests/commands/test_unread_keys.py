"""Every command is started with keys that it takes and does not read: it says so before it says what is wrong."""

import logging

import pytest

from src.config import load_config
from tests.config.test_unread import EXAMPLES, keys
from tests.end_to_end.commands import ROOT, run

CONFIG = "tests/end_to_end/mask_rcnn_resnet_tiny.yaml"
MISSING = {  # of each command, what runs it and an input that is not there
    "train.py": ("train.py", "--train_dataset", "nowhere"),
    "eval.py": ("eval.py", "--val_dataset", "nowhere", "--checkpoint_path", "nowhere.ckpt"),
    "infer.py": ("infer.py", "--checkpoint_path", "nowhere.ckpt", "--pred_input", "nowhere", "--pred_output", "x.json"),
    "export.py": ("export.py", "--checkpoint_path", "nowhere.ckpt", "--file_name", "x"),
    "convert_weights.py": ("convert_weights.py", "--pt_path", "nowhere.pth", "--ckpt_path", "x.ckpt"),
    "check": ("-m", "src.commands.check", "--train_dataset", "nowhere"),
    "summary": ("-m", "src.commands.summary", "--backbone.depth", "49"),
    "mindrecord": ("-m", "src.data.mindrecord", "--mindrecord_dir", "x", "--train_dataset", "nowhere"),
    "preprocess.py": ("deploy/preprocess.py", "--val_dataset", "nowhere"),
}


@pytest.mark.parametrize("command", MISSING)
def test_what_the_command_takes_and_does_not_read_is_said(command, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    found = keys(load_config(str(ROOT / CONFIG)))
    start = [arg for arg in MISSING[command] if arg.startswith("--")]
    names = [name for own, names in EXAMPLES if own == command for name in names.split() if f"--{name}" not in start]
    typed = [part for name in names for part in (f"--{name}", found[name].value or "0")]
    where = ROOT / CONFIG
    printed = run(*MISSING[command], "--config_path", where, *typed, status=2, folder=tmp_path)
    assert printed.splitlines()[-1].startswith("error: ")
    (told,) = [text for text in (one.getMessage() for one in caplog.records) if "keys without effect" in text]
    assert len(names) >= 4 and all(f" {name}" in told for name in names)
    assert not list(tmp_path.iterdir())
