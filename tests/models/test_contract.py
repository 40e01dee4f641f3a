"""What networks say of themselves, for every family."""

from pathlib import Path

import pytest

from src.config import load_config
from src.models.contract import Declares
from src.tasks import build_model

DEMO = Path(__file__).parents[2] / "configs" / "demo"
DETECTION = "[background, a, b, c, d, e, f]"
# Demo, and a detector other than its own: beginnings of the layers that have always started fresh in fine-tuning.
FAMILIES = {
    "mask_rcnn_hrnet_tiny": ("bbox_head.fc_cls.", "bbox_head.fc_reg.", "mask_head.conv_logits."),
    "mask_rcnn_spinenet_shapes": ("bbox_head.fc_cls.", "bbox_head.fc_reg.", "mask_head.conv_logits."),
    "mask_rcnn_hrnet_tiny faster_rcnn": ("bbox_head.fc_cls.", "bbox_head.fc_reg."),
    "pointrend_hrnet_shapes": (
        "bbox_head.fc_cls.", "bbox_head.fc_reg.", "mask_head.coarse_head.prediction.", "mask_head.point_head.",
    ),
    "cascade_mask_rcnn_hrnet_shapes": tuple(
        f"{layer}."
        for kind, layers in (("bbox_head", ("fc_cls", "fc_reg")), ("mask_head", ("conv_logits",)))
        for layer in (f"{kind}.{stage}.{name}" for stage in range(3) for name in layers)
    ),
    "hrnet_cls_shapes": ("classifier.",),
    "hrnet_seg_lip_shapes": ("last_layer.3.",),
    "hrnet_ocr_cityscapes_shapes": ("aux_head.3.", "ocr_head.cls_head."),
}  # fmt: skip


def build(family: str, *keys: str):
    name, *other = family.split()
    detector = ("--detector", *other) if other else ()
    return build_model(load_config(str(DEMO / f"{name}.yaml"), ["--device_target", "CPU", *detector, *keys]))


def shapes(model) -> dict[str, tuple[int, ...]]:
    return {parameter.name: tuple(parameter.shape) for parameter in model.get_parameters()}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """A network, the same with another number of classes, the expected class layers."""
    model = build(request.param)
    if model.output_names == ("logits",):
        more = build(request.param, "--num_classes", "31", "--class_names", "[]", "--class_weights", "[]")
    else:
        more = build(request.param, "--num_classes", "7", "--coco_classes", DETECTION)
    return model, more, FAMILIES[request.param]


def test_a_network_declares_its_inputs_losses_and_outputs(family):
    model = family[0]
    assert isinstance(model, Declares)
    assert len(set(model.loss_names)) == len(model.loss_names)
    assert all(name.rpartition(".")[2].startswith("loss_") for name in model.loss_names)  # of a stage: s0.loss_cls
    assert model.train_columns[0] == "image"
    assert ("masks" in model.output_names) == ("gt_masks" in model.train_columns)


def test_class_layers_are_what_another_number_of_classes_changes(family):
    model, more, _ = family
    before, after = shapes(model), shapes(more)
    changed = {name for name in before if before[name] != after[name]}
    assert changed and all(name.startswith(model.class_layers) for name in changed)
    agnostic = [name for name, cell in model.cells_and_names() if getattr(cell, "class_agnostic", False)]
    one_box = {f"{name}.fc_reg." for name in agnostic}  # the layer of a box a class, whose shape stays here
    assert all(any(name.startswith(layer) for name in changed) for layer in {*model.class_layers} - one_box)


def test_the_same_layers_start_fresh_as_ever(family):
    model, _, layers = family
    fresh = [name for name in shapes(model) if name.startswith(model.class_layers)]
    assert fresh == [name for name in shapes(model) if name.startswith(layers)]
