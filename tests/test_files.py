"""What is written says its format; what a newer version wrote is one line, what an older one wrote is read."""

import json
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src import checkpoint, files
from src.config import load_config, save_config
from src.errors import UserError
from src.inference import prediction_file
from src.inference.backends import open_model
from src.inference.prediction_file import load_protocol, save_predictions

ROOT = Path(__file__).parents[1]
TINY = str(Path(__file__).parents[1] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
NEWER = "written by a newer version: it has format 2, and 1 is the last known"


def test_a_checkpoint_of_a_newer_version_is_refused_and_one_without_a_format_is_read(tmp_path, monkeypatch):
    model = nn.Dense(2, 3)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_FORMAT", 2)
    checkpoint.save_weights(model, tmp_path / "new.ckpt")
    monkeypatch.setattr(checkpoint, "CHECKPOINT_FORMAT", 1)
    with pytest.raises(UserError, match=f"new.ckpt was {NEWER}"):
        checkpoint.read_checkpoint(tmp_path / "new.ckpt")
    ms.save_checkpoint(model, str(tmp_path / "old.ckpt"), crc_check=True)
    assert set(checkpoint.read_checkpoint(tmp_path / "old.ckpt")) == {"weight", "bias"}


def test_the_format_is_no_parameter(tmp_path):
    model = nn.Dense(2, 3)
    checkpoint.save_weights(model, tmp_path / "own.ckpt")
    assert checkpoint.load_model_weights(_declared(model), tmp_path / "own.ckpt") == []
    assert set(checkpoint.read_checkpoint(tmp_path / "own.ckpt")) == {"weight", "bias"}


def test_a_run_folder_of_a_newer_version_is_refused(tmp_path):
    cfg = load_config(TINY)
    save_config(cfg, str(tmp_path / "own.yaml"))
    assert load_config(str(tmp_path / "own.yaml")) == cfg
    written = (tmp_path / "own.yaml").read_text()
    assert written.startswith("_format_: 2\n")
    (tmp_path / "new.yaml").write_text(written.replace("_format_: 2", "_format_: 3"))
    with pytest.raises(UserError, match="new.yaml was written by a newer version: it has format 3, and 2 is the last"):
        load_config(str(tmp_path / "new.yaml"))


def test_predictions_of_a_newer_version_are_refused_and_the_protocol_does_not_show_the_format(tmp_path, monkeypatch):
    save_predictions(tmp_path / "own.json", [], {"size": "64x64"})
    assert json.loads((tmp_path / "own.json.protocol").read_text())["format"] == files.PREDICTION_FORMAT
    assert set(load_protocol(tmp_path / "own.json")) == {"size", "predictions"}
    monkeypatch.setattr(prediction_file, "PREDICTION_FORMAT", 2)
    save_predictions(tmp_path / "new.json", [], {"size": "64x64"})
    monkeypatch.setattr(prediction_file, "PREDICTION_FORMAT", 1)
    with pytest.raises(UserError, match=f"new.json was {NEWER}"):
        load_protocol(tmp_path / "new.json")


def test_an_exported_file_of_a_newer_version_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=8)
    for form, name in ((1, "own.onnx"), (2, "new.onnx")):
        onnx.helper.set_model_props(model, {"task": '"classification"', "format": str(form)})
        onnx.save(model, tmp_path / name)
    (found,) = open_model(tmp_path / "own.onnx", "onnx")(np.float32([-1]))
    assert found == 0
    with pytest.raises(UserError, match=f"new.onnx was {NEWER}"):
        open_model(tmp_path / "new.onnx", "onnx")


def _declared(model: nn.Cell) -> nn.Cell:
    model.class_layers = ()
    return model


def test_a_temporary_folder_goes_with_a_process_that_is_interrupted(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from src.files import temporary_folder; from src.process import signals\n"
        "with temporary_folder(Path(sys.argv[1])) as one: (one / 'x').touch(); signals.leave(130, 'interrupted')"
    )
    command = [sys.executable, "-c", program, tmp_path / "model.onnx"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT)
    assert done.returncode == 130 and done.stderr == b"interrupted\n"
    assert not list(tmp_path.iterdir())
