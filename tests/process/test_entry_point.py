"""How commands end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ("--config_path", "configs/demo/hrnet_cls_shapes.yaml", "--input_size", "32")


def test_a_reader_that_has_enough_of_the_help_sees_no_traceback():
    command = f"{sys.executable} train.py --help | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Train a model") and not done.stderr


@pytest.mark.parametrize("module", ["src.models.summary", "src.check"])
def test_a_module_command_shows_no_warning_of_the_framework(module, tmp_path):
    data = ("--train_dataset", str(tmp_path)) if module == "src.check" else ()
    environment = {name: value for name, value in os.environ.items() if name != "GLOG_v"}
    command = [sys.executable, "-m", module, *CONFIG, *data]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, env=environment)
    if module == "src.check":  # as far as its data, which are not there: the device has been set by then
        assert "== environment" in done.stdout and done.stderr.startswith(f"error: {tmp_path}"), done.stderr
    else:
        assert "backbone" in done.stdout and not done.stderr
