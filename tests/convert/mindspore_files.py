"""PyTorch networks of the tests under the names, and in the files, of the MindSpore world and its relatives."""

import pickle
import re
from pathlib import Path

import mindspore as ms
import numpy as np
import torch
from mindspore import Tensor

MINDSPORE = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
PADDLE = {"weight": "weight", "bias": "bias", "running_mean": "_mean", "running_var": "_variance"}
MOMENTS = ("moments.", "mean_square.", "moment1.", "ema.")


def arrays(network: torch.nn.Module, words: dict[str, str], rename=lambda module, is_norm: module) -> dict:
    """The network's tensors by new names. rename: (module, whether it is a normalisation) -> its name."""
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    norms = {name.rpartition(".")[0] for name in state if name.endswith("running_var")}
    found = {}
    for name, value in state.items():
        module, _, kind = name.rpartition(".")
        kind = words[kind] if module in norms else kind
        found[f"{rename(module, module in norms)}.{kind}"] = value.numpy()
    return found


def mindspore(network: torch.nn.Module, *changes: tuple[str, str]) -> dict[str, np.ndarray]:
    """Under MindSpore's names; changes: (expression, replacement) of modules' names."""

    def rename(module: str, _: bool) -> str:
        for expression, replacement in changes:
            module = re.sub(expression, replacement, module)
        return module

    return arrays(network, MINDSPORE, rename)


def save_ckpt(values: dict[str, np.ndarray], path: Path, training: bool = False) -> Path:
    """As MindSpore's `ModelCheckpoint`; training: with the optimizer's entries."""
    entries = dict(values)
    if training:
        entries |= {"global_step": np.int32([7]), "learning_rate": np.float32([0.1, 0.2]), "momentum": np.float32(0.9)}
        entries |= {f"{moment}{name}": -value for moment in MOMENTS for name, value in values.items()}
    ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in entries.items()], str(path))
    return path


def save_pdparams(values: dict[str, np.ndarray], path: Path) -> Path:
    """As `paddle.save`: pickle protocol 4 of arrays, and a dict of names."""
    names = {name: f"conv2d_{k}.w_0" for k, name in enumerate(values)}
    path.write_bytes(pickle.dumps({**values, "StructuredToParameterName@@": names}, protocol=4))
    return path


def paddle_hrnet(network: torch.nn.Module, conv: str, norm: str, first_block: str) -> dict[str, np.ndarray]:
    """An HRNet's trunk under Paddle's names, which count from 1, and PaddleSeg's head."""

    def rename(module: str, is_norm: bool) -> str:
        part = "" if module == "last_layer.3" else f".{norm if is_norm else conv}"
        return _paddle_module(module, first_block) + part

    return arrays(network, PADDLE, rename)


def _paddle_module(module: str, first_block: str) -> str:
    parts = module.split(".")
    numbers = [int(part) + 1 for part in parts if part.isdigit()]
    head, last = parts[0], parts[-1]
    if head in ("conv1", "bn1", "conv2", "bn2"):
        return f"backbone.conv_layer1_{head[-1]}"
    if head == "last_layer":
        return "head.cls" if module == "last_layer.3" else "head.conv_1"
    part = "conv_down" if "downsample" in parts else f"conv{last[-1]}"
    if head == "layer1":
        return f"backbone.la1.{first_block}_layer2_{numbers[0]}.{part}"
    number = head[-1]
    if head.startswith("transition"):
        return f"backbone.tr{number}.transition_tr{number}_layer_{numbers[0]}"
    place = f"backbone.st{number}.stage_st{number}_{numbers[0]}"
    if parts[2] == "branches":
        return f"{place}.branches_func.bb_st{number}_{numbers[0]}_branch_layer_{numbers[1]}_{numbers[2]}.{part}"
    way = f"{place}.fuse_func.residual_st{number}_{numbers[0]}_layer_{numbers[1]}_{numbers[2]}"
    return way if numbers[2] > numbers[1] else f"{way}_{numbers[3]}"


def paddle_resnet(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """A ResNet under PaddleDetection's names."""

    def rename(module: str, is_norm: bool) -> str:
        parts = module.split(".")
        kind = "norm" if is_norm else "conv"
        if len(parts) == 1:
            return f"backbone.conv1.conv1.{kind}"
        stage, block = int(parts[0][-1]) + 1, chr(ord("a") + int(parts[1]))
        branch = "short" if parts[2] == "downsample" else f"branch2{chr(ord('a') + int(parts[2][-1]) - 1)}"
        return f"backbone.res{stage}.res{stage}{block}.{branch}.{kind}"

    return arrays(network, PADDLE, rename)
