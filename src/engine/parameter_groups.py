"""Which parameters of an optimizer share weight decay and learning rate: by kind, by part, by depth."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from ..errors import UserError, short

logger = logging.getLogger(__name__)

BACKBONE = "backbone."


class ScaledRates(LearningRateSchedule):
    """A table of learning rates times a factor. rates: (updates,) the optimizer's own table, which is kept once."""

    def __init__(self, rates: Parameter, factor: float):
        super().__init__()
        self.learning_rate = rates
        self.factor = factor
        self.gather = ops.Gather()

    def construct(self, global_step: Tensor) -> Tensor:
        """Of update `global_step`, (1,) int32 from 0."""
        return self.gather(self.learning_rate, global_step, 0) * self.factor


def parameter_groups(
    parameters: Sequence[Parameter],
    weight_decay: float,
    decay_norm_and_bias: bool | str,
    rates: Parameter,
    factors: Mapping[str, float],
) -> list[dict]:
    """MindSpore's groups of these parameters, whose order stays.

    decay_norm_and_bias: see `OptimizerSettings`. rates: the table of learning rates; factors: on them by a parameter's
    name, 1 for those that are not in it.
    """
    groups: dict[tuple[bool, float], list[Parameter]] = {}
    for parameter in parameters:
        is_decayed = _is_decayed(parameter.name, decay_norm_and_bias)
        groups.setdefault((not is_decayed, factors.get(parameter.name, 1.0)), []).append(parameter)
    scaled = {factor: ScaledRates(rates, factor) for _, factor in groups if factor != 1}
    found = []
    for (is_exempt, factor), members in sorted(groups.items(), key=lambda item: item[0]):
        own = {"lr": scaled[factor]} if factor in scaled else {}
        found.append({"params": members, "weight_decay": 0.0 if is_exempt else weight_decay} | own)
    return [*found, {"order_params": list(parameters)}]


def rate_factors(model: nn.Cell, by_part: Mapping[str, float], layer_decay: float = 1.0) -> dict[str, float]:
    """The factor on the learning rate of each parameter that learns, by its name; empty where all are 1.

    by_part: factors by beginnings of names, whole words between dots: 'backbone', 'backbone.stage4'. The longest that
    fits counts. layer_decay: `depth_factors`. Both multiply. UserError for a part that names no parameter.
    """
    names = [parameter.name for parameter in model.get_parameters()]
    for part in by_part:
        if not any(_is_in(name, part) for name in names):
            tops = sorted({name.partition(".")[0] for name in names})
            raise UserError(f"lr_factors: no parameter's name begins with {short(part)}; parts are {', '.join(tops)}")
    depths = depth_factors(model, layer_decay) if layer_decay != 1 else {}
    found = {}
    for name in (parameter.name for parameter in model.trainable_params()):
        fitting = max((part for part in by_part if _is_in(name, part)), key=len, default=None)
        found[name] = (1.0 if fitting is None else by_part[fitting]) * depths.get(name, 1.0)
    if all(factor == 1 for factor in found.values()):
        return {}
    counts = sorted(Counter(found.values()).items())
    logger.info("Learning rate times %s", ", ".join(f"{factor:.4g} ({count} parameters)" for factor, count in counts))
    return found


def depth_factors(model: nn.Cell, layer_decay: float) -> dict[str, float]:
    """layer_decay ** (n - k) for the parameters of the backbone's stage k of n, 0 the stem, and 1 for all behind it.

    As BEiT, timm and MMPretrain count, by the backbone's `parts_by_depth`. UserError for one that has none.
    """
    backbone = getattr(model, "backbone", None)
    stages = getattr(backbone, "parts_by_depth", None)
    if not stages:
        raise UserError(f"layer_decay needs a backbone with `parts_by_depth`; {type(backbone).__name__} names none")
    found = {}
    for parameter in model.get_parameters():
        name = parameter.name.removeprefix(BACKBONE) if parameter.name.startswith(BACKBONE) else ""
        number = next((k for k, parts in enumerate(stages) if any(_is_in(name, part) for part in parts)), len(stages))
        found[parameter.name] = layer_decay ** (len(stages) - number)
    return found


def _is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(part.rstrip(".") + ".")


def _is_decayed(name: str, rule: bool | str) -> bool:
    if rule == "mindspore":
        return "gamma" not in name and "beta" not in name
    return bool(rule) or name.rsplit(".", 1)[-1] not in ("gamma", "beta", "bias")
