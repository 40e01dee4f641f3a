"""The page docs/adding_a_backbone.md, followed word by word."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np

from src.config import load_config
from src.engine.setup import make_train_step
from src.models import build
from tests.models.test_any_backbone import batch

ROOT = Path(__file__).parents[2]


def test_the_example_learns_and_detects(graph_mode, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "adding_a_backbone.md").read_text(encoding="utf-8")
    module_text, line, yaml_text = re.findall(r"```(?:python|text|yaml)\n(.*?)```", page, re.DOTALL)
    (tmp_path / "plain.py").write_text(module_text, encoding="utf-8")
    (tmp_path / "plain.yaml").write_text(
        yaml_text.replace("mask_rcnn_hrnet_tiny.yaml", str(ROOT / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")),
        encoding="utf-8",
    )
    spec = importlib.util.spec_from_file_location("plain", tmp_path / "plain.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "plain", module)  # where the compiler looks for the source
    spec.loader.exec_module(module)
    entry = eval("{" + line.strip() + "}", {**vars(build), "PlainNet": module.PlainNet})
    monkeypatch.setattr(build, "BACKBONES", build.BACKBONES | entry)

    size = ["--img_width", "128", "--img_height", "128", "--num_gts", "2"]
    cfg = load_config(str(tmp_path / "plain.yaml"), size)
    model = build.build_model(cfg)
    step, _ = make_train_step(cfg, model, steps_per_epoch=1)
    inputs = batch()
    assert all(np.isfinite(float(loss)) for loss in step(*inputs))
    model.set_train(False)
    assert model(*inputs[:2])[0].shape == (2, 8, 4)
