"""The page docs/adding_a_detector.md, followed word by word."""

import cv2
import numpy as np
import pytest

from src.checkpoint import load_model_weights, save_weights
from src.config import EXTRA_KEYS, choices, load_config
from src.engine.setup import make_train_step
from src.errors import UserError
from src.export.mindir import write_mindir
from src.export.parity import compare_detections
from src.inference.backends import open_model, run_model
from src.inference.predictor import Predictor
from src.models.contract import Declares
from src.models.detection.build import DETECTORS
from src.tasks import build_model
from tests.models.test_any_backbone import BACKBONE_KEYS, batch
from tests.page_blocks import add_module, blocks, write_config

SIZE = ["--img_width", "128", "--img_height", "128", "--num_gts", "2", "--test_batch_size", "1"]
SMALL = ["--backbone.type", "resnet", "--neck.type", "fpn", *BACKBONE_KEYS["resnet"]]  # compiles sooner
LOW = ["--test_cfg.rcnn.score_thr", "0.01"]


@pytest.fixture()
def configured(tmp_path, monkeypatch, added):
    """config(*keys): the page's configuration; the page's code is in its places."""
    head, wiring, line, keys, yaml_text = blocks("adding_a_detector.md")
    place = "src.models.detection"
    add_module(f"{place}.linear_mask_head", head, tmp_path, monkeypatch)
    module = add_module(f"{place}.build_linear_mask", wiring, tmp_path, monkeypatch)
    for name, build in eval("{" + line.strip() + "}", vars(module)).items():
        monkeypatch.setitem(DETECTORS, name, build)
        added(choices.DETECTORS, name)
    added(EXTRA_KEYS, add_module("src.config.linear_mask_keys", keys, tmp_path, monkeypatch).LinearMaskKeys)
    path = write_config(yaml_text, tmp_path / "linear_mask.yaml")
    return lambda *own: load_config(path, [*SIZE, *SMALL, *LOW, *own])


@pytest.mark.slow
def test_the_example_learns_detects_and_is_exported(graph_mode, configured, tmp_path):
    cfg = configured()
    model = build_model(cfg)
    assert isinstance(model, Declares) and model.loss_names[-1] == "loss_mask"
    step, _ = make_train_step(cfg, model, steps_per_epoch=1)
    inputs = batch()
    before = model.mask_head.masks.weight.asnumpy().copy()
    assert all(np.isfinite(float(loss)) for loss in step(*inputs))
    assert not np.array_equal(before, model.mask_head.masks.weight.asnumpy())

    model.set_train(False)
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.random.RandomState(0).randint(0, 256, (100, 120, 3), np.uint8))
    ((_, prediction),) = Predictor(model, cfg).predict_files([picture])
    assert len(prediction) == len(prediction.masks) > 0 and prediction.masks[0]["size"] == [100, 120]

    arrays = {"image": inputs[0][:1].asnumpy(), "image_shape": inputs[1][:1].asnumpy()}
    write_mindir(model, arrays, {"task": "detection"}, tmp_path / "model.mindir")
    found = run_model(open_model(tmp_path / "model.mindir", "mindir"), *arrays.values())
    assert "0 without a partner" in compare_detections("a batch", run_model(model, *arrays.values()), found)


def test_its_key_reaches_the_head_and_is_checked(graph_mode, configured):
    assert build_model(configured("--linear_mask_rank", "5")).mask_head.masks.weight.shape[1] == 5
    with pytest.raises(UserError, match="linear_mask_rank is 0; it must be at least 1"):
        configured("--linear_mask_rank", "0")


def test_its_class_layers_start_fresh_for_other_classes(graph_mode, configured, tmp_path):
    save_weights(build_model(configured()), tmp_path / "four.ckpt")
    other = build_model(configured("--num_classes", "3", "--coco_classes", "[background, a, b]"))
    fresh = load_model_weights(other, tmp_path / "four.ckpt", finetune=True)
    layers = ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.masks")
    assert sorted(fresh) == sorted(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))


def test_an_export_that_nobody_has_written_is_one_line(graph_mode, configured):
    from src.export.detector_onnx import detector_to_onnx

    with pytest.raises(UserError, match="a detector with mask head 'linear' cannot be written, only fcn, points; MIND"):
        detector_to_onnx(build_model(configured()), (128, 128))
