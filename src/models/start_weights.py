"""Start weights of the originals, drawn anew into networks that are built.

What is drawn depends on the random state alone, neither on the framework's version nor on the device.
"""

import numpy as np
from mindspore import Parameter, Tensor, nn


def he_uniform_convolutions(model: nn.Cell, rng: np.random.RandomState) -> None:
    """Every convolution's weights, uniform within sqrt(6 / fan in)."""
    for cell in _convolutions(model):
        _uniform(cell.weight, np.sqrt(6.0 / _fan_in(cell)), rng)


def normal_convolutions(model: nn.Cell, sigma: float, rng: np.random.RandomState) -> None:
    """Every convolution's weights around zero."""
    for cell in _convolutions(model):
        _set(cell.weight, rng.standard_normal(cell.weight.shape) * sigma)


def uniform_convolution_biases(model: nn.Cell, rng: np.random.RandomState) -> None:
    """Every convolution's biases, uniform within 1 / sqrt(fan in)."""
    for cell in _convolutions(model):
        if cell.has_bias:
            _uniform(cell.bias, 1.0 / np.sqrt(_fan_in(cell)), rng)


def normal_layer(layer: nn.Cell, sigma: float, rng: np.random.RandomState) -> None:
    """Weights of a linear layer or a convolution around zero, biases zero."""
    _set(layer.weight, rng.standard_normal(layer.weight.shape) * sigma)
    _set(layer.bias, np.zeros(layer.bias.shape))


def he_normal_layer(layer: nn.Cell, rng: np.random.RandomState) -> None:
    """The same with variance 2 / fan in."""
    normal_layer(layer, np.sqrt(2.0 / _fan_in(layer)), rng)


def _convolutions(model: nn.Cell) -> list[nn.Conv2d]:
    return [cell for _, cell in model.cells_and_names() if isinstance(cell, nn.Conv2d)]


def _fan_in(layer: nn.Cell) -> int:
    return int(np.prod(layer.weight.shape[1:]))


def _uniform(parameter: Parameter, bound: float, rng: np.random.RandomState) -> None:
    _set(parameter, rng.uniform(-1.0, 1.0, parameter.shape) * bound)


def _set(parameter: Parameter, values: np.ndarray) -> None:
    parameter.set_data(Tensor(values.astype(np.float32)))
