"""Weights as the originals' launchers are given them: what each kind of file becomes."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import load_model_weights, read_checkpoint, save_weights
from src.commands.adopt import adopt, main
from src.config import load_config
from src.errors import UserError
from src.tasks import TASKS, build_model
from tests.convert.case import CONFIGS
from tests.convert.test_mindspore_detectors import NARROW, POINTREND, write_checkpoint
from tests.convert.torch_mindspore_detectors import make_state

pytestmark = pytest.mark.usefixtures("pynative_mode")

CPU = ("--device_target", "CPU")


def configured(name: str, *keys: str):
    return load_config(str(CONFIGS / "demo" / f"{name}.yaml"), [*CPU, *keys])


@pytest.fixture(scope="module")
def pointrend():
    return load_config(str(POINTREND), [*CPU, *NARROW])


@pytest.fixture(scope="module")
def classifier():
    return configured("hrnet_cls_shapes")


@pytest.fixture(scope="module")
def segmenter():
    return configured("hrnet_seg_lip_shapes", "--seg_head.bilinear", "asymmetric")


def of_original(cfg, path, *without: str):
    """A network of the configuration as the originals' folders save theirs: without `backbone.`."""
    named = [(parameter.name.removeprefix("backbone."), parameter) for parameter in build_model(cfg).get_parameters()]
    entries = [{"name": name, "data": Tensor(one.asnumpy())} for name, one in named if not name.startswith(without)]
    ms.save_checkpoint(entries, str(path))
    return path


def test_an_originals_checkpoint_is_converted_once_for_each_network_and_evaluates(pointrend, tmp_path):
    path = write_checkpoint(make_state(points=True), tmp_path / "theirs-12_7.ckpt")
    (key, new) = adopt(pointrend, path, tmp_path / "converted", is_training=True)
    assert key == "--pre_trained" and new.startswith(str(tmp_path / "converted" / "theirs-12_7-"))
    written = read_checkpoint(new)
    assert adopt(pointrend, path, tmp_path / "converted", is_training=False) == ["--checkpoint_path", new]
    assert len(list((tmp_path / "converted").iterdir())) == 1
    other = write_checkpoint(make_state(points=True, seed=1), tmp_path / "theirs-12_7.ckpt")
    assert adopt(pointrend, other, tmp_path / "converted", is_training=True)[1] != new
    assert all(np.array_equal(read_checkpoint(new)[name], values) for name, values in written.items())


def test_a_mask_rcnn_starts_pointrend_but_for_the_mask_head_which_is_said(pointrend, tmp_path, capsys):
    state = make_state()
    path = write_checkpoint(state, tmp_path / "maskrcnn.ckpt")
    key, new, *more = adopt(pointrend, path, tmp_path, is_training=True)
    assert (key, more) == ("--pre_trained", ["--finetune", "1"])
    said = capsys.readouterr().out
    assert "mask_head of another kind (finetune)" in said and "it starts fresh" in said and "WARNING" not in said
    model = build_model(pointrend)
    skipped = load_model_weights(model, new, finetune=True)
    loaded = {parameter.name: parameter.asnumpy() for parameter in model.get_parameters()}
    assert set(skipped) == {name for name in loaded if name.startswith("mask_head.")}
    np.testing.assert_array_equal(
        loaded["rpn_head.rpn_conv.weight"], state["rpn_with_loss.rpn_convs_list.0.rpn_conv.weight"]
    )
    np.testing.assert_array_equal(
        loaded["bbox_head.shared_fcs.1.weight"], state["rcnn_cls.fpn_cls.shared_fc_1.weight"].T
    )
    with pytest.raises(UserError, match="missing"):
        load_model_weights(build_model(pointrend), new)
    with pytest.raises(UserError, match="holds no whole network of the configuration"):
        adopt(pointrend, path, tmp_path, is_training=False)


def test_a_classifiers_checkpoint_is_a_segmenters_backbone(segmenter, classifier, tmp_path):
    theirs = of_original(classifier, tmp_path / "hrnetw48-imagenet-120_7.ckpt")
    key, new = adopt(segmenter, theirs, tmp_path / "new", is_training=True)
    assert key == "--backbone.pretrained" and new.endswith("-backbone.ckpt")
    assert adopt(segmenter, theirs, tmp_path / "new", is_training=True) == [key, new]
    assert adopt(classifier, theirs, tmp_path / "new", is_training=True)[0] == "--pre_trained"
    ours = tmp_path / "ours.ckpt"
    save_weights(build_model(classifier), ours, facts=TASKS["classification"].facts(classifier))
    assert adopt(segmenter, ours, tmp_path / "no", is_training=True) == ["--backbone.pretrained", str(ours)]
    assert adopt(classifier, ours, tmp_path / "no", is_training=True) == ["--pre_trained", str(ours)]
    assert adopt(classifier, ours, tmp_path / "no", is_training=False) == ["--checkpoint_path", str(ours)]
    assert not (tmp_path / "no").exists()


def test_another_data_sets_segmenter_loses_its_last_layer_in_training_as_the_original_has_it(segmenter, tmp_path):
    cityscapes = configured("hrnet_seg_cityscapes_shapes", "--seg_head.bilinear", "asymmetric")
    theirs = of_original(cityscapes, tmp_path / "hrnetw48seg-cityscapes-600_1.ckpt")
    key, new, *more = adopt(segmenter, theirs, tmp_path, is_training=True)
    assert (key, more) == ("--pre_trained", ["--finetune", "1"]) and "last_layer.3.weight" not in read_checkpoint(new)
    with pytest.raises(UserError, match="other shapes"):
        adopt(segmenter, theirs, tmp_path / "evaluated", is_training=False)


def test_a_backbone_alone_and_files_that_are_none(segmenter, tmp_path):
    model = build_model(segmenter)
    heads = {parameter.name for parameter in model.get_parameters() if not parameter.name.startswith("backbone.")}
    save_weights(model, tmp_path / "trunk.ckpt", without=heads)
    assert adopt(segmenter, tmp_path / "trunk.ckpt", tmp_path, True)[0] == "--backbone.pretrained"
    (tmp_path / "net.onnx").write_bytes(b"any")
    assert adopt(segmenter, tmp_path / "net.onnx", tmp_path, False) == ["--checkpoint_path", str(tmp_path / "net.onnx")]
    for name, content in (("empty.ckpt", b""), ("damaged.ckpt", b"\n123"), ("text.pth", b"text"), ("none.ckpt", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            adopt(segmenter, tmp_path / name, tmp_path, True)


def test_the_command_writes_its_answer_a_word_a_line_and_none_where_the_file_is_given_as_it_is(segmenter, tmp_path):
    model = build_model(segmenter)
    save_weights(model, tmp_path / "my own.ckpt")
    heads = {parameter.name for parameter in model.get_parameters() if not parameter.name.startswith("backbone.")}
    save_weights(model, tmp_path / "trunk.ckpt", without=heads)
    config = str(CONFIGS / "demo" / "hrnet_seg_lip_shapes.yaml")
    for name, purpose, words in (
        ("my own.ckpt", "evaluate", []),
        ("my own.ckpt", "train", []),
        ("trunk.ckpt", "train", ["--backbone.pretrained", str(tmp_path / "trunk.ckpt")]),
    ):
        line = ["--config_path", config, "--weights", str(tmp_path / name), "--purpose", purpose]
        main([*line, "--folder", str(tmp_path), "--answer", str(tmp_path / "answer"), *CPU])
        assert (tmp_path / "answer").read_text().splitlines() == words
