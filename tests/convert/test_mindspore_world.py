"""Networks of the MindSpore world, written in PyTorch from their definitions, against ours with converted weights."""

import logging

import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.checkpoint import checkpoint_facts, load_backbone_weights, load_model_weights, save_weights
from src.config import load_config
from src.convert.read import read_foreign
from src.engine.setup import load_start_weights
from src.errors import UserError
from src.tasks import TASKS, build_model
from tests.convert.case import HRNET_CLS, NARROW_DETECTOR, RESNET_DETECTOR, assert_equal, convert, image, randomise
from tests.convert.mindspore_files import mindspore, paddle_hrnet, paddle_resnet, save_ckpt, save_pdparams
from tests.convert.test_sources import backbone_features
from tests.models.test_classification import SMALL
from tests.models.test_segmentation import CITYSCAPES, CONVENTIONS, NARROW, STAGE1, STAGES
from tests.models.timm_models import import_timm
from tests.models.torch_hrnet_seg import AUTHORS, TorchHRNetSeg
from tests.models.torch_originals import TorchResNet

pytestmark = pytest.mark.usefixtures("pynative_mode")
SIZES = ((64, 96), (73, 89))
COUNTS = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}
MINDCV_NAMES = (r"(^|\.)downsample\b", r"\1down_sample")
MMSEG = {"last_layer.0": "convs.0.conv", "last_layer.1": "convs.0.bn", "last_layer.3": "conv_seg"}


@pytest.fixture
def warned(monkeypatch):
    """What was warned of since the last call."""
    found = []
    monkeypatch.setattr(logging.Logger, "warning", lambda self, text, *values: found.append(text % values))

    def lines() -> str:
        text = " ".join(found)
        found.clear()
        return text

    return lines


@pytest.fixture(scope="module")
def segmenters():
    """By whose convention it is: the narrow segmentation network, all with the same weights."""
    made = {}
    for name, (convention, _) in {**CONVENTIONS, "authors": (AUTHORS, [])}.items():
        made[name] = randomise(TorchHRNetSeg(19, STAGE1, STAGES, convention=convention))
    with torch.no_grad():
        made["mmsegmentation"].last_layer[0].bias.zero_()
    return made


@pytest.fixture(scope="module")
def hrnet():
    return randomise(import_timm().create_model("hrnet_w18_small"))


@pytest.fixture(scope="module")
def seg_ckpt(segmenters, tmp_path_factory):
    """A training checkpoint of HRNetW48_seg."""
    path = tmp_path_factory.mktemp("seg") / "hrnetw48seg-cityscapes-600_743.ckpt"
    return save_ckpt(mindspore(segmenters["mindspore"]), path, training=True)


def copy_of(path, folder):
    (folder / "w").mkdir()
    (folder / "w" / "w.pth").symlink_to(path)  # the content decides, not the name
    return folder / "w" / "w.pth"


def mmseg_file(network, path):
    def rename(name):
        module, _, kind = name.rpartition(".")
        return f"decode_head.{MMSEG[module]}.{kind}" if module in MMSEG else f"backbone.{name}"

    state = {rename(name): value for name, value in network.state_dict().items() if name != "last_layer.0.bias"}
    torch.save({"meta": {"dataset_meta": {"classes": ("road",)}}, "state_dict": state, "optimizer": {}}, path)
    return path


@pytest.mark.parametrize("name", ["mindspore", "mmsegmentation", pytest.param("paddleseg", marks=pytest.mark.slow)])
def test_a_segmenters_logits_are_the_originals(segmenters, seg_ckpt, tmp_path, name):
    network, keys = segmenters[name], CONVENTIONS[name][1]
    if name == "mindspore":
        path = copy_of(seg_ckpt, tmp_path)
    elif name == "mmsegmentation":
        path = mmseg_file(network, tmp_path / "w.pth")
    else:
        path = save_pdparams(paddle_hrnet(network, "_conv", "_batch_norm", "bb"), tmp_path / "model.pdparams")
    ours, done = convert(CITYSCAPES, path, *NARROW, *keys)
    assert not done.unset and len(done.zeros) == (name == "mmsegmentation")
    for size in SIZES:
        x = image(*size)
        assert_equal(ours(Tensor(x)), network(torch.tensor(x)))


@pytest.mark.parametrize("name", [pytest.param("HRNetW48_cls", marks=pytest.mark.slow), "mindcv"])
def test_a_classifiers_logits_are_the_originals(hrnet, tmp_path, name):
    biases = [hrnet.final_layer[0].bias, *(part[0].bias for part in hrnet.downsamp_modules)]
    before = [bias.detach().clone() for bias in biases]
    values = mindspore(hrnet)
    if name == "mindcv":
        names = (MINDCV_NAMES, (r"^downsamp_modules", "downsample_modules"))
        absent = {*(f"downsample_modules.{k}.0.bias" for k in range(3)), "final_layer.0.bias"}
        values = {key: value for key, value in mindspore(hrnet, *names).items() if key not in absent}
    path = save_ckpt(values, tmp_path / "source.ckpt", training=name != "mindcv")
    ours, done = convert(HRNET_CLS, copy_of(path, tmp_path), *SMALL)
    assert len(done.zeros) == (4 if name == "mindcv" else 0)
    x = image()
    with torch.no_grad():
        if name == "mindcv":
            for bias in biases:
                bias.zero_()
        expected = hrnet(torch.tensor(x))
        for bias, value in zip(biases, before):
            bias.copy_(value)
    assert_equal(ours(Tensor(x)), expected)


RESNETS = {  # whose: depth, padding, file's names, our keys
    "mindcv18": (18, {"same_pool": True}, [MINDCV_NAMES], ["--backbone.pool_padding", "same"]),
    "mindcv50": (50, {"same_pool": True}, [MINDCV_NAMES], ["--backbone.pool_padding", "same"]),
    "official50": (
        50, {"same_pool": True, "same_convs": True, "eps": 1e-4}, [(r"\.downsample\b", ".down_sample_layer")],
        ["--backbone.pool_padding", "same", "--backbone.conv_padding", "same", "--backbone.norm_cfg.eps", "0.0001"],
    ),
    "official50, another epsilon": (
        50, {"same_pool": True, "same_convs": True, "eps": 1e-4}, [(r"\.downsample\b", ".down_sample_layer")],
        ["--backbone.pool_padding", "same", "--backbone.conv_padding", "same"],
    ),
    "official18": (18, {}, [(r"\.downsample\b", ".down_sample_layer"), (r"(layer.*\.bn[12])$", r"\1d")], []),
}  # fmt: skip


@pytest.mark.parametrize("name", RESNETS)
def test_a_resnets_features_are_the_originals(tmp_path, warned, name):
    depth, padding, names, keys = RESNETS[name]
    theirs = randomise(TorchResNet(*COUNTS[depth], base=8, **padding))
    if name == "official18":  # the stem's and the shortcuts' epsilon is another one than the blocks'
        for module_name, module in theirs.named_modules():
            if module_name.startswith("layer") and module_name.endswith(("bn1", "bn2")):
                module.eps = 1e-4
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_var.mul_(1e-2)  # so that the epsilon shows
                module.weight.mul_(1e-1)
    values = mindspore(theirs, *names) | {"end_point.weight": np.zeros((1001, 8), np.float32)}
    path = copy_of(save_ckpt(values, tmp_path / "source.ckpt"), tmp_path)
    widths = str([8 * 2**k * (4 if depth == 50 else 1) for k in range(4)])
    shape = ["--backbone.depth", str(depth), "--backbone.base_channels", "8", "--neck.fpn.in_channels", widths]
    keys = [*NARROW_DETECTOR, *shape, *keys]
    _, done = convert(RESNET_DETECTOR, path, *keys)
    assert bool(done.moved) == (name in ("official18", "official50, another epsilon"))
    assert "another one than" not in warned()
    x = image()
    with torch.no_grad():
        expected = theirs(torch.tensor(x))
    for ours, reference in zip(backbone_features(RESNET_DETECTOR, path.with_suffix(".ckpt"), keys, x), expected):
        assert_equal(ours, reference)


@pytest.mark.parametrize("name", ["hrnet", "resnet"])
def test_paddledetections_trunks_become_backbones(segmenters, tmp_path, name):
    """Values by name: the networks are those that other sources are compared with."""
    if name == "hrnet":
        network = segmenters["authors"]
        values = paddle_hrnet(network, "conv", "norm", "block")
        config, keys, values = CITYSCAPES, NARROW, {n: v for n, v in values.items() if not n.startswith("head.")}
    else:
        network = randomise(TorchResNet(*COUNTS[50], base=8))
        values, config = paddle_resnet(network), RESNET_DETECTOR
        keys = [*NARROW_DETECTOR, "--backbone.base_channels", "8", "--neck.fpn.in_channels", "[32,64,128,256]"]
    values["neck.fpn_conv_0.weight"] = np.zeros((4, 4, 3, 3), np.float32)
    _, done = convert(config, save_pdparams(values, tmp_path / "w.pdparams"), *keys)
    assert done.unset and len(done.used) == len(values) - 1
    state = network.state_dict()
    words = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for parameter, value in done.values.items():
        module, _, kind = parameter.removeprefix("backbone.").rpartition(".")
        np.testing.assert_array_equal(value, state[f"{module}.{words.get(kind, kind)}"].numpy(), err_msg=parameter)


def test_the_moving_average_is_taken_by_choice(seg_ckpt):
    plain, average = read_foreign(seg_ckpt), read_foreign(seg_ckpt, "ema")
    assert plain.others == ["ema"] and average.entry == "ema"
    np.testing.assert_array_equal(average.tensors["conv1.weight"], -plain.tensors["conv1.weight"])
    with pytest.raises(UserError, match="has no entry model; there is ema"):
        read_foreign(seg_ckpt, "model")


def test_weights_under_another_setting_are_warned_of_at_conversion_and_wherever_they_are_loaded(
    seg_ckpt, tmp_path, warned
):
    path = copy_of(seg_ckpt, tmp_path)
    own = ["--device_target", "CPU"]
    ckpt = str(path.with_suffix(".ckpt"))
    convert(CITYSCAPES, path, *NARROW)
    run_with = "run with --seg_head.bilinear asymmetric, as configs/hrnet_w48_seg_cityscapes_mindspore.yaml"
    assert f"seg_head.bilinear is half_pixel, there asymmetric; {run_with}" in warned()
    assert checkpoint_facts(ckpt)["definition"]["seg_head.bilinear"] == "asymmetric"
    for keys in (["--pre_trained", ckpt], ["--backbone.pretrained", ckpt], ["--checkpoint_path", ckpt]):
        for bilinear in ("half_pixel", "asymmetric"):
            cfg = load_config(CITYSCAPES, [*NARROW, *own, *keys, "--seg_head.bilinear", bilinear])
            if cfg.checkpoint_path:
                TASKS[cfg.task].load(cfg)
            else:
                load_start_weights(cfg, build_model(cfg))
            said = warned()
            assert ("seg_head.bilinear is half_pixel in the configuration, but the weights" in said) == (
                bilinear == "half_pixel"
            ), (keys, bilinear, said)
    keys = [*SMALL, *[key for key in NARROW if "stage" in key], "--backbone.pretrained", ckpt, *own]
    cfg = load_config(str(HRNET_CLS), [*keys, "--cls_head.conv_init", "HeNormal"])
    load_start_weights(cfg, build_model(cfg))
    assert "of a segmentation network: its HRNet fuses by bilinear enlarging" in warned()


@pytest.mark.parametrize("says", [True, False], ids=["of now", "of before"])
def test_own_checkpoints_are_of_their_configurations_network_and_those_of_before_of_the_usual_one(
    tmp_path, warned, says
):
    cfg = load_config(CITYSCAPES, [*NARROW, "--device_target", "CPU"])
    model, path = build_model(cfg), tmp_path / "own.ckpt"
    save_weights(model, path, facts=TASKS[cfg.task].facts(cfg) if says else None)
    for padding in ("symmetric", "same"):
        keys = ["--device_target", "CPU", "--pre_trained", str(path), "--backbone.conv_padding", padding]
        load_start_weights(load_config(CITYSCAPES, [*NARROW, *keys]), model)
        assert ("backbone.conv_padding is same in the configuration" in warned()) == (padding == "same")
    with pytest.raises(UserError, match="is a checkpoint of this project already: it needs no conversion"):
        read_foreign(path)


@pytest.mark.parametrize("prefix", ["", "network."])
def test_an_originals_file_given_as_weights_is_one_line_that_says_what_it_is_and_what_converts_it(
    segmenters, tmp_path, prefix
):
    cfg = load_config(CITYSCAPES, [*NARROW, "--device_target", "CPU"])
    model = build_model(cfg)
    values = {prefix + name: value for name, value in mindspore(segmenters["mindspore"]).items()}
    path = save_ckpt(values, tmp_path / "hrnetw48seg.ckpt")
    line = r"hrnetw48seg\.ckpt is a checkpoint of HRNetW48_seg .* converted first: python convert_weights\.py"
    for load in (load_model_weights, lambda model, path: load_backbone_weights(model.backbone, path)):
        with pytest.raises(UserError, match=line):
            load(model, path)


def test_an_imagenet_trunk_whose_names_and_fusion_are_ours_is_taken_as_a_backbone_and_said(hrnet, tmp_path, caplog):
    cfg = load_config(str(HRNET_CLS), [*SMALL, "--device_target", "CPU", "--cls_head.conv_init", "HeNormal"])
    model = build_model(cfg)
    path = save_ckpt(mindspore(hrnet), tmp_path / "hrnetw48cls.ckpt")
    logging.getLogger("src").propagate = True
    with caplog.at_level(logging.INFO, "src"):
        load_backbone_weights(model.backbone, path)
    assert "is a checkpoint of HRNetW48_cls" in caplog.text and "convert_weights.py" in caplog.text
    np.testing.assert_array_equal(model.backbone.conv1.weight.asnumpy(), hrnet.conv1.weight.detach().numpy())
    with pytest.raises(UserError, match="is a checkpoint of HRNetW48_cls .* must be converted first"):
        load_model_weights(model, path)


def test_pytorch_lightnings_ckpt_is_told_by_its_content(tmp_path):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}}, tmp_path / "epoch=3.ckpt")
    with pytest.raises(UserError, match=r"epoch=3\.ckpt is of another framework: python convert_from_pt\.py"):
        checkpoint_facts(tmp_path / "epoch=3.ckpt")
