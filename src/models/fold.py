"""Batch normalisation folded into the convolutions before it, for inference and export."""

import numpy as np
from mindspore import Parameter, Tensor, nn


def fold_batchnorm(model: nn.Cell) -> int:
    """Fold every BatchNorm2d that directly follows a convolution into it, in place; how many were folded.

    The outputs of inference stay the same up to rounding. The model must not be trained or loaded from a checkpoint
    afterwards: its normalisations are gone and its convolutions have a bias. Pairs are found by the names that all
    networks here share: `conv` and `bn`, `conv1` and `bn1`, ..., and neighbours in a SequentialCell.
    """
    count = 0
    for _, parent in list(model.cells_and_names()):
        children = parent.name_cells()
        for conv_name, norm_name in _pairs(parent, children):
            conv, norm = children[conv_name], children[norm_name]
            _fold_into(conv, norm)
            replace_cell(parent, norm_name, nn.Identity())
            count += 1
    return count


def _pairs(parent: nn.Cell, children: dict[str, nn.Cell]) -> list[tuple[str, str]]:
    names = list(children)
    if isinstance(parent, nn.SequentialCell):
        candidates = list(zip(names, names[1:]))
    else:
        candidates = [(name, name.replace("conv", "bn", 1)) for name in names if name.startswith("conv")]
    return [
        (conv, norm)
        for conv, norm in candidates
        if isinstance(children[conv], nn.Conv2d) and isinstance(children.get(norm), nn.BatchNorm2d)
    ]


def _fold_into(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Lets `conv` do what both did with the running statistics; it has a bias then."""
    gamma, beta, mean, variance = (
        parameter.asnumpy().astype(np.float64)
        for parameter in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.eps)
    bias = conv.bias.asnumpy().astype(np.float64) if conv.has_bias else 0.0
    weight = conv.weight.asnumpy().astype(np.float64) * scale[:, None, None, None]
    conv.weight.set_data(Tensor(weight.astype(np.float32)))
    name = conv.weight.name.removesuffix("weight") + "bias"
    conv.bias = Parameter(Tensor((beta + (bias - mean) * scale).astype(np.float32)), name)
    conv.bias.name = name
    conv.has_bias = True


def replace_cell(parent: nn.Cell, name: str, cell: nn.Cell) -> None:
    """Put `cell` in the place of the child of that name."""
    if isinstance(parent, nn.SequentialCell):
        parent[int(name)] = cell
    else:
        setattr(parent, name, cell)


def replace_with_parameters(parent: nn.Cell, name: str, cell: nn.Cell) -> None:
    """The same with a cell that has parameters already, which it may share: they keep their names."""
    names = [(parameter, parameter.name) for parameter in cell.get_parameters()]
    replace_cell(parent, name, cell)
    for parameter, own in names:
        parameter.name = own
