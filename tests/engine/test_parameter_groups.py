"""Learning-rate factors by part and by depth, in every optimizer: steps against PyTorch's parameter groups."""

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from src.engine.optimizer import OPTIMIZERS, OptimizerSettings, RateTable, build_optimizer
from src.engine.parameter_groups import depth_factors, parameter_groups, rate_factors
from src.engine.train_step import StepSettings, TrainStep
from src.errors import UserError
from src.models.backbones.hrnet import HRNet, StageSettings
from src.models.backbones.resnet import ResNet
from src.models.backbones.spinenet import ARCHITECTURES, SpineNet
from tests.engine.test_adamw import RATES, SHAPES, Slopes, first, run, slopes, values
from tests.models.timm_models import import_timm

STEPS, DECAY, EPS = 6, 0.5, 1e-4
PARTS = {"conv": 0.1, "norm.gamma": 3.0}
FACTORS = {"conv.weight": 0.1, "norm.gamma": 3.0, "norm.beta": 1.0, "last.bias": 1.0}
TORCH = {
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "adam": lambda groups: torch.optim.Adam(groups, eps=1e-30),
    "adamw": lambda groups: torch.optim.AdamW(groups, eps=EPS),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, alpha=0.9, eps=1e-15, momentum=0.9),
}
OWN_EPS = {"adam": 1e-30, "adamw": EPS, "rmsprop": 1e-30}
# TensorFlow's RMSProp has the rates within its momentum: the two are one at a constant rate.
SCHEDULES = {"rmsprop": np.full(STEPS, 0.02, np.float32)}
HRNET = [StageSettings(1, "BOTTLENECK", (1,), (4,))] + [
    StageSettings(1, "BASIC", (1,) * count, tuple(4 * 2**k for k in range(count))) for count in (2, 3, 4)
]
BACKBONES = {
    "hrnet": lambda: HRNet(HRNET), "resnet": lambda: ResNet(18, base_channels=4),
    "spinenet": lambda: SpineNet(ARCHITECTURES["49S"]),
}  # fmt: skip


class Network(nn.Cell):
    """A backbone and a head."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Dense(2, 2)


def by_torch(kind: str) -> dict[str, np.ndarray]:
    weights = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in first().items()}
    groups = [
        {"params": [w], "lr": 1.0, "factor": FACTORS[name], "weight_decay": DECAY if name == "conv.weight" else 0.0}
        for name, w in weights.items()
    ]
    optimizer = TORCH[kind](groups)
    if kind == "rmsprop":  # TensorFlow's and MindSpore's mean square starts from ones
        for w in weights.values():
            state = {"square_avg": torch.ones_like(w), "momentum_buffer": torch.zeros_like(w)}
            optimizer.state[w] = {"step": torch.tensor(0.0)} | state
    for number in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = float(SCHEDULES.get(kind, RATES)[number]) * group["factor"]
        for weight, slope in zip(weights.values(), slopes(number)):
            weight.grad = torch.tensor(slope)
        optimizer.step()
    return {name: weight.detach().numpy() for name, weight in weights.items()}


@pytest.mark.parametrize(  # momentum is sgd's other name
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind == "momentum" else ()) for kind in OPTIMIZERS]
)
def test_factors_are_torchs_groups_in_every_optimizer(graph_mode, kind):
    model = Slopes()
    settings = OptimizerSettings(kind, 0.9, DECAY, False, OWN_EPS.get(kind, 0.0))
    step = TrainStep(model, build_optimizer(model, SCHEDULES.get(kind, RATES), settings, rate_factors(model, PARTS)))
    run(step, range(STEPS))
    for name, expected in by_torch(kind).items():
        assert np.abs(expected - first()[name]).max() > 1e-3
        np.testing.assert_allclose(values(model)[name], expected, rtol=2e-6, atol=1e-5, err_msg=name)
    kept = [parameter.name for parameter in step.get_parameters()]
    assert kept.count("learning_rate") == 1 and len(set(kept)) == len(kept)


def test_the_longest_beginning_counts_of_whole_words_and_depth_multiplies():
    model = Network(BACKBONES["resnet"]())
    parts = {"backbone": 0.5, "backbone.layer4": 0.25, "backbone.layer4.1": 2, "head.bias": 0}
    found = rate_factors(model, parts, 0.5)
    expected = {
        "backbone.conv1.weight": 0.5 * 0.5**5, "backbone.layer1.0.conv1.weight": 0.5 * 0.5**4,
        "backbone.layer4.0.bn1.gamma": 0.25 * 0.5, "backbone.layer4.1.bn1.gamma": 2 * 0.5, "head.weight": 1,
        "head.bias": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("part", ["bakbone", "back", "head.weigh", ""])
def test_a_part_that_names_no_parameter_is_one_line(part):
    with pytest.raises(UserError, match=f"lr_factors: .* begins with '{part}'; parts are backbone, head"):
        rate_factors(Network(BACKBONES["resnet"]()), {"head": 1, part: 0.1})


@pytest.mark.parametrize("kind", BACKBONES)
def test_factors_rise_with_depth_from_the_stem_to_one_in_the_head(kind):
    model = Network(BACKBONES[kind]())
    count = len(model.backbone.parts_by_depth)
    found = depth_factors(model, 0.75)
    assert found["backbone.conv1.weight" if kind != "spinenet" else "backbone.conv1.conv.weight"] == 0.75**count
    assert {name for name, factor in found.items() if factor == 1} == {"head.weight", "head.bias"}
    assert sorted(set(found.values())) == [0.75**k for k in range(count, -1, -1)]


@pytest.mark.parametrize("kind", ["hrnet", "resnet"])
def test_stages_are_timms_groups_but_for_transitions(kind):
    """timm has a transition with the stage before it, this project with the one that it leads to, as in freezing."""
    timm = import_timm()
    theirs = timm.create_model({"hrnet": "hrnet_w18_small", "resnet": "resnet18"}[kind])
    groups = timm.models.group_parameters(theirs, theirs.group_matcher(coarse=True))
    numbers = {name: number for number, names in groups.items() for name in names}
    model = Network(BACKBONES[kind]())
    found = {name.split(".")[1]: factor for name, factor in depth_factors(model, 0.5).items() if "backbone" in name}
    tops = {name.split(".")[0]: number for name, number in numbers.items() if name.split(".")[0] in found}
    assert len(tops) >= 6
    for top, number in tops.items():
        assert found[top] == 0.5 ** (5 - number - top.startswith("transition")), top


def test_without_factors_the_groups_are_those_of_before():
    model = Network(BACKBONES["resnet"]())
    assert rate_factors(model, {"backbone": 1, "head": 1.0}) == rate_factors(model, {}) == {}
    parameters = model.trainable_params()
    decayed, exempt, order = parameter_groups(parameters, 0.1, False, RateTable(RATES).learning_rate, {})
    assert set(decayed) == set(exempt) == {"params", "weight_decay"} and order == {"order_params": parameters}
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)
    assert [p.name for p in exempt["params"]] == [
        p.name for p in parameters if p.name.endswith(("gamma", "beta", "bias"))
    ]


def test_layer_decay_without_stages_is_one_line():
    model = Network(nn.Dense(2, 2))
    with pytest.raises(UserError, match="layer_decay needs a backbone with `parts_by_depth`; Dense names none"):
        depth_factors(model, 0.5)


@pytest.mark.parametrize("settings", [StepSettings(grad_clip=0.5), StepSettings(16.0, accumulate=3, last_step=4)])
def test_the_norms_are_those_of_clip_grad_norm_and_of_the_new_weights(graph_mode, settings):
    """Of the update's mean gradient, where several batches make one: between updates they stay."""
    model = Slopes()
    settings = StepSettings(**vars(settings) | {"norms": True})
    step = TrainStep(model, build_optimizer(model, RATES, OptimizerSettings("sgd")), settings)
    outputs, norms, window, weights = [], [(0, 0)], [], []
    for number in range(4):
        outputs.append(step(*map(Tensor, slopes(number))))
        window.append(slopes(number))
        if number + 1 == 4 or (number + 1) % settings.accumulate == 0:
            means = [torch.nn.Parameter(torch.zeros(shape)) for shape in SHAPES.values()]
            for mean, *parts in zip(means, *window):
                mean.grad = torch.tensor(np.mean(parts, axis=0, dtype=np.float64).astype(np.float32))
            flat = np.concatenate([value.ravel() for value in values(model).values()])
            norms.append((torch.nn.utils.clip_grad_norm_(means, 1e9).item(), np.linalg.norm(flat)))
            window = []
        weights.append(norms[-1])
    found = [[float(value.asnumpy()) for value in output[1:]] for output in outputs]  # all of them after the last step
    np.testing.assert_allclose(found, weights, rtol=1e-5)
    assert len({tuple(norm) for norm in found}) == (4 if settings.accumulate == 1 else 3)
