"""The engine and the tables: every tensor used or knowingly ignored, every parameter set, full-size names included."""

import gzip
import json

import numpy as np
import pytest
import torch
from mindspore.nn.utils import no_init_parameters

from src.config import load_config
from src.convert.changes import Layout
from src.convert.detect import SOURCES, choose_source
from src.convert.engine import convert
from src.convert.table import Rule, Source, fill, unwrap
from src.errors import UserError
from src.tasks import build_model
from tests.convert.case import CONFIGS
from tests.convert.torch_detectron2 import Detectron2, old_pointrend_names

LAYOUT = Layout(1, 3, ("bbox_head.fc_cls.",))
TOY = Source(
    name="toy",
    title="a toy",
    marks=(r"body\.conv\.weight",),
    rules=(
        Rule(r"body\.(conv|norm)", "backbone.<1>"),
        Rule(r"(?:old_)?box\.(\d)", "bbox_head.fc_cls.<1-1>"),
        Rule(r"extra(\..*)?", "extra<1>", optional=True),
    ),
    ignored=((r"counter\..*", "counters"),),
)
SHAPES = {
    "backbone.conv.weight": (4, 3, 1, 1), "backbone.norm.gamma": (4,), "backbone.norm.moving_mean": (4,),
    "bbox_head.fc_cls.0.weight": (5, 4), "bbox_head.fc_cls.0.bias": (5,),
}  # fmt: skip
TENSORS = {
    "body.conv.weight": (4, 3, 1, 1), "body.norm.weight": (4,), "body.norm.running_mean": (4,),
    "body.norm.num_batches_tracked": (), "box.1.weight": (5, 4), "box.1.bias": (5,), "counter.a": (1,),
    "extra.0.weight": (2,),
}  # fmt: skip


def toy(finetune=False, shapes=None, **changes):
    """Convert the toy's tensors with some of them replaced (None leaves one out)."""
    wanted = {name: shape for name, shape in {**TENSORS, **changes}.items() if shape is not None}
    arrays = {name: np.random.RandomState(len(name)).randn(*shape) for name, shape in wanted.items()}
    return arrays, convert(TOY, arrays, shapes or SHAPES, LAYOUT, finetune, where="w.pth")


def test_every_tensor_is_used_or_ignored_with_a_reason():
    arrays, done = toy()
    assert set(done.values) == set(SHAPES) and not done.unset
    np.testing.assert_array_equal(done.values["backbone.norm.gamma"], arrays["body.norm.weight"])
    assert done.used["bbox_head.fc_cls.0.bias"] == "box.1.bias"
    ignored = [name for names in done.ignored.values() for name in names]
    assert sorted([*done.used.values(), *ignored]) == sorted(arrays)
    assert done.ignored["extra, which the configured model does not have"] == ["extra.0.weight"]


def test_a_tensor_without_a_place_is_an_error_that_names_it():
    with pytest.raises(UserError, match=r"w\.pth: 1 tensors \(body\.conv\.bias\) of toy have no place"):
        toy(**{"body.conv.bias": (4,)})
    with pytest.raises(UserError, match=r"2 tensors \(other\.weight, body\.norm\.what\)"):
        toy(**{"other.weight": (4,), "body.norm.what": (4,)})


def test_a_parameter_that_stays_unset_is_an_error_that_names_it():
    with pytest.raises(UserError, match=r"1 tensors \(bbox_head\.fc_cls\.0\.bias\) stay unset"):
        toy(**{"box.1.bias": None})
    with pytest.raises(UserError, match=r"backbone\.norm\.moving_mean"):
        toy(**{"body.norm.running_mean": None, "box.1.weight": None, "box.1.bias": None})


def test_a_backbone_alone_leaves_the_rest_unset_and_lists_it():
    _, done = toy(**{"box.1.weight": None, "box.1.bias": None})
    assert done.unset == ["bbox_head.fc_cls.0.weight", "bbox_head.fc_cls.0.bias"]


def test_two_tensors_for_one_parameter_are_an_error():
    with pytest.raises(UserError, match=r"box\.1\.bias and old_box\.1\.bias are both for bbox_head\.fc_cls\.0\.bias"):
        toy(**{"old_box.1.bias": (5,)})


def test_shapes_that_differ_are_named_on_both_sides():
    with pytest.raises(UserError, match=r"conv\.weight \[4, 9, 1, 1\], here backbone\.conv\.weight \[4, 3, 1, 1\]$"):
        toy(**{"body.conv.weight": (4, 9, 1, 1)})
    with pytest.raises(UserError, match=r"box\.1\.bias \[7\], here bbox_head\.fc_cls\.0\.bias \[5\]; --finetune 1"):
        toy(**{"box.1.bias": (7,)})


def test_finetune_leaves_out_whole_class_layers_and_nothing_else():
    _, done = toy(finetune=True, **{"box.1.weight": (7, 4)})
    assert done.dropped == ["bbox_head.fc_cls.0.weight", "bbox_head.fc_cls.0.bias"]
    assert set(done.values) == {name for name in SHAPES if name.startswith("backbone")}
    assert done.ignored["class layers of another shape (finetune)"] == ["box.1.weight", "box.1.bias"]
    with pytest.raises(UserError, match=r"body\.norm\.weight \[9\]"):
        toy(finetune=True, **{"body.norm.weight": (9,)})


@pytest.mark.parametrize(
    "names,plain",
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["module.model.a", "module.loss.b"], ["a", "loss.b"]),
        (["model.a", "loss.b"], ["a", "loss.b"]),
        (["model.a", "a"], ["model.a", "a"]),
        (["modules.a"], ["modules.a"]),
    ],
)
def test_wrappers_prefixes_go_unless_two_names_would_become_one(names, plain):
    assert unwrap(names) == dict(zip(plain, names))


def test_numbers_in_targets_are_shifted():
    rule, match = SOURCES["detectron2"].find("backbone.bottom_up.res3.2.conv1.norm")
    assert fill(rule.target, match) == "backbone.layer2.2.bn1"


# ------------------------------------------------------------------------------------------- full-size names and shapes


@pytest.fixture(scope="module")
def entries(data_files):
    """{model: {name: shape}} of the full-size originals' checkpoints."""
    with gzip.open(data_files / "state_dict_entries.json.gz", "rt") as file:
        models = json.load(file)
    return {model: {name: tuple(shape) for name, shape, _ in tensors} for model, tensors in models.items()}


def detectron2_entries(pointrend: bool):
    with torch.device("meta"):
        net = Detectron2(64, 256, 1024, 80, pointrend=pointrend, fc_coarse=1024, fc_point=256)
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


HEADS = ("neck", "rpn_head", "bbox_head", "mask_head")
FULL_SIZE = [  # entries, configuration, source, parts of the model that stay unset
    ("hrnet_cls_w18", "hrnet_w18_cls.yaml", "hrnet-cls", ()),
    ("hrnet_cls_w18", "mask_rcnn_hrnetv2p_w18_1x_coco.yaml", "hrnet-cls", HEADS),
    ("hrnet_cls_w18", "hrnet_w18_seg_cityscapes.yaml", "hrnet-cls", ("last_layer",)),
    ("hrnet_seg_w48", "hrnet_w48_seg_cityscapes.yaml", "hrnet-seg", ()),
    ("mmdet_mask-rcnn_hrnetv2p-w18-1x_coco", "mask_rcnn_hrnetv2p_w18_1x_coco.yaml", "mmdet", ()),
    ("mmdet_mask-rcnn_r50_fpn_1x_coco", "mask_rcnn_r50_fpn_1x_coco.yaml", "mmdet", ()),
    ("spinenet_49S", "mask_rcnn_49S_640.yaml", "spinenet", HEADS[1:]),
    ("detectron2", "mask_rcnn_r50_fpn_1x_coco.yaml", "detectron2", ()),
    ("detectron2 pointrend", "pointrend_r50_fpn_1x_coco.yaml", "detectron2", ()),
]  # fmt: skip


@pytest.fixture(scope="module")
def shapes_of():
    """Configuration -> our parameters' shapes; each model is built once."""
    built = {}

    def shapes(config: str):
        if config not in built:
            keys = ["--device_target", "CPU", "--cls_head.conv_init", "HeNormal"]
            with no_init_parameters():
                model = build_model(load_config(str(CONFIGS / config), keys))
            built[config] = {parameter.name: tuple(parameter.shape) for parameter in model.get_parameters()}
        return built[config]

    return shapes


@pytest.mark.parametrize("model,config,name,unset", FULL_SIZE, ids=[f"{case[0]}-{case[1][:-5]}" for case in FULL_SIZE])
def test_full_size_checkpoints_fill_the_published_configurations(entries, shapes_of, model, config, name, unset):
    own = detectron2_entries("pointrend" in model) if model.startswith("detectron2") else entries[model]
    tensors = {tensor: np.broadcast_to(np.float32(0), shape) for tensor, shape in own.items()}
    source = choose_source(list(tensors), "", "w.pth")
    assert source.name == name
    shapes = shapes_of(config)
    done = convert(source, tensors, shapes, LAYOUT)
    assert {parameter.partition(".")[0] for parameter in done.unset} == set(unset)
    assert len(done.values) + len(done.unset) == len(shapes)
    assert len(done.used) + sum(map(len, done.ignored.values())) == len(tensors)


def filled_by(shapes: dict, names_and_shapes: dict) -> tuple[str, set[str]]:
    """The source found, and what stays unset."""
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in names_and_shapes.items()}
    source = choose_source(list(tensors), "", "w.pth")
    return source.name, set(convert(source, tensors, shapes, LAYOUT).unset)


def layer(name: str, *shape: int) -> dict:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def conv_module(name: str, width: int) -> dict:
    """MMDetection's ConvModule with normalisation."""
    kinds = ("weight", "bias", "running_mean", "running_var")
    norm = {f"{name}.bn.{kind}": (width,) for kind in kinds}
    return {f"{name}.conv.weight": (width, width, 3, 3), **norm, f"{name}.bn.num_batches_tracked": ()}


def test_the_spinenet_ports_whole_detectors_fill_ours(entries, shapes_of):
    """yan-roo's Mask R-CNN on MMDetection 1.x (background first, 81 of everything), lucifer443's RetinaNet."""
    shapes = shapes_of("mask_rcnn_49S_640.yaml")
    backbone = {f"backbone.{name}": shape for name, shape in entries["spinenet_49S"].items()}
    mask_rcnn = {
        **backbone,
        **layer("rpn_head.rpn_conv", 128, 128, 3, 3),
        **layer("rpn_head.rpn_cls", 3, 128, 1, 1),
        **layer("rpn_head.rpn_reg", 12, 128, 1, 1),
        **layer("bbox_head.shared_fcs.0", 512, 128 * 49),
        **layer("bbox_head.fc_cls", 81, 512),
        **layer("bbox_head.fc_reg", 324, 512),
        **layer("mask_head.upsample", 128, 128, 2, 2),
        **layer("mask_head.conv_logits", 81, 128, 1, 1),
    }
    for k in range(4):
        mask_rcnn |= {**conv_module(f"bbox_head.shared_convs.{k}", 128), **conv_module(f"mask_head.convs.{k}", 128)}
    assert filled_by(shapes, mask_rcnn) == ("spinenet", set())
    retina = {**backbone, **layer("bbox_head.retina_cls", 720, 128, 3, 3), "bbox_head.cls_convs.0.0.conv.weight": (1,)}
    name, unset = filled_by(shapes, retina)
    assert name == "spinenet" and {parameter.partition(".")[0] for parameter in unset} == set(HEADS[1:])


def test_mmdetections_pointrend_fills_ours(entries, shapes_of):
    own = {
        name: shape
        for name, shape in entries["mmdet_mask-rcnn_r50_fpn_1x_coco"].items()
        if not name.startswith("roi_head.mask_head.")
    }
    own |= {
        **layer("roi_head.mask_head.downsample_conv.conv", 256, 256, 2, 2),
        **layer("roi_head.mask_head.fcs.0", 1024, 256 * 49),
        **layer("roi_head.mask_head.fcs.1", 1024, 1024),
        **layer("roi_head.mask_head.fc_logits", 80 * 49, 1024),
        **layer("roi_head.point_head.fc_logits", 80, 336, 1),
    }
    for k in range(3):
        own |= layer(f"roi_head.point_head.fcs.{k}.conv", 256, 336, 1)
    assert filled_by(shapes_of("pointrend_r50_fpn_1x_coco.yaml"), own) == ("mmdet", set())


def test_sources_are_told_apart_by_their_names(entries):
    def of(names):
        return choose_source(list(names), "", "w.pth").name

    assert of(f"module.{name}" for name in entries["hrnet_cls_w18"]) == "hrnet-cls"
    assert of(f"model.{name}" for name in entries["hrnet_seg_w48"]) == "hrnet-seg"
    assert of(["conv1.weight", "layer4.0.conv1.weight", "fc.weight"]) == "resnet"
    mmdet = entries["mmdet_mask-rcnn_r50_fpn_1x_coco"]
    assert of(name.removeprefix("roi_head.") for name in mmdet) == "mmdet1"
    assert of(f"backbone.{name}" for name in entries["spinenet_49S"]) == "spinenet"
    assert of(old_pointrend_names(dict.fromkeys(detectron2_entries(True)))) == "detectron2"
    assert of(["conv1_w", "res2_0_branch2a_w", "res5_0_branch2a_w"]) == "caffe2"


def test_unknown_sources_are_listed():
    with pytest.raises(UserError, match=r"source 'mmdett' is not known; choose one of: hrnet-cls, .*paddle") as error:
        choose_source(["conv1.weight"], "mmdett", "w.pth")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"w\.pth: no known source has tensors like encoder\.a, encoder\.b"):
        choose_source(["encoder.a", "encoder.b"], "", "w.pth")
    assert choose_source(["encoder.a"], "resnet", "w.pth").name == "resnet"


# ------------------------------------------------------------------------------------------------- changes of layout


def test_anchors_of_sizes_first_become_ratios_first():
    changed = convert(
        SOURCES["detectron2"],
        {"proposal_generator.rpn_head.objectness_logits.bias": np.arange(6),
         "proposal_generator.rpn_head.anchor_deltas.bias": np.arange(24)},
        {"rpn_head.rpn_cls.bias": (6,), "rpn_head.rpn_reg.bias": (24,)},
        Layout(scales=2, ratios=3),
    ).values  # fmt: skip
    order = [0, 3, 1, 4, 2, 5]  # theirs: size 0 with three ratios, size 1 with three; ours: ratio 0 with two sizes, ...
    assert changed["rpn_head.rpn_cls.bias"].tolist() == order
    assert changed["rpn_head.rpn_reg.bias"].reshape(6, 4)[:, 0].tolist() == [4 * k for k in order]


def test_background_moves_from_first_to_last_and_its_boxes_and_masks_go():
    tensors = {
        "bbox_head.fc_cls.bias": np.arange(4), "bbox_head.fc_reg.bias": np.arange(16),
        "mask_head.conv_logits.bias": np.arange(4),
    }  # fmt: skip
    shapes = dict(zip(tensors, [(4,), (12,), (3,)]))
    changed = convert(SOURCES["mmdet1"], tensors, shapes, LAYOUT).values
    assert changed["bbox_head.fc_cls.bias"].tolist() == [1, 2, 3, 0]
    assert changed["bbox_head.fc_reg.bias"].tolist() == list(range(4, 16))
    assert changed["mask_head.conv_logits.bias"].tolist() == [1, 2, 3]
    one_box = {"bbox_head.fc_reg.bias": np.arange(4)}
    changed = convert(SOURCES["mmdet1"], one_box, {"bbox_head.fc_reg.bias": (4,)}, LAYOUT).values
    assert changed["bbox_head.fc_reg.bias"].tolist() == [0, 1, 2, 3]


def test_a_scale_and_shift_without_statistics_stays_what_it_is():
    tensors = {"res2.0.conv1.norm.weight": np.float32([2]), "res2.0.conv1.norm.bias": np.float32([3])}
    shapes = {f"backbone.layer1.0.bn1.{kind}": (1,) for kind in ("gamma", "beta", "moving_mean", "moving_variance")}
    done = convert(SOURCES["detectron2"], tensors, shapes, LAYOUT, norm_eps=1e-3)
    gamma, beta, mean, variance = (float(done.values[name][0]) for name in shapes)
    assert (5.0 - mean) / np.sqrt(variance + 1e-3) * gamma + beta == pytest.approx(5.0 * 2 + 3, rel=1e-6)
    assert len(done.filled) == 2
