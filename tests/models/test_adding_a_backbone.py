"""The page docs/adding_a_backbone.md, followed word by word."""

import numpy as np
import pytest

from src.config import backbone_keys, load_config
from src.engine.setup import make_train_step
from src.models.backbones import build
from src.tasks import build_model
from tests.models.test_any_backbone import batch
from tests.page_blocks import add_module, blocks, write_config


@pytest.mark.slow
def test_the_example_learns_and_detects(graph_mode, tmp_path, monkeypatch):
    module_text, line, keys_text, keys_line, yaml_text = blocks("adding_a_backbone.md")
    module = add_module("src.models.backbones.plain", module_text, tmp_path, monkeypatch)
    entry = eval("{" + line.strip() + "}", {**vars(build), "PlainNet": module.PlainNet})
    for name, constructor in entry.items():
        monkeypatch.setitem(build.BACKBONES, name, constructor)

    known = dict(vars(backbone_keys))
    exec(keys_text, known)
    for name, kind in eval("{" + keys_line.strip() + "}", known).items():
        monkeypatch.setitem(backbone_keys.BACKBONE_KEYS, name, kind)

    size = ["--img_width", "128", "--img_height", "128", "--num_gts", "2"]
    cfg = load_config(write_config(yaml_text, tmp_path / "plain.yaml"), size)
    model = build_model(cfg)
    step, _ = make_train_step(cfg, model, steps_per_epoch=1)
    inputs = batch()
    assert all(np.isfinite(float(loss)) for loss in step(*inputs))
    model.set_train(False)
    assert model(*inputs[:2])[0].shape == (2, 8, 4)
