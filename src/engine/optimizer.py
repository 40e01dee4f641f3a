"""Optimizers by name, with the weight-decay groups of detection training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from .adamw import AdamW


@dataclass(frozen=True)
class OptimizerSettings:
    """kind: an entry of `OPTIMIZERS`. eps: of all but 'sgd'; 0 takes the optimizer's own. nesterov: of 'adam'.
    beta1, beta2: of 'adam' and 'adamw'.

    decay_norm_and_bias: True decays every parameter; False keeps weight decay off normalisation and biases;
    "mindspore" off gamma and beta alone, as MindSpore does with parameters that are in no group.
    """

    kind: str
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_norm_and_bias: bool | str = True
    eps: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999


def build_optimizer(model: nn.Cell, rates: np.ndarray, settings: OptimizerSettings) -> nn.Optimizer:
    """An optimizer of the model's trainable parameters, one learning rate a step.

    The parameters are always grouped: of an ungrouped list MindSpore leaves out whatever is called gamma or beta.
    """
    parameters = list(model.trainable_params())
    decayed = [p for p in parameters if _is_decayed(p.name, settings.decay_norm_and_bias)]
    exempt = [p for p in parameters if not _is_decayed(p.name, settings.decay_norm_and_bias)]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]] + [{"order_params": parameters}]
    return OPTIMIZERS[settings.kind](groups, RateTable(rates), settings)


class RateTable(LearningRateSchedule):
    """The learning rate of every update. MindSpore would take the numbers too, but one by one as Python's."""

    def __init__(self, rates: np.ndarray):
        super().__init__()
        self.learning_rate = Parameter(Tensor(np.float32(rates)), name="learning_rate", requires_grad=False)
        self.gather = ops.Gather()

    def construct(self, global_step: Tensor) -> Tensor:
        """Of update `global_step`, (1,) int32 from 0."""
        return self.gather(self.learning_rate, global_step, 0)


def _sgd(groups: list, rates: RateTable, settings: OptimizerSettings) -> nn.Optimizer:
    """v = m v + g, w = w - lr v with weight decay inside g, as PyTorch's SGD.

    Not by MindSpore's class of that name, which keeps a third copy of the weights beside v.
    """
    return nn.Momentum(groups, rates, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _adam(groups: list, rates: RateTable, settings: OptimizerSettings) -> nn.Optimizer:
    """Weight decay inside g, as PyTorch's Adam.

    But `eps` is added before the second moment's bias is corrected, as in TensorFlow: a large one shortens the first
    steps much more than PyTorch's. With `nesterov` the step goes along beta1 m + (1 - beta1) g instead of m.
    """
    eps, decay = settings.eps or 1e-8, settings.weight_decay
    betas = settings.beta1, settings.beta2
    return nn.Adam(groups, rates, *betas, eps, use_nesterov=settings.nesterov, weight_decay=decay)


def _adamw(groups: list, rates: RateTable, settings: OptimizerSettings) -> nn.Optimizer:
    """Weight decay beside the gradient, each update's rate times `weight_decay`, as PyTorch's AdamW."""
    return AdamW(groups, rates, settings.beta1, settings.beta2, settings.eps or 1e-8)


def _rmsprop(groups: list, rates: RateTable, settings: OptimizerSettings) -> nn.Optimizer:
    """TensorFlow's: `eps` inside the root, momentum after the division."""
    epsilon = settings.eps or 1e-10
    return nn.RMSProp(groups, rates, momentum=settings.momentum, epsilon=epsilon, weight_decay=settings.weight_decay)


OPTIMIZERS: dict[str, Callable[[list, RateTable, OptimizerSettings], nn.Optimizer]] = {
    "sgd": _sgd, "momentum": _sgd, "adam": _adam, "adamw": _adamw, "rmsprop": _rmsprop,
}  # fmt: skip


def _is_decayed(name: str, rule: bool | str) -> bool:
    if rule == "mindspore":
        return "gamma" not in name and "beta" not in name
    return bool(rule) or name.rsplit(".", 1)[-1] not in ("gamma", "beta", "bias")
