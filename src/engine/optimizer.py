"""Optimizers by name, with the weight-decay groups of detection training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mindspore import Parameter, nn


@dataclass(frozen=True)
class OptimizerSettings:
    """kind: an entry of `OPTIMIZERS`. decay_norm_and_bias: False keeps weight decay off normalisation and biases.

    eps: of 'adam' and 'rmsprop'; 0 takes the optimizer's own.
    """

    kind: str
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_norm_and_bias: bool = True
    eps: float = 0.0


def build_optimizer(model: nn.Cell, rates: np.ndarray, settings: OptimizerSettings) -> nn.Optimizer:
    """An optimizer of the model's trainable parameters, one learning rate a step."""
    parameters = list(model.trainable_params())
    groups = parameters
    if not settings.decay_norm_and_bias:
        exempt = [p for p in parameters if _is_norm_or_bias(p)]
        decayed = [p for p in parameters if not _is_norm_or_bias(p)]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]] + [{"order_params": parameters}]
    return OPTIMIZERS[settings.kind](groups, [float(rate) for rate in rates], settings)


def _sgd(groups: list, rates: list[float], settings: OptimizerSettings) -> nn.Optimizer:
    """v = m v + g, w = w - lr v with weight decay inside g, as PyTorch's SGD."""
    return nn.SGD(groups, rates, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _momentum(groups: list, rates: list[float], settings: OptimizerSettings) -> nn.Optimizer:
    """The arithmetic of 'sgd'."""
    return nn.Momentum(groups, rates, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _adam(groups: list, rates: list[float], settings: OptimizerSettings) -> nn.Optimizer:
    """Weight decay inside g, as PyTorch's Adam.

    But `eps` is added before the second moment's bias is corrected, as in TensorFlow: a large one shortens the first
    steps much more than PyTorch's.
    """
    return nn.Adam(groups, rates, eps=settings.eps or 1e-8, weight_decay=settings.weight_decay)


def _rmsprop(groups: list, rates: list[float], settings: OptimizerSettings) -> nn.Optimizer:
    """TensorFlow's: `eps` inside the root, momentum after the division."""
    epsilon = settings.eps or 1e-10
    return nn.RMSProp(groups, rates, momentum=settings.momentum, epsilon=epsilon, weight_decay=settings.weight_decay)


OPTIMIZERS: dict[str, Callable[[list, list[float], OptimizerSettings], nn.Optimizer]] = {
    "sgd": _sgd, "momentum": _momentum, "adam": _adam, "rmsprop": _rmsprop,
}  # fmt: skip


def _is_norm_or_bias(parameter: Parameter) -> bool:
    return parameter.name.rsplit(".", 1)[-1] in ("gamma", "beta", "bias")
