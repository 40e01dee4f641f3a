"""What a step costs: against PyTorch's own counts, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from src.commands.summary import step_lines, summarize
from src.config import load_config
from src.engine.optimizer import OptimizerSettings, build_optimizer
from src.models.backbones.residual import Bottleneck
from src.models.cost import STATES, shapes_only, walk, weights
from src.models.layers import ConvNormAct, NormSettings
from src.tasks import TASKS, build_model
from tests.models.timm_models import import_timm

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = str(CONFIGS / "demo" / "mask_rcnn_hrnet_tiny.yaml")


def blank(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


def test_arithmetic_and_memory_of_a_classifier_are_pytorchs_of_timms_network(pynative_mode):
    cfg = load_config(str(CONFIGS / "hrnet_w18_small_cls.yaml"), ["--img_width", "64", "--img_height", "64"])
    model, columns = build_model(cfg), TASKS[cfg.task].blank_columns(cfg)
    walked = walk(model, [Tensor(columns[name]) for name in model.train_columns], fused=False)
    theirs = import_timm().create_model("hrnet_w18_small")
    with FlopCounterMode(display=False) as counter:
        saved = saved_by(theirs, torch.randn(2, 3, 64, 64))
    assert 2 * walked.macs == counter.get_total_flops() // 2
    assert walked.activations() == saved // 2
    # as many again for the weights and for the inputs, but for those of the first layer
    assert walked.backward_macs == 2 * walked.macs - 64 * 3 * 9 * 32 * 32
    fixed = weights(model, "adamw", averages=True, accumulates=False)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert (fixed.gradients, fixed.optimizer) == (4 * count, 8 * count)
    statistics = sum(x.numel() for name, x in theirs.named_buffers() if "running" in name)
    assert fixed.parameters == fixed.average == 4 * (count + statistics)


def saved_by(network: torch.nn.Module, image: torch.Tensor) -> int:
    """Bytes of the features that PyTorch's forward pass saves for its backward pass, each tensor once."""
    own, saved = {parameter.data_ptr() for parameter in network.parameters()}, {}

    def keep(x):
        if x.dim() in (2, 4) and x.data_ptr() not in own:
            saved[x.data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        network(image)
    return sum(x.numel() * x.element_size() for x in saved.values())


def chain() -> nn.Cell:
    norm = NormSettings()
    blocks = [Bottleneck(8, 2, 1, norm) for _ in range(2)]
    return nn.SequentialCell([ConvNormAct(3, 8, 3, 2, norm), *blocks, ConvNormAct(8, 5, 3, 1, norm)])


class TorchChain(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        block = [(8, 2, 1, 1), (2, 2, 3, 1), (2, 8, 1, 1)]
        sizes = [(3, 8, 3, 2), *block, *block, (8, 5, 3, 1)]
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in sizes)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(o) for _, o, _, _ in sizes)

    def forward(self, x):
        y = torch.relu(self.norms[0](self.convs[0](x)))
        for first in (1, 4):
            shortcut = y
            for k in range(first, first + 3):
                y = self.norms[k](self.convs[k](y))
                y = torch.relu(y if k < first + 2 else y + shortcut)
        return torch.relu(self.norms[7](self.convs[7](y)))


def test_activations_are_those_that_pytorch_saves(pynative_mode):
    walked = walk(chain(), [blank(1, 3, 32, 48)], fused=False)
    assert walked.activations() == saved_by(TorchChain(), torch.randn(1, 3, 32, 48))


@pytest.mark.parametrize(
    ("fused", "half", "recompute", "kept"),
    [  # 16 x 24 positions after the first layer; the image has 4,608 numbers
        (False, False, False, 4 * (4608 + 384 * (8 + 8 + 2 * (2 + 2 + 2 + 2 + 8 + 8) + 5 + 5))),
        # the last output is kept as bits alone, the others for the convolutions after them too
        (True, False, False, 4 * (4608 + 384 * (8 + 8 + 2 * 24 + 5)) + 48 * (8 + 2 * (2 + 2 + 8) + 5)),
        # a normalisation that is not fused keeps float32
        (False, True, False, 2 * (4608 + 384 * (8 + 2 * 12 + 5)) + 4 * 384 * (8 + 2 * 12 + 5)),
        (True, True, False, 2 * (4608 + 384 * (8 + 8 + 2 * 24 + 5)) + 48 * (8 + 2 * 12 + 5)),
        # of each block its input, then, while one is computed again, all that is inside
        (False, False, True, 4 * (4608 + 384 * (8 + 8 + 8 + 8 + 5 + 5)) + 4 * 384 * (2 + 2 + 2 + 2 + 8)),
    ],
)
def test_activations_equal_a_count_by_hand(pynative_mode, fused, half, recompute, kept):
    walked = walk(chain(), [blank(1, 3, 32, 48)], fused)
    assert walked.activations(half, recompute) == kept
    assert walked.block_macs == 2 * 384 * (8 * 2 + 2 * 2 * 9 + 2 * 8)


def test_what_does_not_learn_keeps_nothing_until_something_learns(pynative_mode):
    net = chain()
    for parameter in net[0].get_parameters():
        parameter.requires_grad = False
    net[0].bn.use_batch_statistics = False
    walked = walk(net, [blank(1, 3, 32, 48)], fused=False)
    assert walked.activations() == 4 * 384 * (8 + 2 * 24 + 5 + 5)
    for norm in (net[1].bn1, net[2].bn3):  # as Detectron2's: the gradient of their inputs alone
        norm.use_batch_statistics, norm.gamma.requires_grad, norm.beta.requires_grad = False, False, False
    assert walk(net, [blank(1, 3, 32, 48)], fused=False).activations() == walked.activations()
    first, second = 384 * 27 * 8, 384 * 16
    assert walked.backward_macs == 2 * (walked.macs - first) - second


@pytest.mark.parametrize("kind", STATES)
def test_the_optimizers_state_is_as_large_as_it_is(pynative_mode, kind):
    net = ConvNormAct(3, 8, 3, norm=NormSettings())
    optimizer = build_optimizer(net, np.ones(2, np.float32), OptimizerSettings(kind))
    own = {parameter.name for parameter in net.get_parameters()}
    state = [p for p in optimizer.get_parameters() if p.name not in own and p.shape in ((8, 3, 3, 3), (8,))]
    assert weights(net, kind, False, False).optimizer == 4 * sum(p.size for p in state)


@pytest.mark.parametrize("layer", [
    nn.Conv2d(4, 6, (3, 5), stride=(2, 3), pad_mode="same"), nn.Conv2d(4, 6, 3, stride=2, pad_mode="valid", dilation=2),
    nn.Conv2d(4, 6, 3, 2, "pad", (0, 1, 2, 3), group=2), nn.Conv2dTranspose(4, 6, 3, 2),
    nn.Dense(17, 6, has_bias=False),
])  # fmt: skip
def test_uncomputed_layers_give_the_shape_that_they_would_and_compute_again_afterwards(pynative_mode, layer):
    x, net = Tensor(np.ones((2, 4, 15, 17), np.float32)), nn.SequentialCell([layer])
    before = net(x).asnumpy()
    with shapes_only(net):
        assert net(x).shape == before.shape and not np.abs(net(x).asnumpy()).any()
    assert np.array_equal(net(x).asnumpy(), before) and np.abs(before).any()


def test_a_detectors_heads_are_counted_on_the_rois_of_training(pynative_mode):
    cfg = load_config(TINY, ["--detector", "mask_rcnn", "--device_target", "CPU"])
    model, columns = build_model(cfg), TASKS[cfg.task].blank_columns(cfg)
    macs = {part.name: part.macs for part in summarize(cfg, model)}
    walked = walk(model, [Tensor(columns[name]) for name in model.train_columns], fused=True)
    sampler = cfg.train_cfg.rcnn.sampler
    boxes = macs["bbox_head"] * sampler.num // cfg.test_cfg.rpn.max_per_img
    masks = macs["mask_head"] * int(sampler.num * sampler.pos_fraction) // cfg.test_cfg.rcnn.max_per_img
    assert walked.macs == macs["backbone"] + macs["neck"] + macs["rpn_head"] + boxes + masks


def test_the_lines_say_what_a_step_of_the_batch_costs(pynative_mode):
    cfg = load_config(str(CONFIGS / "demo" / "hrnet_cls_shapes.yaml"), ["--batch_size", "500", "--opt_type", "adamw"])
    blank, title, flops, recompute, _, *rows = step_lines(cfg, build_model(cfg), "CPU")
    assert blank == "" and title.startswith("a training step, batch 500, calculated (CPU, with fast_gradients")
    forward, backward, step = (float(word.strip(",;").replace(",", "")) for word in flops.split() if word[0].isdigit())
    assert (forward, backward) == (0.1, 0.1) and step == pytest.approx(500 * 3 * 2 * 0.036, rel=0.05)
    assert "no key does it" in recompute
    table = {row[:22].strip(): [float(x) for x in row[22:].split()] for row in rows}
    assert table["weights, statistics"][0] == table["gradients"][0] == 0.006
    assert table["optimizer (adamw)"] == [0.012] * 4 and table["half copies of weights"] == [0, 0.003, 0, 0.003]
    together = table.pop("together")
    assert np.allclose(np.sum(list(table.values()), 0), together, atol=0.003)
    plain, half, again, both = table["activations"]
    assert plain > 1.8 * half and plain > again > both and half > both
