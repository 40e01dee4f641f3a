"""Every backbone under every detector: builds, learns from one batch, detects."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, set_seed
from mindspore.nn.utils import no_init_parameters

from src.config import has_masks, load_config
from src.engine.setup import make_train_step
from src.errors import UserError
from src.models.backbones import spinenet
from src.models.backbones.residual import Bottleneck
from src.models.backbones.spinenet import BlockSpec
from src.models.build import BACKBONES, DETECTORS
from src.models.detection.mask_rcnn import MaskRCNN
from src.tasks import build_model

TINY = str(Path(__file__).parents[2] / "configs" / "demo" / "mask_rcnn_hrnet_tiny.yaml")
COMMON = ["--img_width", "128", "--img_height", "128", "--num_gts", "2", "--opt_type", "adam", "--warmup_step", "0"]
SPINENET_LEVELS = ["--rpn.anchor_generator.strides", "[8,16,32,64,128]", "--roi.featmap_strides", "[8,16,32,64]"]
BACKBONE_KEYS = {
    "hrnet": [],
    "resnet": ["--backbone.depth", "18", "--backbone.base_channels", "4", "--neck.fpn.in_channels", "[4,8,16,32]"],
    "spinenet": [
        "--backbone.scaling.width", "0.05", "--backbone.scaling.endpoint_channels", "32",
        *SPINENET_LEVELS,
        "--bbox_head.num_shared_convs", "1", "--bbox_head.norm_cfg.eps", "0.001", "--rpn.loss_bbox.beta", "0.11",
    ],
}  # fmt: skip
POINTREND = [
    "--point_head.in_channels", "32", "--point_head.fc_channels", "16", "--mask_head.fc_out_channels", "32",
    "--mask_roi.roi_layer.type", "SimpleRoIAlign", "--train_cfg.rcnn.mask_size", "7",
    "--train_cfg.rcnn.train_on_pred_boxes", "1", "--test_cfg.rcnn.subdivision_steps", "3",
]  # fmt: skip


# A SpineNet of its outputs alone, under the detectors behind the first: its graph compiles in a third of the time.
OUTPUTS_ALONE = (
    BlockSpec(4, Bottleneck, (0, 1), True),
    BlockSpec(3, Bottleneck, (1, 2), True),
    BlockSpec(5, Bottleneck, (2, 3), True),
    BlockSpec(7, Bottleneck, (2, 4), True),
    BlockSpec(6, Bottleneck, (3, 5), True),
)


def single_pixel() -> str:
    """SpineNet's block of stride 128 sees one pixel an image here: normalisation leaves but the sign of two values."""
    (number,) = [number for number, spec in enumerate(spinenet.BLOCKS) if spec.level == 7 and spec.is_output]
    return f"backbone.scale_permuted_blocks.{number}."


def overrides(backbone: str, detector: str) -> list[str]:
    keys = [*COMMON, "--backbone.type", backbone, "--neck.type", "", "--detector", detector, *BACKBONE_KEYS[backbone]]
    levels = "[8]" if backbone == "spinenet" else "[4]"
    if detector == "pointrend":
        return [*keys, *POINTREND, "--mask_roi.featmap_strides", levels]
    return [*keys, "--mask_roi.featmap_strides", "[8,16,32,64]"] if backbone == "spinenet" else keys


def batch():
    """Two images with one and two rectangles."""
    rng = np.random.RandomState(0)
    boxes = np.float32([[[10, 20, 60, 90], [0, 0, 0, 0]], [[30, 8, 100, 70], [64, 64, 120, 126]]])
    masks = np.zeros((2, 2, 128, 128), np.uint8)
    for image in range(2):
        for number, (x1, y1, x2, y2) in enumerate(boxes[image].astype(int)):
            masks[image, number, y1:y2, x1:x2] = 1
    arrays = (
        rng.randn(2, 3, 128, 128).astype(np.float32), np.int32([[128, 128], [120, 128]]), boxes,
        np.int32([[2, 0], [1, 3]]), np.array([[True, False], [True, True]]), np.packbits(masks, axis=-1),
        np.int32([3, 4]),
    )  # fmt: skip
    return tuple(Tensor(array) for array in arrays)


LOSSES = {"mask_rcnn": 5, "pointrend": 6, "faster_rcnn": 4, "cascade_rcnn": 8, "cascade_mask_rcnn": 11}


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_detector_builds_on_every_backbone_and_has_the_heads_of_its_kind(graph_mode, backbone, detector):
    def parts(name):
        with no_init_parameters():
            model = build_model(load_config(TINY, overrides(backbone, name)))
        return [(one.name, one.shape) for one in model.get_parameters()]

    own, known = parts(detector), parts("mask_rcnn")
    body = ("backbone.", "neck.", "rpn_head.")
    assert [one for one in own if one[0].startswith(body)] == [one for one in known if one[0].startswith(body)]
    has_mask_head = any(name.startswith("mask_head.") for name, _ in own)
    assert has_mask_head == (detector in ("mask_rcnn", "pointrend", "cascade_mask_rcnn"))


PAIRS = [("resnet", "pointrend", "pynative")]
PAIRS += [  # graphs take half of a minute each to compile
    pytest.param(backbone, detector, "graph", marks=pytest.mark.slow)
    for backbone in BACKBONES
    for detector in DETECTORS
]


@pytest.mark.parametrize("backbone,detector,mode", PAIRS)
def test_it_learns_from_a_batch_and_detects(request, monkeypatch, backbone, detector, mode):
    request.getfixturevalue(f"{mode}_mode")
    if detector != "mask_rcnn":
        monkeypatch.setattr(spinenet, "BLOCKS", OUTPUTS_ALONE)
    set_seed(0)
    every_anchor = ["--train_cfg.rpn.sampler.num", "8192"]  # so that the coarsest levels learn too
    cfg = load_config(TINY, [*overrides(backbone, detector), *every_anchor])
    model = build_model(cfg)
    step, _ = make_train_step(cfg, model, steps_per_epoch=2)
    before = {parameter.name: parameter.asnumpy().copy() for parameter in model.trainable_params()}
    inputs = [column for column, name in zip(batch(), MaskRCNN.train_columns) if name in model.train_columns]
    step(*inputs)
    losses = step(*inputs)  # SpineNet's residual branches get their first gradient in the second step
    assert len(losses) == len(model.loss_names) == LOSSES[detector]
    assert all(np.isfinite(float(loss)) and float(loss) > 0 for loss in losses)
    assert int(step.bad_step.asnumpy()) == 0
    after = model.parameters_dict()
    still = [name for name, value in before.items() if np.array_equal(value, after[name].asnumpy())]
    assert not [name for name in still if not name.startswith(single_pixel())]

    model.set_train(False)
    boxes, scores, labels, valid, *masks = (x.asnumpy() for x in model(*inputs[:2]))
    assert boxes.shape == (2, 8, 4) and scores.shape == labels.shape == valid.shape == (2, 8)
    assert len(masks) == int(has_masks(cfg))
    for mask in masks:
        side = 56 if detector == "pointrend" else 28
        assert mask.shape == (2, 8, side, side) and np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1


@pytest.mark.parametrize(
    "backbone,detector,key,value,named",
    [
        ("spinenet", "mask_rcnn", "rpn.anchor_generator.strides", "[4,8,16,32,64]", "whose strides are [8, 16, 32, 64"),
        ("spinenet", "mask_rcnn", "backbone.arch", "50", "backbone.arch: '50' is not known; choose one of 143, 190"),
        ("spinenet", "mask_rcnn", "img_width", "192", "backbone.type spinenet needs a multiple of 128"),
        (
            "hrnet",
            "mask_rcnn",
            "neck.type",
            "none",
            "neck.type none needs maps of one width; those of backbone.type hrnet",
        ),
        ("spinenet", "mask_rcnn", "rpn.in_channels", "16", "is 16, but the width of backbone.type spinenet is 32"),
        ("resnet", "mask_rcnn", "backbone.depth", "77", "backbone.depth: there is no ResNet-77"),
        ("resnet", "mask_rcnn", "neck.fpn.num_outs", "3", "neck.fpn.num_outs is 3"),
        ("resnet", "pointrend", "point_head.in_channels", "16", "point_head.in_channels is 16, but neck.fpn.out"),
        ("resnet", "pointrend", "mask_roi.featmap_strides", "[8]", "mask_roi.featmap_strides is [8]"),
        ("resnet", "pointrend", "mask_roi.roi_layer.type", "RoIAlign", "mask_roi.roi_layer.type is RoIAlign"),
        ("resnet", "pointrend", "mask_roi.roi_layer.out_size", "13", "mask_roi.roi_layer.out_size is 13"),
        ("resnet", "pointrend", "mask_head.conv_out_channels", "64", "mask_head.conv_out_channels is 64"),
        ("resnet", "pointrend", "mask_head.norm_cfg.eps", "0.001", "mask_head.norm_cfg is set"),
    ],
)
def test_parts_that_do_not_fit_are_an_error_that_names_the_keys(graph_mode, backbone, detector, key, value, named):
    with pytest.raises(UserError) as error:
        build_model(load_config(TINY, [*overrides(backbone, detector), f"--{key}", value]))
    assert named in str(error.value)
