"""Optimizers by name, with the weight-decay groups of detection training."""

import numpy as np
from mindspore import Parameter, nn


def build_optimizer(
    model: nn.Cell,
    kind: str,
    rates: np.ndarray,
    momentum: float,
    weight_decay: float,
    decay_norm_and_bias: bool = True,
    eps: float = 0.0,
) -> nn.Optimizer:
    """'sgd', 'momentum', 'adam' or 'rmsprop' over the model's trainable parameters, one learning rate a step.

    decay_norm_and_bias: False keeps weight decay off normalisation weights and biases.
    SGD and momentum follow v = m v + g, w = w - lr v with weight decay inside g, as PyTorch's SGD does; Adam has its
    decay inside g too, as PyTorch's Adam, but adds `eps` before the second moment's bias is corrected, as TensorFlow:
    a large one shortens the first steps much more than PyTorch's. RMSProp is TensorFlow's (`eps` inside the root,
    momentum after the division).
    """
    parameters = list(model.trainable_params())
    groups = parameters
    if not decay_norm_and_bias:
        exempt = [p for p in parameters if _is_norm_or_bias(p)]
        decayed = [p for p in parameters if not _is_norm_or_bias(p)]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": exempt, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]] + [{"order_params": parameters}]
    rates = [float(rate) for rate in rates]
    if kind == "adam":
        return nn.Adam(groups, rates, eps=eps or 1e-8, weight_decay=weight_decay)
    if kind == "rmsprop":
        epsilon = eps or 1e-10
        return nn.RMSProp(groups, rates, momentum=momentum, epsilon=epsilon, weight_decay=weight_decay)
    build = {"sgd": nn.SGD, "momentum": nn.Momentum}[kind]
    return build(groups, rates, momentum=momentum, weight_decay=weight_decay)


def _is_norm_or_bias(parameter: Parameter) -> bool:
    return parameter.name.rsplit(".", 1)[-1] in ("gamma", "beta", "bias")
