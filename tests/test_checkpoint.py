import numpy as np
import pytest
from mindspore import nn

from src.checkpoint import (
    checkpoint_facts,
    load_backbone_weights,
    load_model_weights,
    read_checkpoint,
    save_weights,
)
from src.errors import UserError


class Head(nn.Cell):
    def __init__(self, classes):
        super().__init__()
        self.fc_cls = nn.Dense(4, classes)


class Model(nn.Cell):
    class_layers = ("bbox_head.fc_cls.",)

    def __init__(self, classes=3, width=4):
        super().__init__()
        self.backbone = nn.Dense(2, width)
        self.bbox_head = Head(classes)


def state(model):
    return {parameter.name: parameter.asnumpy().copy() for parameter in model.get_parameters()}


def test_weights_come_back_as_they_were_written(tmp_path):
    first, second = Model(), Model()
    save_weights(first, tmp_path / "w.ckpt")
    assert load_model_weights(second, tmp_path / "w.ckpt") == []
    for name, value in state(first).items():
        np.testing.assert_array_equal(state(second)[name], value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.ckpt"]


@pytest.mark.parametrize("damage", ["half", "empty", "text", "one byte", "missing"])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, damage):
    path = tmp_path / "w.ckpt"
    save_weights(Model(), path)
    content = bytearray(path.read_bytes())
    path.chmod(0o644)
    changed = {"half": content[: len(content) // 2], "empty": b"", "text": b"not a checkpoint"}
    if damage == "one byte":
        content[len(content) // 2] ^= 0xFF
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(changed.get(damage, content)))
    with pytest.raises(UserError, match=r"w\.ckpt") as error:
        load_model_weights(Model(), path)
    assert "\n" not in str(error.value)


def test_missing_and_unexpected_parameters_are_named(tmp_path):
    save_weights(Head(3), tmp_path / "head.ckpt")
    with pytest.raises(UserError, match=r"missing.*unexpected"):
        load_model_weights(Model(), tmp_path / "head.ckpt")


def test_other_shapes_are_named_with_both_shapes(tmp_path):
    save_weights(Model(width=4), tmp_path / "w.ckpt")
    other = Model(width=4)
    other.backbone = nn.Dense(3, 4)
    with pytest.raises(UserError, match=r"backbone\.weight \[4, 2\] against \[4, 3\]"):
        load_model_weights(other, tmp_path / "w.ckpt")


def test_finetune_leaves_out_only_class_layers_of_another_shape(tmp_path):
    source, target = Model(classes=3), Model(classes=7)
    save_weights(source, tmp_path / "w.ckpt")
    with pytest.raises(UserError, match="fc_cls"):
        load_model_weights(target, tmp_path / "w.ckpt")
    fresh = state(target)
    skipped = load_model_weights(target, tmp_path / "w.ckpt", finetune=True)
    assert sorted(skipped) == ["bbox_head.fc_cls.bias", "bbox_head.fc_cls.weight"]
    loaded = state(target)
    np.testing.assert_array_equal(loaded["backbone.weight"], state(source)["backbone.weight"])
    np.testing.assert_array_equal(loaded["bbox_head.fc_cls.weight"], fresh["bbox_head.fc_cls.weight"])


def test_finetune_starts_class_layers_fresh_that_the_file_lacks_and_no_others(tmp_path):
    source, target = Model(), Model()
    layers = ["bbox_head.fc_cls.weight", "bbox_head.fc_cls.bias"]
    save_weights(source, tmp_path / "w.ckpt", without=layers)
    assert set(read_checkpoint(tmp_path / "w.ckpt")) == {"backbone.weight", "backbone.bias"}
    with pytest.raises(UserError, match="fc_cls.* missing"):
        load_model_weights(target, tmp_path / "w.ckpt")
    assert sorted(load_model_weights(target, tmp_path / "w.ckpt", finetune=True)) == sorted(layers)
    save_weights(source, tmp_path / "less.ckpt", without=[*layers, "backbone.bias"])
    with pytest.raises(UserError, match=r"1 parameters \(backbone\.bias\) missing"):
        load_model_weights(target, tmp_path / "less.ckpt", finetune=True)


def test_finetune_leaves_out_a_head_that_the_file_alone_has_and_says_so(tmp_path, caplog):
    source, target = Model(), Model()
    source.mask_head = Head(5)
    save_weights(source, tmp_path / "with_masks.ckpt")
    with pytest.raises(UserError, match=r"\(mask_head\..*unexpected"):
        load_model_weights(target, tmp_path / "with_masks.ckpt")
    with caplog.at_level("INFO"):
        assert load_model_weights(target, tmp_path / "with_masks.ckpt", finetune=True) == []
    assert "finetune: mask_head is in the file alone: it is left out" in caplog.text
    for name, value in state(target).items():
        np.testing.assert_array_equal(value, state(source)[name])
    source.other = Head(5)  # no head by its name
    save_weights(source, tmp_path / "more.ckpt")
    with pytest.raises(UserError, match=r"\(other\..*unexpected"):
        load_model_weights(target, tmp_path / "more.ckpt", finetune=True)


class Segmenter(nn.Cell):
    """A backbone and heads of these names."""

    def __init__(self, *heads: str, starts_from=()):
        super().__init__()
        self.backbone, self.class_layers, self.starts_from = nn.Dense(2, 4), ("last_layer.fc_cls.",), starts_from
        for head in heads:
            setattr(self, head, Head(3))


OCR = ("aux_head", "ocr_head")
SEGMENTERS = {"fcn": ("last_layer",), "pointrend": ("last_layer", "refine_head"), "ocr": OCR}


@pytest.mark.parametrize("source", SEGMENTERS)
@pytest.mark.parametrize("target", SEGMENTERS)
def test_finetune_starts_any_segmenter_from_any_other(tmp_path, source, target):
    starts = (("last_layer.", "aux_head."),) if target == "ocr" else ()
    theirs, ours = Segmenter(*SEGMENTERS[source]), Segmenter(*SEGMENTERS[target], starts_from=starts)
    save_weights(theirs, tmp_path / "w.ckpt")
    skipped = load_model_weights(ours, tmp_path / "w.ckpt", finetune=True)
    taken = [*SEGMENTERS[source], *(["aux_head"] if "last_layer" in SEGMENTERS[source] else [])]
    assert {name.partition(".")[0] for name in skipped} == set(SEGMENTERS[target]) - set(taken)
    np.testing.assert_array_equal(state(ours)["backbone.weight"], state(theirs)["backbone.weight"])


def test_a_backbone_loads_from_a_whole_model_and_from_itself(tmp_path):
    source = Model()
    save_weights(source, tmp_path / "model.ckpt")
    target = Model()
    load_backbone_weights(target.backbone, tmp_path / "model.ckpt")
    np.testing.assert_array_equal(target.backbone.weight.asnumpy(), source.backbone.weight.asnumpy())
    save_weights(Head(3), tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="missing"):
        load_backbone_weights(target.backbone, tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    "name,message",
    [
        ("model.pth", "model.pth is of another framework: python convert_from_pt.py --pt_path FILE --ckpt_path"),
        ("model.safetensors", "model.safetensors is of another framework: python convert_from_pt.py"),
        ("model.ckpt.bak", "model.ckpt.bak ends in '.bak': MindSpore's checkpoints end in .ckpt; rename it"),
        ("model", "model ends in '': MindSpore's checkpoints end in .ckpt"),
    ],
)
def test_a_file_of_another_suffix_is_not_called_damaged(tmp_path, name, message):
    save_weights(Model(), tmp_path / "w.ckpt")
    (tmp_path / "w.ckpt").rename(tmp_path / name)
    for read in (read_checkpoint, checkpoint_facts):
        with pytest.raises(UserError, match=message):
            read(tmp_path / name)
