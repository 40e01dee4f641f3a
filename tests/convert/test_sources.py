"""Every source's network, in PyTorch with random weights, against ours with the converted ones."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mindspore import Tensor
from safetensors.torch import save_file

from src.checkpoint import load_backbone_weights, read_checkpoint
from src.config import load_config
from src.models.build import build_backbone
from tests.convert.case import (
    CONFIGS,
    DETECTRON2,
    HRNET_CLS,
    HRNET_DETECTOR,
    NARROW_DETECTOR,
    RESNET_DETECTOR,
    assert_equal,
    convert,
    image,
    mmdetection_state,
    randomise,
)
from tests.convert.torch_detectron2 import Detectron2, ResNet, grid_anchors, old_pointrend_names, to_pickle
from tests.models.detection.mmdet_case import BASE, CONFIG, DATA_FILES
from tests.models.test_classification import SMALL
from tests.models.test_segmentation import CITYSCAPES, NARROW, STAGE1, STAGES
from tests.models.timm_models import import_timm
from tests.models.torch_hrnet_seg import TorchHRNetSeg
from tests.models.torch_originals import TorchFPN, TorchResNet, TorchSpineNet
from tests.reference.recipe import IMAGE_SHAPES, make_images

pytestmark = pytest.mark.usefixtures("pynative_mode")


def backbone_features(config, checkpoint, overrides, x):
    """Our backbone alone with the weights of a backbone's checkpoint, on an image batch."""
    backbone = build_backbone(load_config(str(config), list(overrides)))
    load_backbone_weights(backbone, checkpoint)
    backbone.set_train(False)
    return backbone(Tensor(x))


@pytest.fixture(scope="module")
def hrnet():
    return randomise(import_timm().create_model("hrnet_w18_small"))


def test_timms_hrnet_classifies_the_same(hrnet, tmp_path):
    save_file(hrnet.state_dict(), tmp_path / "hrnet.safetensors")
    ours, done = convert(HRNET_CLS, tmp_path / "hrnet.safetensors", *SMALL)
    x = image()
    assert_equal(ours(Tensor(x)), hrnet(torch.tensor(x)))
    assert list(done.ignored) == ["counters of PyTorch's BatchNorm"]


def test_hrnets_imagenet_weights_become_a_detectors_backbone(hrnet, tmp_path):
    wrapped = {f"module.{name}": value for name, value in hrnet.state_dict().items()}
    torch.save(wrapped, tmp_path / "hrnet.pth", _use_new_zipfile_serialization=False)
    keys = [*SMALL, *NARROW_DETECTOR, "--neck.fpn.in_channels", "[16,32,64,128]"]
    _, done = convert(HRNET_DETECTOR, tmp_path / "hrnet.pth", *keys)
    assert "classifier, which the configured model does not have" in done.ignored
    assert {name.partition(".")[0] for name in done.unset} == {"neck", "rpn_head", "bbox_head", "mask_head"}
    written = read_checkpoint(tmp_path / "hrnet.ckpt")
    assert set(written) == set(done.values) and all(name.startswith("backbone.") for name in written)
    x = image()
    ours = backbone_features(HRNET_DETECTOR, tmp_path / "hrnet.ckpt", keys, x)
    with torch.no_grad():
        theirs = hrnet.stages(hrnet.act2(hrnet.bn2(hrnet.conv2(hrnet.act1(hrnet.bn1(hrnet.conv1(torch.tensor(x))))))))
    for mine, other in zip(ours, theirs, strict=True):
        assert_equal(mine, other)


@pytest.mark.parametrize(
    "depth,widths",
    [(18, [64, 128, 256, 512]), pytest.param(50, [256, 512, 1024, 2048], marks=pytest.mark.slow)],
)
def test_timms_resnet_gives_the_same_features(depth, widths, tmp_path):
    theirs = randomise(import_timm().create_model(f"resnet{depth}"))
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "resnet.pth")
    keys = [*NARROW_DETECTOR, "--backbone.depth", str(depth), "--neck.fpn.in_channels", str(widths)]
    _, done = convert(RESNET_DETECTOR, tmp_path / "resnet.pth", *keys)
    assert done.ignored["ImageNet classifier"] == ["fc.weight", "fc.bias"]
    x = image()
    ours = backbone_features(RESNET_DETECTOR, tmp_path / "resnet.ckpt", keys, x)
    with torch.no_grad():
        y = theirs.maxpool(theirs.act1(theirs.bn1(theirs.conv1(torch.tensor(x)))))
        for k in range(4):
            y = getattr(theirs, f"layer{k + 1}")(y)
            assert_equal(ours[k], y)


def test_the_spinenet_ports_backbone_gives_the_same_outputs(tmp_path):
    theirs = randomise(TorchSpineNet(48, 0.25, 0.5, 1))
    torch.save({"state_dict": theirs.state_dict(), "meta": {"epoch": 350}}, tmp_path / "spinenet.pth")
    config = CONFIGS / "demo" / "mask_rcnn_spinenet_shapes.yaml"
    _, done = convert(config, tmp_path / "spinenet.pth")
    x = image(128, 128, 1)
    ours = backbone_features(config, tmp_path / "spinenet.ckpt", [], x)
    with torch.no_grad():
        for mine, other in zip(ours, theirs(torch.tensor(x)), strict=True):
            assert_equal(mine, other)


@pytest.mark.parametrize(
    "prefix", ["module.model.", *(pytest.param(one, marks=pytest.mark.slow) for one in ("", "model."))]
)
def test_the_authors_segmentation_gives_the_same_logits(prefix, tmp_path):
    """Their trainer saves its model as `model.` and the loss's class weights; DataParallel adds `module.`."""
    theirs = randomise(TorchHRNetSeg(19, STAGE1, STAGES))
    state = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    if prefix:
        state[prefix.replace("model.", "loss.criterion.weight")] = torch.ones(19)
    torch.save({"epoch": 484, "best_mIoU": 0.8, "state_dict": state} if prefix else state, tmp_path / "seg.pth")
    ours, done = convert(CITYSCAPES, tmp_path / "seg.pth", *NARROW)
    assert ("class weights of the trainer's loss" in done.ignored) == bool(prefix)
    x = image()
    assert_equal(ours(Tensor(x)), theirs(torch.tensor(x)))


def test_mmdetections_mask_rcnn_finds_what_mmdetection_found(tmp_path):
    state = mmdetection_state()
    reference = np.load(DATA_FILES / "mmdet_mask_rcnn_hrnet.npz")
    assert set(reference["parameter_names"]) <= set(state)
    meta = {"CLASSES": ("a", "b", "c"), "mmdet_version": "2.1.0", "epoch": 12, "config": "model = dict()"}
    content = {"meta": meta, "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.02}]}}
    torch.save(content, tmp_path / "mmdet.pth", _use_new_zipfile_serialization=False)
    ours, done = convert(CONFIG, tmp_path / "mmdet.pth", *BASE)
    assert list(done.ignored) == ["counters of PyTorch's BatchNorm"] and not done.unset
    boxes, scores, labels, valid, masks = (
        x.asnumpy() for x in ours(Tensor(make_images()), Tensor(np.int32(IMAGE_SHAPES)))
    )
    for k, count in enumerate(reference["detection_count"]):
        assert valid[k].sum() == count
        distance = np.abs(boxes[k, :count, None] - reference["detection_boxes"][k, None, :count]).max(-1)
        distance += 1e3 * (labels[k, :count, None] != reference["detection_labels"][k, None, :count])
        match = distance.argmin(1)
        assert distance.min(1).max() < 5e-3 and len(set(match)) == count
        np.testing.assert_allclose(scores[k, :count], reference["detection_scores"][k, match], atol=1e-4)
        expected = reference["detection_masks_u16"][k, match] / 65535
        np.testing.assert_allclose(masks[k, :count], expected, atol=1e-3)


class MMDetectionResNet(torch.nn.Module):
    """Mask R-CNN R18-FPN's parts with weights, narrow, under MMDetection's names."""

    def __init__(self, width=16, fc=24, classes=3):
        super().__init__()
        nn = torch.nn
        self.backbone = TorchResNet((2, 2, 2, 2), False, 8)
        self.neck = TorchFPN([8, 16, 32, 64], width, 5)
        self.rpn_head, self.roi_head = nn.Module(), nn.Module()
        self.rpn_head.rpn_conv = nn.Conv2d(width, width, 3, padding=1)
        self.rpn_head.rpn_cls, self.rpn_head.rpn_reg = nn.Conv2d(width, 3, 1), nn.Conv2d(width, 12, 1)
        box, mask = nn.Module(), nn.Module()
        box.shared_fcs = nn.ModuleList([nn.Linear(width * 49, fc), nn.Linear(fc, fc)])
        box.fc_cls, box.fc_reg = nn.Linear(fc, classes + 1), nn.Linear(fc, 4 * classes)
        parts = [OrderedDict(conv=nn.Conv2d(width, width, 3, padding=1), activate=nn.ReLU(True)) for _ in range(4)]
        mask.convs = nn.ModuleList([nn.Sequential(part) for part in parts])
        mask.upsample, mask.conv_logits = nn.ConvTranspose2d(width, width, 2, 2), nn.Conv2d(width, classes, 1)
        self.roi_head.bbox_head, self.roi_head.mask_head = box, mask

    def rpn(self, x):
        hidden = torch.relu(self.rpn_head.rpn_conv(x))
        return self.rpn_head.rpn_cls(hidden), self.rpn_head.rpn_reg(hidden)

    def boxes(self, x):
        x = x.flatten(1)
        for fc in self.roi_head.bbox_head.shared_fcs:
            x = torch.relu(fc(x))
        return self.roi_head.bbox_head.fc_cls(x), self.roi_head.bbox_head.fc_reg(x)

    def masks(self, x):
        for conv in self.roi_head.mask_head.convs:
            x = conv(x)
        return self.roi_head.mask_head.conv_logits(torch.relu(self.roi_head.mask_head.upsample(x)))


def test_mmdetections_resnet_fpn_gives_the_same_outputs(tmp_path):
    theirs = randomise(MMDetectionResNet())
    averages = {"ema_" + name.replace(".", "_"): value for name, value in theirs.state_dict().items()}
    torch.save({"state_dict": theirs.state_dict() | averages}, tmp_path / "mmdet.pth")
    keys = ["--backbone.depth", "18", "--backbone.base_channels", "8", "--neck.fpn.in_channels", "[8,16,32,64]"]
    ours, done = convert(RESNET_DETECTOR, tmp_path / "mmdet.pth", *NARROW_DETECTOR, *keys)
    assert len(done.ignored["moving averages beside the weights"]) == len(averages)
    x, rois = image(128, 128, 1), np.random.RandomState(2).randn(5, 16, 14, 14).astype(np.float32)
    pyramid = ours.neck(ours.backbone(Tensor(x)))
    with torch.no_grad():
        expected = theirs.neck(theirs.backbone(torch.tensor(x)))
        logits, deltas = zip(*(theirs.rpn(level) for level in expected))
    for mine, other in zip(pyramid, expected, strict=True):
        assert_equal(mine, other)
    my_logits, my_deltas = ours.rpn_head(pyramid)
    assert_equal(my_logits, torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in logits], 1))
    assert_equal(my_deltas, torch.cat([level.permute(0, 2, 3, 1).reshape(1, -1, 4) for level in deltas], 1))
    small, valid = np.ascontiguousarray(rois[:, :, :7, 3:10]), Tensor(np.ones(5, bool))
    for mine, other in zip(ours.bbox_head(Tensor(small), valid), theirs.boxes(torch.tensor(small)), strict=True):
        assert_equal(mine, other)
    assert_equal(ours.mask_head.logits(Tensor(rois), valid), theirs.masks(torch.tensor(rois)))


def test_mmdetection_1x_with_background_first_gives_the_same_weights(tmp_path):
    state = mmdetection_state()
    torch.save({"state_dict": state}, tmp_path / "two.pth")
    _, two = convert(CONFIG, tmp_path / "two.pth", *BASE)
    old = {name.removeprefix("roi_head."): value for name, value in state.items()}
    for kind in ("weight", "bias"):
        name = f"bbox_head.fc_cls.{kind}"
        old[name] = torch.cat([old[name][-1:], old[name][:-1]])
        for name, rows in ((f"bbox_head.fc_reg.{kind}", 4), (f"mask_head.conv_logits.{kind}", 1)):
            old[name] = torch.cat([torch.full_like(old[name][:rows], 9.0), old[name]])
    torch.save({"state_dict": old}, tmp_path / "one.pth")
    _, one = convert(CONFIG, tmp_path / "one.pth", *BASE)
    assert set(one.values) == set(two.values)
    for name, value in two.values.items():
        np.testing.assert_array_equal(one.values[name], value, err_msg=name)


def test_detectron2s_mask_rcnn_gives_the_same_outputs(tmp_path):
    """Two anchor sizes on each level: their order inside a cell differs from ours."""
    theirs = randomise(Detectron2(8, 16, 24, 3, anchors=6))
    state = theirs.state_dict() | {"pixel_mean": torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(to_pickle(state), protocol=2))
    ours, done = convert(RESNET_DETECTOR, tmp_path / "model.pkl", *DETECTRON2, "--rpn.anchor_generator.scales", "[4,6]")
    x = image(128, 128, 1)
    pyramid = ours.neck(ours.backbone(Tensor(x)))
    logits, deltas = (y.asnumpy()[0] for y in ours.rpn_head(pyramid))
    with torch.no_grad():
        expected, expected_logits, expected_deltas = theirs.dense(torch.tensor(x))
    for mine, other in zip(pyramid, expected, strict=True):
        assert_equal(mine, other)
    anchors = [
        grid_anchors(level.shape[2:], 4 * 2**k, (16 * 2**k, 24 * 2**k), (0.5, 1, 2)) for k, level in enumerate(expected)
    ]
    order = [tuple(np.round(box, 2)) for box in np.concatenate(anchors)]
    mine = {tuple(np.round(box, 2)): k for k, box in enumerate(ours.rpn_head.anchor_set.boxes.astype(float))}
    index = [mine[box] for box in order]
    assert len(set(index)) == len(mine) == len(order)
    assert_equal(Tensor(logits[index]), expected_logits[0])
    assert_equal(Tensor(deltas[index]), expected_deltas[0])

    rois = np.random.RandomState(2).randn(5, 16, 14, 14).astype(np.float32)
    valid, heads = Tensor(np.ones(5, bool)), theirs.roi_heads
    small = np.ascontiguousarray(rois[:, :, :7, 3:10])
    for mine, other in zip(
        ours.bbox_head(Tensor(small), valid), heads.box_predictor(heads.box_head(torch.tensor(small))), strict=True
    ):
        assert_equal(mine, other)
    assert_equal(ours.mask_head.logits(Tensor(rois), valid), heads.mask_head(torch.tensor(rois)))


@pytest.mark.parametrize("names", ["new", pytest.param("old", marks=pytest.mark.slow)])
def test_detectron2s_pointrend_gives_the_same_masks(names, tmp_path):
    theirs = randomise(Detectron2(8, 16, 24, 3, pointrend=True, fc_coarse=20, fc_point=12))
    state = theirs.state_dict() if names == "new" else old_pointrend_names(theirs.state_dict())
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(to_pickle(state)))
    keys = [
        *DETECTRON2, "--mask_head.fc_out_channels", "20", "--point_head.in_channels", "16",
        "--point_head.fc_channels", "12",
    ]  # fmt: skip
    ours, _ = convert(CONFIGS / "pointrend_r50_fpn_1x_coco.yaml", tmp_path / "model.pkl", *keys)
    rng = np.random.RandomState(2)
    grid = rng.randn(4, 16, 14, 14).astype(np.float32)
    fine, coarse = rng.randn(4, 16, 9).astype(np.float32), rng.randn(4, 3, 9).astype(np.float32)
    head = theirs.roi_heads.mask_head
    assert_equal(ours.mask_head.coarse_head(Tensor(grid)), head.coarse_head(torch.tensor(grid)))
    mine = ours.mask_head.point_head(Tensor(fine.swapaxes(1, 2).copy()), Tensor(coarse.swapaxes(1, 2).copy()))
    assert_equal(mine.transpose(0, 2, 1), head.point_head(torch.tensor(fine), torch.tensor(coarse)))


CAFFE2 = {"shortcut": "branch1", "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}


def caffe2_blobs(net: ResNet) -> dict[str, np.ndarray]:
    """MSRA's names; normalisations are a scale and a shift: the statistics go into them."""
    blobs = {"conv1_b": np.zeros(64, np.float32), "fc1000_w": np.zeros((1000, 256), np.float32)}
    for name, module in net.named_modules():
        if not hasattr(module, "norm"):
            continue
        block, _, conv = name.rpartition(".")
        stem = "conv1" if block == "stem" else f"{block.replace('.', '_')}_{CAFFE2[conv]}"
        norm = module.norm
        scale = norm.weight / torch.sqrt(norm.running_var + 1e-5)
        blobs[f"{stem}_w"] = module.weight.detach().numpy()
        stem = "res_conv1" if stem == "conv1" else stem
        blobs[f"{stem}_bn_s"] = scale.numpy()
        blobs[f"{stem}_bn_b"] = (norm.bias - norm.running_mean * scale).numpy()
    return blobs


def test_caffe2s_resnet_with_scale_and_shift_gives_the_same_features(tmp_path):
    theirs = randomise(ResNet(8))
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(caffe2_blobs(theirs), protocol=2))
    _, done = convert(RESNET_DETECTOR, tmp_path / "R-50.pkl", *DETECTRON2)
    assert len(done.filled) == 2 * 53 and "ImageNet classifier" in done.ignored
    x = image()
    ours = backbone_features(RESNET_DETECTOR, tmp_path / "R-50.ckpt", DETECTRON2, x)
    with torch.no_grad():
        for mine, other in zip(ours, theirs(torch.tensor(x)), strict=True):
            assert_equal(mine, other)
