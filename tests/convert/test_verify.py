"""--verify: activations saved by the documented snippet agree, and the first layer that differs is named."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from src.config import load_config
from src.convert.detect import SOURCES
from src.convert.verify import verify
from src.errors import UserError
from src.tasks import build_model
from tests.convert.case import CONFIGS, DETECTRON2, NARROW_DETECTOR, RESNET_DETECTOR, convert, image, randomise
from tests.convert.torch_detectron2 import Detectron2
from tests.models.test_segmentation import CITYSCAPES, NARROW, STAGE1, STAGES
from tests.models.timm_models import import_timm
from tests.models.torch_hrnet_seg import TorchHRNetSeg

pytestmark = pytest.mark.usefixtures("pynative_mode")
RESNET = [*NARROW_DETECTOR, "--backbone.depth", "18", "--neck.fpn.in_channels", "[64,128,256,512]"]


@pytest.fixture(scope="module")
def record():
    """The function that docs/converting.md tells users to take."""
    text = (Path(__file__).parents[2] / "docs" / "converting.md").read_text(encoding="utf-8")
    namespace = {}
    exec(re.search(r"```python\n(import numpy.*?)```", text, re.DOTALL)[1], namespace)
    return namespace["record"]


def run_verified(config, net, tmp_path, *keys):
    torch.save(net, tmp_path / "w.pth")
    return convert(config, tmp_path / "w.pth", "--verify", str(tmp_path / "acts.npz"), *keys)


def test_a_network_agrees_in_every_layer_and_in_its_output(record, tmp_path, capsys):
    net = randomise(TorchHRNetSeg(19, STAGE1, STAGES))
    record(net, torch.tensor(image(64, 64, 1)), tmp_path / "acts.npz")
    run_verified(CITYSCAPES, net.state_dict(), tmp_path, *NARROW)
    printed = capsys.readouterr().out
    compared = int(re.search(r"verified: (\d+) layers agree", printed)[1])
    weighted = sum(isinstance(m, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear) for m in net.modules())
    assert compared >= weighted + 1 and "0 without an input" in printed


def test_the_first_layer_that_differs_is_named_and_nothing_is_written(record, tmp_path):
    net = randomise(import_timm().create_model("resnet18"))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net.layer3[0].conv2.weight[5] += 0.1
    record(net, torch.tensor(image(64, 64, 1)), tmp_path / "acts.npz")
    with pytest.raises(UserError, match=r"first layer that differs is layer3\.0\.conv2, by \d\.\de[-+]\d+ of") as error:
        run_verified(RESNET_DETECTOR, state, tmp_path, *RESNET)
    assert "\n" not in str(error.value) and not (tmp_path / "w.ckpt").exists()


@pytest.fixture(scope="module")
def resnet():
    return build_model(load_config(str(RESNET_DETECTOR), [*RESNET, "--device_target", "CPU"]))


def detectron2(net, pointrend: bool):
    """What the documentation's `detectron2` runs, with this test's widths."""

    def run(x):
        net.dense(x)
        heads = net.roi_heads
        heads.box_predictor(heads.box_head(torch.randn(3, 16, 7, 7)))
        if pointrend:
            heads.mask_head.coarse_head(torch.randn(3, 16, 14, 14))
            heads.mask_head.point_head(torch.randn(3, 16, 5), torch.randn(3, 3, 5))
        else:
            heads.mask_head(torch.randn(3, 16, 14, 14))

    return run


@pytest.mark.parametrize(
    "pointrend", [pytest.param(False, id="mask_rcnn"), pytest.param(True, id="pointrend", marks=pytest.mark.slow)]
)
def test_detectors_agree_up_to_the_layers_of_their_roi_heads(record, pointrend, tmp_path, capsys):
    net = randomise(Detectron2(8, 16, 24, 3, pointrend=pointrend, fc_coarse=20, fc_point=12))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.tensor(image(128, 128, 1))
    keys, config = DETECTRON2, RESNET_DETECTOR
    if pointrend:
        config = CONFIGS / "pointrend_r50_fpn_1x_coco.yaml"
        keys = [*keys, "--mask_head.fc_out_channels=20", "--point_head.in_channels=16", "--point_head.fc_channels=12"]
    record(net, x, tmp_path / "acts.npz", detectron2(net, pointrend))
    run_verified(config, state, tmp_path, *keys)
    compared = int(re.search(r"verified: (\d+) layers agree", capsys.readouterr().out)[1])
    own = [name for name in state if name.endswith("weight")]
    assert compared >= len(own) + 4 * 2  # the RPN's three are called on five levels each

    with np.load(tmp_path / "acts.npz") as archive:
        acts = {name: archive[name] for name in archive.files}
    name = "roi_heads.mask_head.point_head.fc2" if pointrend else "roi_heads.mask_head.mask_fcn3"
    acts[name] = acts[name] + 0.01 * np.abs(acts[name]).max()
    np.savez(tmp_path / "acts.npz", **acts)
    (tmp_path / "w.ckpt").unlink()
    with pytest.raises(UserError, match=rf"layer that differs is {re.escape(name)}, by (9\.9e-03|1\.0e-02) of"):
        run_verified(config, state, tmp_path, *keys)


@pytest.mark.parametrize(
    "arrays,message",
    [
        ({"conv1": np.ones(3)}, "input is missing"),
        ({"input": np.ones((3, 64, 64))}, r"input has shape \[3, 64, 64\]"),
        ({"input": np.ones((1, 3, 64, 64)), "encoder.conv": np.ones(3)}, "names no module of resnet"),
        ({"input": np.ones((1, 3, 64, 64)), "conv1": np.ones((1, 64, 9, 9))}, r"conv1: \[1, 64, 9, 9\], here \[1, 6"),
        (None, "cannot be read as .npz"),
    ],
)
def test_a_file_of_another_form_is_one_line(arrays, message, resnet, tmp_path):
    if arrays is None:
        (tmp_path / "acts.npz").write_bytes(b"PK no archive")
    else:
        np.savez(tmp_path / "acts.npz", **arrays)
    with pytest.raises(UserError, match=message) as error:
        verify(SOURCES["resnet"], resnet, str(tmp_path / "acts.npz"), ("neck", "rpn_head", "bbox_head", "mask_head"))
    assert "\n" not in str(error.value)
