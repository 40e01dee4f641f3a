"""Every entry of the full-size checkpoints of the MindSpore world and its relatives has its place or its reason."""

import gzip
import json

import numpy as np
import pytest
from mindspore.nn.utils import no_init_parameters

from src.config import load_config
from src.config.known_checkpoints import known_checkpoint
from src.convert.changes import Layout
from src.convert.detect import choose_source
from src.convert.engine import convert
from src.convert.sources.mindspore import MINDCV_RESNET
from src.errors import UserError
from src.models.backbones.build import build_backbone
from src.tasks import build_model
from tests.convert.case import CONFIGS

pytestmark = pytest.mark.usefixtures("pynative_mode")
LAYOUT = Layout(1, 3, ("last_layer.3.",))
AVERAGES = "moving averages of the weights (--pt_entry ema takes them instead)"
CLASSIFIER = {"ImageNet classifier"}
WEIGHTS, COUNTERS = "the optimizer's state of each weight", "counters and rates of the training"
TRAINING = {WEIGHTS, COUNTERS}
RESNET, DETECTOR = "resnet {}", "PaddleDetection's neck and heads, which are not converted: the backbone alone is"
CASES = {  # file: (configuration, or a ResNet's depth), source, reasons why entries are ignored
    "mindcv/hrnet_w32": ("hrnet_w32_cls", "mindcv-hrnet", set()),
    "mindcv/hrnet_w48": ("hrnet_w48_cls", "mindcv-hrnet", set()),
    "zoo/HRNetW48_cls": ("hrnet_w48_cls", "mindspore-hrnet-cls", set()),
    "zoo/HRNetW48_seg_cityscapes": ("hrnet_w48_seg_cityscapes_mindspore", "mindspore-hrnet-seg", set()),
    "zoo/HRNetW48_seg_lip": ("hrnet_w48_seg_lip_mindspore", "mindspore-hrnet-seg", set()),
    **{f"mindcv/resnet{depth}": (depth, "mindcv-resnet", CLASSIFIER) for depth in (18, 34, 50, 101)},
    **{f"zoo/resnet{depth}": (depth, "mindspore-resnet-basic", CLASSIFIER) for depth in (18, 34)},
    **{f"zoo/resnet{depth}": (depth, "mindspore-resnet", CLASSIFIER) for depth in (50, 101)},
    "mmseg/fcn_hr18s_4xb2-160k_cityscapes-512x1024": ("hrnet_w18_small_v2_seg_cityscapes_mmseg", "mmseg", {"counters"}),
    "mmseg/fcn_hr18_4xb2-160k_cityscapes-512x1024": ("hrnet_w18_seg_cityscapes_mmseg", "mmseg", {"counters"}),
    "mmseg/fcn_hr48_4xb2-160k_cityscapes-512x1024": ("hrnet_w48_seg_cityscapes_mmseg", "mmseg", {"counters"}),
    "mmseg/fcn_hr48_4xb4-160k_ade20k-512x512": ("hrnet_w48_seg_cityscapes_mmseg", "mmseg", {"counters"}),
    "paddle/paddleseg_fcn_hrnetw18": ("hrnet_w18_seg_cityscapes_paddleseg", "paddleseg", set()),
    "paddle/paddleseg_fcn_hrnetw48": ("hrnet_w48_seg_cityscapes_paddleseg", "paddleseg", set()),
    "paddle/paddledet_faster_rcnn_hrnetv2p_w18": ("hrnet_w18_seg_cityscapes", "paddledet-hrnet", {DETECTOR}),
    "paddle/paddledet_mask_rcnn_r50_fpn": (50, "paddledet-resnet", {DETECTOR}),
}
DETECTORS = {  # file: configuration, further keys, layout, entries that are ignored but for the optimizer's
    "zoo/MaskRCNN_resnet50": ("mask_rcnn_r50_fpn_mindspore", (), Layout(1, 3, (), 80, False, True), 0),
    "zoo/pointrend": ("pointrend_r50_fpn_mindspore", (), Layout(1, 3, (), 81, True), 12),
    "zoo/pointrend_not_mask": (
        "pointrend_r50_fpn_mindspore", ("--mask_head.background_class", "0"), Layout(1, 3, (), 80), 12
    ),
}  # fmt: skip
TWICE = (  # a network of another file's names and width: with --all
    "zoo/HRNetW48_seg_lip", "mmseg/fcn_hr48_4xb2-160k_cityscapes-512x1024", "paddle/paddleseg_fcn_hrnetw48",
    *(f"{of}/resnet{depth}" for of in ("zoo", "mindcv") for depth in (34, 101)),
)  # fmt: skip
EACH = [pytest.param(name, marks=pytest.mark.slow if name in TWICE else ()) for name in CASES]
OF_TRAINING = [name for name in CASES if name.startswith("zoo/HRNet") and not name.endswith("lip")]


@pytest.fixture(scope="module")
def files(data_files):
    with gzip.open(data_files / "mindspore_world_names.json.gz", "rt") as file:
        return json.load(file)


def arrays(entries):
    """No memory: every array is one zero."""
    shapes = {name: tuple(3 if side == "steps" else side for side in shape) for name, shape, _ in entries}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def shapes_of():
    built = {}

    def shapes(config, *more):
        if (config, more) not in built:
            keys = ["--device_target", "CPU", "--cls_head.conv_init", "HeNormal", *more]
            with no_init_parameters():
                if isinstance(config, int):
                    path = CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml"
                    model = build_backbone(load_config(str(path), [*keys, "--backbone.depth", str(config)]))
                else:
                    model = build_model(load_config(str(CONFIGS / f"{config}.yaml"), keys))
            prefix = "backbone." if isinstance(config, int) else ""
            parameters = model.get_parameters()
            built[config, more] = {prefix + parameter.name: tuple(parameter.shape) for parameter in parameters}
        return dict(built[config, more])

    return shapes


@pytest.mark.parametrize("name", EACH)
def test_every_entry_of_a_full_size_file_has_its_place_or_its_reason(files, shapes_of, name):
    config, wanted, reasons = CASES[name]
    tensors, shapes = arrays(files[name]["entries"]), shapes_of(config)
    if name.endswith("ade20k-512x512"):
        shapes |= {"last_layer.3.weight": (150, 720, 1, 1), "last_layer.3.bias": (150,)}
    source = choose_source(list(tensors), "", name)
    assert source.name == wanted
    done = convert(source, tensors, shapes, LAYOUT)
    ignored = [entry for entries in done.ignored.values() for entry in entries]
    assert sorted([*done.used.values(), *ignored]) == sorted(tensors)
    assert {reason.partition(" of PyTorch's")[0] for reason in done.ignored} == reasons
    assert len(done.values) + len(done.unset) == len(shapes)
    assert all(not parameter.startswith("backbone.") for parameter in done.unset)
    assert bool(done.unset) == (name == "paddle/paddledet_faster_rcnn_hrnetv2p_w18")
    zeros = {"mindcv-hrnet": 4, "mmseg": 1}.get(wanted, 0)
    assert len(done.zeros) == zeros and all(name.endswith("bias") for name in done.zeros)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_entry_of_a_detectors_file_has_its_place_or_its_reason(files, shapes_of, name):
    config, keys, layout, unused = DETECTORS[name]
    besides = files[name].get("in_training_checkpoints_besides", [])
    tensors, shapes = arrays([*files[name]["entries"], *besides]), shapes_of(config, *keys)
    source = choose_source(list(tensors), "", name)
    done = convert(source, tensors, shapes, layout)
    assert len(done.values) == len(shapes) and not done.unset
    assert len(tensors) - len(done.used) == unused + len(besides)
    assert len(done.used) == len(files[name]["entries"]) - unused


def test_what_the_segmentation_originals_conversion_from_pytorch_keeps_of_the_classifier_is_left_out(files, shapes_of):
    network, classifier = (arrays(files[f"zoo/HRNetW48_{name}"]["entries"]) for name in ("seg_cityscapes", "cls"))
    besides = {name: value for name, value in classifier.items() if name not in network}
    source = choose_source([*network, *besides], "", "w.ckpt")
    done = convert(source, network | besides, shapes_of("hrnet_w48_seg_cityscapes_mindspore"), LAYOUT)
    assert source.name == "mindspore-hrnet-seg" and set(done.used.values()) == set(network)
    assert {name: sorted(entries) for name, entries in done.ignored.items()} == {
        "the ImageNet classifier that torch2mindspore.py keeps": sorted(besides)
    }


@pytest.mark.parametrize("name", OF_TRAINING)
def test_a_training_checkpoints_other_entries_are_named_in_groups_and_left_out(files, shapes_of, name):
    network, besides = arrays(files[name]["entries"]), arrays(files[name]["in_training_checkpoints_besides"])
    source = choose_source([*network, *besides], "", name)
    assert source.name == CASES[name][1]
    done = convert(source, network | besides, shapes_of(CASES[name][0]), LAYOUT)
    assert set(done.ignored) == TRAINING and set(done.used.values()) == set(network)
    assert sorted(sum(done.ignored.values(), [])) == sorted(besides)


@pytest.mark.parametrize("case", ["O0_fixed_ema0_acc1", "O0_fixed_ema1_acc1"])
def test_mindcvs_training_entries_are_named_in_groups_and_left_out(files, shapes_of, case):
    network = arrays(files["mindcv/resnet18"]["entries"])
    besides = arrays(files["mindcv/training_checkpoints"]["cases"][case])
    done = convert(MINDCV_RESNET, network | besides, shapes_of(18), LAYOUT)
    groups = TRAINING | CLASSIFIER | ({AVERAGES} if "ema1" in case else set())
    assert set(done.ignored) == groups and len(done.used) == len(network) - 2
    assert choose_source([*network, *besides], "", "w.ckpt") is MINDCV_RESNET
    with pytest.raises(UserError, match=r"w\.ckpt holds the state of an optimizer alone, no weights"):
        choose_source([name for name in besides if not name.startswith("ema.")], "", "w.ckpt")


@pytest.mark.parametrize("name", [f"zoo/{name}" for name in ("pointrend", "pointrend_not_mask", "MaskRCNN_resnet50")])
def test_the_detectors_are_told_by_their_names(files, name):
    known = known_checkpoint([entry for entry, _, _ in files[name]["entries"]])
    assert known is not None and known.title.startswith(name.split("/")[1].removesuffix("_not_mask"))


def test_own_checkpoints_are_known_as_nobodys(shapes_of):
    for config in ("hrnet_w48_cls", "hrnet_w48_seg_cityscapes_mindspore", 18):
        names = list(shapes_of(config))
        assert known_checkpoint(names) is None
        assert known_checkpoint([name.removeprefix("backbone.") for name in names if "backbone." in name]) is None
        with pytest.raises(UserError, match="has the names of this project's checkpoints: it needs no conversion"):
            choose_source(names, "", "w.ckpt")
