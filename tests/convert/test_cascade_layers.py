"""MMDetection's Cascade Mask R-CNN, narrow and of random weights: every layer of every stage gives the same numbers."""

import copy
import re

import numpy as np
import pytest
import torch
from mindspore import Tensor

from src.errors import UserError
from tests.convert.case import NARROW_DETECTOR, RESNET_DETECTOR, assert_equal, convert, image, randomise
from tests.convert.test_sources import MMDetectionResNet
from tests.convert.test_verify import record  # noqa: F401, the documentation's function, a fixture

pytestmark = pytest.mark.usefixtures("pynative_mode")
STAGES, CLASSES, FC = 3, 3, 24
KEYS = [
    *NARROW_DETECTOR, "--detector", "cascade_mask_rcnn", "--bbox_head.reg_class_agnostic", "1",
    "--backbone.depth", "18", "--backbone.base_channels", "8", "--neck.fpn.in_channels", "[8,16,32,64]",
]  # fmt: skip


class MMDetectionCascade(MMDetectionResNet):
    """Lists of heads; every stage has one box for all classes."""

    def __init__(self):
        super().__init__(fc=FC, classes=CLASSES)
        heads = self.roi_head
        heads.bbox_head.fc_reg = torch.nn.Linear(FC, 4)
        for name in ("bbox_head", "mask_head"):
            copies = [copy.deepcopy(getattr(heads, name)) for _ in range(STAGES)]
            setattr(heads, name, torch.nn.ModuleList(copies))

    def boxes(self, stage, x):
        head, x = self.roi_head.bbox_head[stage], x.flatten(1)
        for fc in head.shared_fcs:
            x = torch.relu(fc(x))
        return head.fc_cls(x), head.fc_reg(x)

    def masks(self, stage, x):
        head = self.roi_head.mask_head[stage]
        for conv in head.convs:
            x = conv(x)
        return head.conv_logits(torch.relu(head.upsample(x)))


def test_every_layer_of_every_stage_agrees_and_a_stage_that_differs_is_named(record, tmp_path, capsys):  # noqa: F811
    theirs = randomise(MMDetectionCascade())
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "w.pth")
    small, large = torch.randn(5, 16, 7, 7), torch.randn(5, 16, 14, 14)

    def run(x):
        for level in theirs.neck(theirs.backbone(x)):
            theirs.rpn(level)
        for stage in range(STAGES):
            theirs.boxes(stage, small)
            theirs.masks(stage, large)

    acts = tmp_path / "acts.npz"
    record(theirs, torch.tensor(image(128, 128, 1)), acts, run)
    ours, done = convert(RESNET_DETECTOR, tmp_path / "w.pth", "--verify", str(acts), *KEYS)
    assert not done.unset and list(done.ignored) == ["counters of PyTorch's BatchNorm"]
    compared = int(re.search(r"verified: (\d+) layers agree", capsys.readouterr().out)[1])
    weighted = [name for name in theirs.state_dict() if name.endswith("weight")]
    assert compared >= len(weighted) + 4 * 3  # the RPN's three are called on five levels each
    valid = Tensor(np.ones(5, bool))
    for stage in range(STAGES):
        with torch.no_grad():
            boxes, masks = theirs.boxes(stage, small), theirs.masks(stage, large)
        for mine, other in zip(ours.bbox_head[stage](Tensor(small.numpy()), valid), boxes, strict=True):
            assert_equal(mine, other)
        assert_equal(ours.mask_head[stage].logits(Tensor(large.numpy()), valid), masks)

    with np.load(acts) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["roi_head.bbox_head.1.fc_cls"] = arrays["roi_head.bbox_head.0.fc_cls"]
    np.savez(acts, **arrays)
    (tmp_path / "w.ckpt").unlink()
    with pytest.raises(UserError, match=r"first layer that differs is roi_head\.bbox_head\.1\.fc_cls, by"):
        convert(RESNET_DETECTOR, tmp_path / "w.pth", "--verify", str(acts), *KEYS)
