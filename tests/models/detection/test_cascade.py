"""Cascades and Faster R-CNN against MMDetection 3.3 with the same weights: see tests/reference/README.md."""

import functools
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import yaml
from mindspore import Tensor, nn

from src.models.detection.cascade import CascadeRCNN, likeliest
from src.models.freeze import freeze_parts
from tests.models.detection.mmdet_case import (
    DATA_FILES,
    LossesAndGradients,
    assert_same_training,
    build,
    load_train_inputs,
)
from tests.reference.recipe import IMAGE_SHAPES, SCALE_FACTORS, make_images

BASES = Path(__file__).parents[3] / "configs" / "_base_"
NARROW = [
    "--backbone.type", "resnet", "--backbone.depth", "18", "--backbone.base_channels", "4", "--neck.type", "fpn",
    "--train_cfg.rpn.sampler.num", "8192", "--train_cfg.rcnn.sampler.num", "1024",
]  # fmt: skip


def keys_of(base: str) -> list[str]:
    """What a base configuration says, as a command line, which the narrow network's file cannot undo."""

    def walk(part: dict, prefix: str):
        for name, value in part.items():
            yield from walk(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]

    values = yaml.safe_load((BASES / f"{base}.yaml").read_text(encoding="utf-8"))
    del values["_base_"]
    return [word for name, value in walk(values, "") for word in (f"--{name}", str(value))]


CASES = {
    "cascade": [*keys_of("cascade_rcnn"), "--detector", "cascade_mask_rcnn"],
    "classwise": [
        *keys_of("cascade_rcnn"), "--bbox_head.reg_class_agnostic", "0", "--cascade.stage_loss_weights", "[1, 0.4]",
        "--cascade.pos_iou_thr", "[0.5, 0.65]", "--cascade.target_stds", "[[.1, .1, .2, .2], [.05, .05, .1, .1]]",
    ],
    "faster": keys_of("faster_rcnn"),
}  # fmt: skip
# Compiling is what takes the time.
SLOW = [pytest.param(case, "graph", marks=pytest.mark.slow) for case in ("faster", "classwise", "cascade")]
WAYS = [("cascade", "pynative"), ("faster", "pynative"), *SLOW]


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(DATA_FILES / "mmdet_cascade.npz"))


def make(case: str, *more: str) -> nn.Cell:
    return build([*NARROW, *CASES[case], *more])


def inputs_of(model: nn.Cell) -> list[Tensor]:
    named = zip(type(model).train_columns, load_train_inputs())
    return [column for name, column in named if name in model.train_columns]


@pytest.mark.parametrize(("case", "mode"), WAYS)
def test_losses_and_gradients_equal_mmdetection(request, reference, case, mode):
    request.getfixturevalue(f"{mode}_mode")
    model = make(case)
    model.set_train(True)
    assert list(model.loss_names) == [str(name) for name in reference[f"{case}_loss_names"]]
    losses, gradients = LossesAndGradients(model)(*inputs_of(model))
    named = reference | {"parameter_names": reference[f"{case}_parameter_names"]}
    assert_same_training(model, losses, gradients, named, case, 5e-4, 5e-4)


@pytest.mark.parametrize("case", ["cascade", pytest.param("classwise", marks=pytest.mark.slow)])
def test_what_each_stage_makes_of_all_its_rois_is_the_next_ones_choice(pynative_mode, reference, case, monkeypatch):
    model = make(case)
    model.set_train(True)
    outputs, samples = [], []
    monkeypatch.setattr(CascadeRCNN, "box_outputs", recording(CascadeRCNN.box_outputs, outputs))
    monkeypatch.setattr(CascadeRCNN, "box_losses", recording(CascadeRCNN.box_losses, [], samples))
    model(*inputs_of(model))
    assert len(outputs) == len(samples) == model.num_stages
    for stage, ((logits, deltas), (*_, rois, _)) in enumerate(zip(outputs, samples)):
        used = rois[4].asnumpy().reshape(-1)
        expected = reference[f"{case}_train_rois_{stage}"]
        boxes = rois[0].asnumpy()
        image = np.repeat(np.arange(len(boxes)), boxes.shape[1])[used, None]
        order, wanted = in_order(np.concatenate([image, boxes.reshape(-1, 4)[used]], 1)), in_order(expected)
        assert len(order) == len(wanted)
        np.testing.assert_allclose(boxes.reshape(-1, 4)[used][order], expected[wanted, 1:], atol=2e-3)
        for ours, kind in ((logits, "cls"), (deltas, "reg")):
            theirs = reference[f"{case}_train_{kind}_{stage}"][wanted]
            np.testing.assert_allclose(ours.asnumpy()[used][order], theirs, rtol=1e-4, atol=2e-4)


def recording(method, results: list, arguments: list | None = None):
    """The method, whose results and arguments are kept."""

    def call(*args):
        results.append(method(*args))
        if arguments is not None:
            arguments.append(args)
        return results[-1]

    return call


def in_order(rois: np.ndarray) -> np.ndarray:
    """The order of rois (N, 5) by image, then by place."""
    return np.lexsort(np.round(rois, 1).T[::-1])


class Stages(nn.Cell):
    """Every stage of inference, and what the network returns."""

    def __init__(self, model: nn.Cell):
        super().__init__(auto_prefix=False)
        self.model = model
        self.is_cascade = isinstance(model, CascadeRCNN)

    def construct(self, image, image_shape):
        found = ()
        if self.is_cascade:
            model = self.model
            pyramid, logits, deltas = model.first_stage(image)
            shape = image_shape.astype(ms.float32)
            rois, _, valid = model.test_proposals(model.rpn_head.anchors, logits, deltas, shape)
            for number in range(model.num_stages):
                head = model.bbox_head[number]
                logits, deltas = model.box_outputs(head, pyramid, rois, valid)
                found += ((rois, logits, deltas, valid),)
                rois = model.refined(head, deltas, rois, likeliest(logits), shape)
        return found, self.model.detections(image, image_shape)


@pytest.mark.parametrize(("case", "mode"), WAYS)
def test_every_stage_and_the_detections_equal_mmdetection(request, reference, case, mode):
    request.getfixturevalue(f"{mode}_mode")
    model = make(case)
    model.set_train(False)
    stages, found = Stages(model).set_train(False)(Tensor(make_images()), Tensor(np.int32(IMAGE_SHAPES)))
    for number, (rois, logits, deltas, valid) in enumerate(stages):
        used = valid.asnumpy().reshape(-1)
        expected = reference[f"{case}_test_rois_{number}"]
        assert used.sum() == len(expected)
        np.testing.assert_allclose(rois.asnumpy().reshape(-1, 4)[used], expected[:, 1:], atol=2e-3)
        for ours, kind in ((logits, "cls"), (deltas, "reg")):
            theirs = reference[f"{case}_test_{kind}_{number}"]
            np.testing.assert_allclose(ours.asnumpy()[used], theirs, rtol=1e-4, atol=2e-4)
    assert_same_detections([x.asnumpy() for x in found], reference, case)


def assert_same_detections(found: list[np.ndarray], reference: dict, case: str):
    """Boxes of the network's input, the same of the original image (which MMDetection chooses there without masks)."""
    boxes, scores, labels, valid, *masks = found
    assert len(masks) == int(case == "cascade")
    for image, (count, scale) in enumerate(zip(reference[f"{case}_detection_count"], SCALE_FACTORS)):
        assert valid[image].sum() == count
        for kind, ours in (("detection", boxes[image]), ("original", boxes[image] / np.float32([*scale, *scale]))):
            expected = reference[f"{case}_{kind}_boxes"][image, :count]
            distance = np.abs(ours[:count, None] - expected[None]).max(-1)
            distance += 1e3 * (labels[image, :count, None] != reference[f"{case}_{kind}_labels"][image, :count][None])
            match = distance.argmin(1)
            assert len(set(match)) == count and distance.min(1).max() < 1e-2
            theirs = reference[f"{case}_{kind}_scores"][image, match]
            np.testing.assert_allclose(scores[image, :count], theirs, rtol=1e-4, atol=1e-5)
        for mask in masks:
            theirs = reference[f"{case}_masks_u16"][image] / 65535
            rows = [list(match).index(row) for row in range(len(theirs))]
            np.testing.assert_allclose(mask[image, rows], theirs, atol=1e-4)


FEW = ["--train_cfg.rpn.sampler.num", "64", "--train_cfg.rcnn.sampler.num", "64"]


def test_each_stage_has_random_numbers_of_its_own_that_follow_the_seed(pynative_mode):
    samplers = make("cascade", *FEW, "--train_cfg.rcnn.sampler.order", "random").roi_samplers
    boxes = Tensor(np.random.RandomState(0).uniform(0, 60, (1, 500, 4)).astype(np.float32))
    everywhere, nowhere = Tensor(np.ones((1, 500), bool)), Tensor(np.zeros((1, 2), bool))
    objects = Tensor(np.zeros((1, 2, 4), np.float32)), Tensor(np.zeros((1, 2), np.int32)), nowhere

    def chosen(seed: int) -> list[set]:
        found = [sampler(boxes, everywhere, *objects, Tensor(np.int32([seed]))) for sampler in samplers]
        assert all(rois[4].asnumpy().all() and not rois[5].asnumpy().any() for rois in found)
        return [{tuple(box) for box in rois[0].asnumpy()[0]} for rois in found]

    first, again, other = chosen(7), chosen(7), chosen(8)
    assert first == again and len({*map(frozenset, [*first, *other])}) == 6


@functools.cache
def plain() -> tuple[nn.Cell, dict[str, float]]:
    """A cascade and its losses by name, in PyNative mode."""
    model = make("cascade", *FEW)
    model.set_train(True)
    return model, dict(zip(model.loss_names, map(float, model(*inputs_of(model)))))


def test_stages_whose_heads_do_not_learn_have_no_losses_and_still_refine(pynative_mode):
    losses = plain()[1]
    kept = {
        "bbox_head.0 bbox_head.1 mask_head.0 mask_head.1": ("s2.loss_cls", "s2.loss_bbox", "s2.loss_mask"),
        "bbox_head mask_head.0 mask_head.2": ("s1.loss_mask",),
    }
    for parts, names in kept.items():
        model = make("cascade", *FEW)
        freeze_parts(model, ["backbone", "neck", "rpn_head", *parts.split()])
        model.set_train(True)
        found = model(*inputs_of(model))
        assert model.loss_names == names and [float(x) for x in found] == [losses[name] for name in names]


def test_objects_without_a_mask_have_no_mask_loss_in_any_stage(pynative_mode):
    model, losses = plain()
    inputs = inputs_of(model)
    without = model(*inputs, Tensor(np.zeros(inputs[4].shape, bool)))
    of_masks = [name for name in losses if name.endswith("loss_mask")]
    assert len(of_masks) == 3 and all(value > 0 for value in losses.values())
    assert dict(zip(losses, map(float, without))) == losses | dict.fromkeys(of_masks, 0)


def with_one_mask_head(own: nn.Cell) -> nn.Cell:
    """The same cascade, whose only mask head is that of the first stage."""
    model = make("cascade", *FEW, "--cascade.mask_heads", "one", "--cascade.stage_loss_weights", "[0.5, 0.5, 0.25]")
    values = own.parameters_dict()
    for parameter in model.mask_head.get_parameters():
        parameter.set_data(Tensor(values[parameter.name.replace("mask_head.", "mask_head.0.")].asnumpy()))
    return model.set_train(True)


@pytest.mark.parametrize("mode", ["pynative", pytest.param("graph", marks=pytest.mark.slow)])
def test_the_only_mask_head_learns_from_the_first_stages_rois_without_a_stages_factor(pynative_mode, mode):
    own, losses = plain()
    model = with_one_mask_head(own)
    assert [name for name in model.class_layers if "mask_head" in name] == ["mask_head.conv_logits."]
    if mode == "graph":
        pynative_mode.set_context(mode=pynative_mode.GRAPH_MODE)
    found = dict(zip(model.loss_names, map(float, model(*inputs_of(model)))))
    expected = {name: value for name, value in losses.items() if not name.endswith("loss_mask")}
    expected |= {name: losses[name] / 2 for name in ("s0.loss_cls", "s0.loss_bbox")}
    assert list(found) == [*expected, "loss_mask"] and losses["s0.loss_mask"] != losses["s1.loss_mask"]
    assert found == pytest.approx(expected | {"loss_mask": losses["s0.loss_mask"]}, rel=1e-5)


def test_the_only_mask_head_learns_where_no_other_part_does(pynative_mode):
    own, losses = plain()
    model = with_one_mask_head(own)
    freeze_parts(model, ["backbone", "neck", "rpn_head", "bbox_head"])
    assert model.loss_names == ("loss_mask",) and model.stages_in_training == 1
    assert [float(x) for x in model(*inputs_of(model))] == pytest.approx([losses["s0.loss_mask"]], rel=1e-5)
