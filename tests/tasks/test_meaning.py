"""Names in a checkpoint or an exported file say what its outputs mean, in evaluation, inference and export."""

import json

import numpy as np
import pytest
from mindspore import nn

from src import checkpoint
from src.config import load_config
from src.errors import UserError
from src.export.metadata import describe
from src.inference.backends import encode_metadata, reordered, run_model
from src.tasks import TASKS

CONFIGS = {
    "detection": "configs/demo/mask_rcnn_hrnet_tiny.yaml",
    "segmentation": "configs/demo/hrnet_seg_cityscapes_shapes.yaml",
    "classification": "configs/demo/hrnet_cls_shapes.yaml",
}
NAMES = ["cat", "dog", "cow"]


def config(task: str, names: list[str], *more: str):
    given = ["background", *names] if task == "detection" else names
    key = "coco_classes" if task == "detection" else "class_names"
    custom = ("--dataset", "custom", "--class_weights", "[]") if task == "segmentation" else ()
    classes = (f"--{key}", json.dumps(given), "--num_classes", str(len(given)))
    return load_config(CONFIGS[task], [*classes, *custom, *more])


@pytest.fixture()
def saved(tmp_path):
    """saved(task, names): path of a checkpoint that says them."""

    def save(task: str, names: list[str], **more) -> str:
        path = tmp_path / "model.ckpt"
        checkpoint.save_weights(nn.Dense(2, 3), path, facts=TASKS[task].facts(config(task, names)) | more)
        return str(path)

    return save


def test_a_checkpoint_says_task_classes_and_configuration_and_readers_of_before_see_parameters(saved):
    path = saved("detection", NAMES, category_ids=[3, "x", 9])
    facts = checkpoint.checkpoint_facts(path)
    assert (facts["task"], facts["class_names"], facts["category_ids"]) == ("detection", NAMES, [3, "x", 9])
    assert facts["config"]["backbone"]["type"] == "hrnet" and facts["config"]["num_classes"] == 4
    assert set(checkpoint.read_checkpoint(path)) == {"weight", "bias"}
    import mindspore as ms

    assert all(name.startswith("state/") for name in set(ms.load_checkpoint(path)) - {"weight", "bias"})
    other = nn.Dense(2, 3)
    assert not ms.load_param_into_net(other, ms.load_checkpoint(path))[0]


def test_a_cascades_weights_under_another_mean_or_other_deviations_are_warned_of_with_the_keys(tmp_path, caplog_src):
    task, path, keys = TASKS["detection"], tmp_path / "model.ckpt", ["--detector", "cascade_rcnn"]
    theirs = ["--cascade.mean_of", "probabilities", "--cascade.target_stds", "[[1,1,2,2],[.5,.5,1,1],[.3,.3,.7,.7]]"]
    checkpoint.save_weights(nn.Dense(2, 3), path, facts=task.facts(config("detection", NAMES, *keys, *theirs)))
    for same in ([*keys, *theirs], []):  # a detector that is no cascade has neither
        task.tell_definition(config("detection", NAMES, *same), str(path))
        assert "cascade." not in caplog_src.text
    task.tell_definition(config("detection", NAMES, *keys), str(path))
    assert "run with --cascade.mean_of probabilities" in caplog_src.text
    assert "--cascade.target_stds [[1.0,1.0,2.0,2.0],[0.5,0.5,1.0,1.0],[0.3,0.3,0.7,0.7]]" in caplog_src.text


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_classes_in_another_order_are_those_of_the_outputs(saved, caplog_src, task):
    cfg = config(task, NAMES[::-1], "--checkpoint_path", saved(task, NAMES))
    trained, order = TASKS[task].to_run(cfg)
    assert list(TASKS[task].class_names(trained)) == NAMES and order == ()
    assert "another order: they are matched by name" in caplog_src.text
    same, _ = TASKS[task].to_run(config(task, NAMES, "--checkpoint_path", cfg.checkpoint_path))
    assert list(TASKS[task].class_names(same)) == NAMES


def test_a_segmenters_outputs_follow_the_labels_of_its_data(saved):
    task = TASKS["segmentation"]
    cfg = config("segmentation", ["cow", "cat", "dog"], "--checkpoint_path", saved("segmentation", NAMES))
    kept, order = task.to_run(cfg)
    assert kept is cfg and order == (2, 0, 1)
    logits = np.arange(3, dtype=np.float32)[None, :, None, None] + np.zeros((2, 3, 4, 4), np.float32)
    (found,) = run_model(reordered(Network(logits), order), logits)
    assert found[0, :, 0, 0].tolist() == [2, 0, 1]
    described = task.describe(task.as_trained(cfg))
    assert described["class_names"] == NAMES
    assert task.to_run(config("segmentation", NAMES, "--checkpoint_path", cfg.checkpoint_path))[1] == ()


class Network:
    def __init__(self, logits):
        self.logits = logits

    def __call__(self, _):
        from mindspore import Tensor

        return Tensor(self.logits)


@pytest.mark.parametrize("task", CONFIGS)
def test_other_classes_are_refused_with_both_lists(saved, task):
    cfg = config(task, ["cat", "dog", "cows"], "--checkpoint_path", saved(task, NAMES))
    with pytest.raises(UserError) as error:
        TASKS[task].to_run(cfg)
    text = str(error.value)
    assert "has the classes [cat, dog, cow], but the configuration has [cat, dog, cows]" in text
    assert "only the file has [cow]; the file lacks [cows]" in text and "\n" not in text


def test_fewer_classes_are_evaluated_on_theirs_where_that_is_asked_for(saved):
    task, names = TASKS["detection"], ["dog", "bird", "cat", "cow"]
    given = "--checkpoint_path", saved("detection", NAMES)
    cfg = config("detection", names, *given)
    with pytest.raises(UserError, match=r"the file lacks \[bird\]; --classes subset evaluates it on those"):
        task.to_run(cfg)
    trained, _ = task.to_run(config("detection", names, *given, "--classes", "subset"))
    assert trained.coco_classes == ["background", *NAMES] and trained.num_classes == 4


def test_a_checkpoint_of_before_is_taken_in_the_configurations_order_which_is_said(saved, tmp_path, caplog_src):
    checkpoint.save_weights(nn.Dense(2, 3), tmp_path / "old.ckpt")
    cfg = config("detection", NAMES, "--checkpoint_path", str(tmp_path / "old.ckpt"))
    assert TASKS["detection"].to_run(cfg) == (cfg, ())
    assert "old.ckpt does not name its classes: they are taken to be the configuration's" in caplog_src.text


def test_a_checkpoint_of_another_task_is_refused(saved):
    cfg = config("classification", NAMES, "--checkpoint_path", saved("segmentation", NAMES))
    with pytest.raises(UserError, match="is of task segmentation, but the configuration has task classification"):
        TASKS["classification"].to_run(cfg)


@pytest.mark.parametrize(
    ("task", "key", "theirs", "ours"),
    [("detection", "detector", "faster_rcnn", "cascade_rcnn"), ("segmentation", "segmenter", "fcn", "ocr")],
)
def test_a_checkpoint_of_another_kind_of_network_is_refused_by_the_key_that_says_it(tmp_path, task, key, theirs, ours):
    facts = TASKS[task].facts(config(task, NAMES, f"--{key}", theirs))
    checkpoint.save_weights(nn.Dense(2, 3), tmp_path / "w.ckpt", facts=facts)
    cfg = config(task, NAMES, f"--{key}", ours, "--checkpoint_path", str(tmp_path / "w.ckpt"))
    with pytest.raises(UserError, match=f"w.ckpt is of {key} '{theirs}', but the configuration has {key} {ours}"):
        TASKS[task].load(cfg)


def test_an_exported_files_names_count_as_well(tmp_path, caplog_src):
    onnx = pytest.importorskip("onnx")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=8)
    metadata = {"task": "detection", "class_names": NAMES, "category_ids": [4, 5, 6]}
    onnx.helper.set_model_props(model, encode_metadata(metadata))
    onnx.save(model, tmp_path / "model.onnx")
    given = ("--checkpoint_path", str(tmp_path / "model.onnx"), "--backend", "onnx")
    trained, _ = TASKS["detection"].to_run(config("detection", NAMES[::-1], *given))
    assert trained.coco_classes[1:] == NAMES
    assert TASKS["detection"].describe(trained)["category_ids"] == [4, 5, 6]
    assert describe(trained, (8, 8))["num_classes"] == 4


@pytest.fixture()
def caplog_src(caplog, monkeypatch):
    import logging

    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    caplog.set_level(logging.INFO, logger="src")
    return caplog
