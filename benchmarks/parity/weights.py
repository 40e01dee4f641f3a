"""The same weights in our network and in its twin."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from mindspore import Tensor, nn


def copy_to_twin(model: nn.Cell, module: torch.nn.Module, rename: Callable[[str], str]) -> None:
    """Our weights and statistics; every tensor has its partner."""
    state = module.state_dict()
    theirs = {name for name in state if not name.endswith("num_batches_tracked")}
    ours = {rename(parameter.name): parameter.asnumpy() for parameter in model.get_parameters()}
    if theirs != set(ours):
        raise SystemExit(f"error: tensors without a partner: {sorted(theirs ^ set(ours))}")
    for name, value in ours.items():
        if tuple(state[name].shape) != value.shape:
            raise SystemExit(f"error: {name} has shape {value.shape}, in PyTorch {tuple(state[name].shape)}")
        state[name].copy_(torch.tensor(value))


def copy_from_twin(model: nn.Cell, module: torch.nn.Module, rename: Callable[[str], str]) -> None:
    """Its weights and statistics into ours."""
    state = module.state_dict()
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(state[rename(parameter.name)].numpy()))


@torch.no_grad()
def take_statistics(backbone: torch.nn.Module, image: np.ndarray) -> None:
    """Give a backbone whose normalisations are frozen the statistics of a batch, as pretrained weights have theirs."""
    norms = [part for part in backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    backbone.train()(torch.tensor(image))


@torch.no_grad()
def disturbed(module: torch.nn.Module, share: float) -> torch.nn.Module:
    """A copy whose weights are each off by about this share of themselves."""
    module, generator = copy.deepcopy(module), torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.mul_(1 + share * torch.randn(parameter.shape, generator=generator))
    return module
