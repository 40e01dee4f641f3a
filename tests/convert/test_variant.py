"""Weights of another width or depth than the configuration's are told by name, for every source, before any mapping."""

import gzip
import json

import numpy as np
import pytest
import torch
from mindspore.nn.utils import no_init_parameters

from src.commands.convert import convert_file
from src.config import load_config
from src.convert.detect import SOURCES, choose_source
from src.convert.table import Source
from src.convert.variant import check_variant, our_names, variant_of
from src.errors import UserError
from src.models.backbones.build import build_backbone
from tests.convert.case import NARROW_DETECTOR, RESNET_DETECTOR

pytestmark = pytest.mark.usefixtures("pynative_mode")
OF_FILES = {  # file of names and shapes: the variant that it is
    "mindcv/hrnet_w32": "HRNet-W32",
    "mindcv/hrnet_w48": "HRNet-W48",
    "zoo/HRNetW48_cls": "HRNet-W48",
    "zoo/HRNetW48_seg_lip": "HRNet-W48",
    "mmseg/fcn_hr18s_4xb2-160k_cityscapes-512x1024": "HRNet-W18-Small-v2",
    "mmseg/fcn_hr18_4xb2-160k_cityscapes-512x1024": "HRNet-W18",
    "paddle/paddleseg_fcn_hrnetw18": "HRNet-W18",
    "paddle/paddleseg_fcn_hrnetw48": "HRNet-W48",
    "paddle/paddledet_faster_rcnn_hrnetv2p_w18": "HRNet-W18",
    "paddle/paddledet_mask_rcnn_r50_fpn": "ResNet-50",
    "zoo/pointrend": "ResNet-50",
    "zoo/MaskRCNN_resnet50": "ResNet-50",
    **{f"{of}/resnet{depth}": f"ResNet-{depth}" for of in ("zoo", "mindcv") for depth in (18, 34, 50, 101)},
    "hrnet_cls_w18": "HRNet-W18",
    "hrnet_seg_w48": "HRNet-W48",
    "hrnet_ocr_w48_cityscapes": "HRNet-W48",
    "mmseg_ocrnet_hr48_cityscapes": "HRNet-W48",
    "mmseg_ocrnet_hr18_cityscapes": "HRNet-W18",
    "mmdet_mask-rcnn_hrnetv2p-w18-1x_coco": "HRNet-W18",
    "mmdet_mask-rcnn_r50_fpn_1x_coco": "ResNet-50",
    "spinenet_49S": "SpineNet-49S",
}
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@pytest.fixture(scope="module")
def files(data_files):
    found = {}
    for name in ("mindspore_world_names.json.gz", "state_dict_entries.json.gz", "ocr_names.json.gz"):
        with gzip.open(data_files / name, "rt") as file:
            found |= json.load(file)
    return found


def arrays(shapes: dict) -> dict:
    """No memory: every array is one zero."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def of_file(files, name: str) -> dict:
    entries = files[name]["entries"] if isinstance(files[name], dict) else files[name]
    return arrays({key: tuple(3 if side == "steps" else side for side in shape) for key, shape, _ in entries})


def bottlenecks(depth: int, stem: str, block: str) -> dict:
    """A ResNet of bottlenecks under another project's names. block: of stage, number of the block and of the layer."""
    names = {stem: (64, 3, 7, 7)}
    for stage, count in enumerate(DEPTHS[depth]):
        width = 64 * 2**stage
        for k in range(count):
            shapes = [(width, 4 * width, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            names |= {block.format(stage, k, number): shape for number, shape in enumerate(shapes, 1)}
    return names


def detectron2(depth: int) -> dict:
    prefix = "backbone.bottom_up."
    names = bottlenecks(depth, f"{prefix}stem.conv1.weight", prefix + "res{}.{}.conv{}.weight")
    return {_shifted(name, "res", 2): shape for name, shape in names.items()}


def detectron2_cascade(depth: int) -> dict:
    return detectron2(depth) | {"roi_heads.box_predictor.0.cls_score.weight": (81, 1024)}


def caffe2(depth: int) -> dict:
    names = bottlenecks(depth, "conv1_w", "res{}_{}_branch2{}_w")
    letters = {_shifted(name, "res", 2): shape for name, shape in names.items()}
    return {name.replace("2" + d + "_w", "2" + "abc"[int(d) - 1] + "_w") if "branch" in name else name: shape
            for name, shape in letters.items() for d in [name[-3]]}  # fmt: skip


def torchvision(depth: int) -> dict:
    names = bottlenecks(depth, "conv1.weight", "layer{}.{}.conv{}.weight")
    return {_shifted(name, "layer", 1): shape for name, shape in names.items()}


def _shifted(name: str, before: str, by: int) -> str:
    at = name.find(before)
    if at < 0:
        return name
    at += len(before)
    return f"{name[:at]}{int(name[at]) + by}{name[at + 1 :]}"


BY_HAND = {
    "detectron2": detectron2, "detectron2-cascade": detectron2_cascade, "caffe2": caffe2, "resnet": torchvision,
}  # fmt: skip


def mmdet_1x(files) -> dict:
    tensors = of_file(files, "mmdet_mask-rcnn_r50_fpn_1x_coco")
    return {name.removeprefix("roi_head."): value for name, value in tensors.items()}


@pytest.fixture(scope="module")
def told(files):
    """Source -> (tensors, variant) of every case, told by their names."""
    cases = [(of_file(files, name), variant) for name, variant in OF_FILES.items()]
    cases += [(arrays(make(depth)), f"ResNet-{depth}") for make in BY_HAND.values() for depth in DEPTHS]
    cases.append((mmdet_1x(files), "ResNet-50"))
    found: dict[str, list[tuple[Source, dict, str]]] = {}
    for tensors, variant in cases:
        source = choose_source(list(tensors), "", "w.pth")
        found.setdefault(source.name, []).append((source, tensors, variant))
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_the_variant_is_told_for_every_source(told, name):
    for source, tensors, variant in told[name]:
        assert variant_of(our_names(source, tensors)).name == variant


def shapes_of(config: str, *keys: str) -> dict:
    with no_init_parameters():
        backbone = build_backbone(load_config(config, [*keys, "--device_target", "CPU"]))
    return {f"backbone.{one.name}": tuple(one.shape) for one in backbone.get_parameters()}


RESNET = str(RESNET_DETECTOR)
SPINENET = str(RESNET_DETECTOR.with_name("mask_rcnn_49_640.yaml"))


@pytest.mark.parametrize(
    "arch", ["49S", "49", "96", *(pytest.param(arch, marks=pytest.mark.slow) for arch in ("143", "190"))]
)
def test_the_configured_spinenets_are_told_apart(arch):
    assert variant_of(shapes_of(SPINENET, "--backbone.arch", arch)).name == f"SpineNet-{arch}"


def test_both_are_named_with_the_key_that_takes_the_weights(told, files):
    resnet50 = shapes_of(RESNET)
    for source, tensors, variant in (case for name in ("resnet", "detectron2", "caffe2") for case in told[name]):
        if variant == "ResNet-50":
            check_variant(source, tensors, resnet50, "w.pth")
            continue
        hint = {"ResNet-101": "; --backbone.depth 101 takes them", "ResNet-152": ""}[variant]
        with pytest.raises(UserError) as refused:
            check_variant(source, tensors, resnet50, "w.pth")
        expected = f"w.pth: these are weights of {variant}, the configuration's backbone is ResNet-50{hint}"
        assert str(refused.value) == expected
    spinenet, tensors, _ = told["spinenet"][0]
    with pytest.raises(UserError, match="of SpineNet-49S, .* is SpineNet-96; --backbone.arch 49S takes them$"):
        check_variant(spinenet, tensors, shapes_of(SPINENET, "--backbone.arch", "96"), "w.pth")
    with pytest.raises(UserError, match="of SpineNet-49S, the configuration's backbone is ResNet-50$"):
        check_variant(spinenet, tensors, resnet50, "w.pth")


def test_hrnets_of_another_width_or_of_fewer_modules_are_told_apart(told):
    (_, w32, _), (source, w48, _) = told["mindcv-hrnet"]
    with pytest.raises(UserError, match="of HRNet-W48, the configuration's backbone is HRNet-W32$"):
        check_variant(source, w48, our_names(source, w32), "w.ckpt")
    (small, w18s, _), (_, w18, _) = told["mmseg"][:2]
    with pytest.raises(UserError, match="of HRNet-W18-Small-v2, the configuration's backbone is HRNet-W18$"):
        check_variant(small, w18s, our_names(small, w18), "w.pth")


def test_one_name_of_two_widths_is_told_by_the_widths(told):
    narrow = shapes_of(RESNET, "--backbone.base_channels", "8", "--neck.fpn.in_channels", "[32,64,128,256]")
    source, tensors, _ = told["resnet"][0]
    with pytest.raises(UserError, match=r"of ResNet-50 \(width 64\), .* is ResNet-50 \(width 8\)"):
        check_variant(source, tensors, narrow, "w.pth")


def test_a_file_that_lacks_a_layer_is_left_to_the_engine_that_names_it(told):
    source, tensors, _ = told["resnet"][0]
    tensors = {name: value for name, value in tensors.items() if name != "layer3.2.conv1.weight"}
    assert variant_of(our_names(source, tensors)) is None
    check_variant(source, tensors, shapes_of(RESNET, "--backbone.depth", "101"), "w.pth")


def test_the_command_refuses_before_anything_is_written(tmp_path):
    keys = ["--backbone.base_channels", "8", "--neck.fpn.in_channels", "[8,16,32,64]", "--device_target", "CPU"]
    own = shapes_of(RESNET, *NARROW_DETECTOR, *keys, "--backbone.depth", "34")
    theirs = {".gamma": ".weight", ".beta": ".bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    state = {}
    for name, shape in own.items():
        for ours, word in theirs.items():
            name = name.replace(ours, word)
        state[name.removeprefix("backbone.")] = torch.zeros(shape)
    torch.save(state, tmp_path / "w.pth")
    files = ["--pt_path", str(tmp_path / "w.pth"), "--ckpt_path", str(tmp_path / "new" / "w.ckpt")]
    cfg = load_config(RESNET, [*NARROW_DETECTOR, *keys, "--backbone.depth", "18", *files])
    with pytest.raises(UserError, match=r"w\.pth: these are .* ResNet-34, .* is ResNet-18; --backbone\.depth 34"):
        convert_file(cfg)
    assert not (tmp_path / "new").exists()
