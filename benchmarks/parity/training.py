"""A training of either side on the same batches: ours by the project's own step, PyTorch's by torch.optim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import mindspore as ms
import numpy as np
import torch
from mindspore import Tensor, nn
from torch.optim import lr_scheduler

from benchmarks.parity.cases import Case
from benchmarks.parity.weights import copy_from_twin, copy_to_twin, take_statistics
from src.config import Config
from src.engine.setup import make_train_step
from src.tasks import build_model

START_RATE = 1e-3
Batches = Sequence[tuple[np.ndarray, ...]]


@dataclass
class Course:
    """losses: those of each step. averages: the moving average of all weights after some of the steps, and of
    PyTorch's before the first one, {name: array}."""

    losses: list[list[float]] = field(default_factory=list)
    averages: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    def totals(self) -> np.ndarray:
        return np.array(self.losses).sum(axis=1)


def same_start(case: Case, cfg: Config, batches: Batches) -> tuple[nn.Cell, torch.nn.Module]:
    """Our network and its twin with the same weights: ours, which PyTorch has trained a little on the batches.

    A run begins so with pretrained weights. Of random ones a deep network with batch normalisation makes so much of
    rounding that within 20 steps no two implementations agree, nor one with itself.
    """
    ms.set_seed(cfg.seed)
    model, twin = build_model(cfg), case.twin(cfg)
    copy_to_twin(model, twin, case.rename)
    if case.frozen_norms:
        take_statistics(twin.backbone, batches[0][0])
    optimizer = torch.optim.Adam([x for x in twin.parameters() if x.requires_grad], START_RATE)
    twin.train()
    for batch in batches:
        optimizer.zero_grad()
        sum(case.losses(twin, cfg, batch)).backward()
        optimizer.step()
    optimizer.zero_grad()
    copy_from_twin(model, twin, case.rename)
    return model, twin


def train_ours(
    case: Case, cfg: Config, model: nn.Cell, batches: Batches, steps_per_epoch: int, marks: set[int]
) -> Course:
    """marks: the steps after which it has the averages."""
    step, _ = make_train_step(cfg, model, steps_per_epoch)
    course = Course()
    for number, batch in enumerate(batches, start=1):
        course.losses.append([float(loss.asnumpy()) for loss in step(*map(Tensor, batch))])
        if number in marks:
            named = zip(step.tracked, step.ema)
            course.averages[number] = {case.rename(own.name): average.asnumpy().copy() for own, average in named}
    return course


def train_torch(
    case: Case, cfg: Config, module: torch.nn.Module, batches: Batches, steps_per_epoch: int, marks: set[int]
) -> Course:
    """The same of the twin. Weight decay on everything, gradients clipped by their norm all together."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS[cfg.opt_type](learning, cfg)
    schedule = _schedule(optimizer, cfg, steps_per_epoch)
    tracked = {name: x for name, x in module.state_dict().items() if x.is_floating_point()}
    average = {name: x.clone() for name, x in tracked.items()}
    course, updates = Course(averages={0: {name: x.numpy().copy() for name, x in average.items()}}), 0
    module.train()
    for number, batch in enumerate(batches, start=1):
        losses = case.losses(module, cfg, batch)
        course.losses.append([loss.item() for loss in losses])
        (sum(losses) / cfg.accumulate_step).backward()
        if number % cfg.accumulate_step == 0:
            torch.nn.utils.clip_grad_norm_(learning, cfg.grad_clip)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            decay = min(cfg.ema_decay, (1 + updates) / (10 + updates))
            for name, x in tracked.items():
                average[name].lerp_(x, 1 - decay)
            updates += 1
        if number in marks:
            course.averages[number] = {name: x.numpy().copy() for name, x in average.items()}
    return course


def _sgd(learning: list, cfg: Config) -> torch.optim.Optimizer:
    return torch.optim.SGD(learning, cfg.lr, cfg.momentum, weight_decay=cfg.weight_decay)


def _adamw(learning: list, cfg: Config) -> torch.optim.Optimizer:
    return torch.optim.AdamW(learning, cfg.lr, (cfg.beta1, cfg.beta2), weight_decay=cfg.weight_decay)


OPTIMIZERS = {"sgd": _sgd, "adamw": _adamw}


def _schedule(optimizer: torch.optim.Optimizer, cfg: Config, steps_per_epoch: int) -> lr_scheduler.LRScheduler:
    """Linear warm-up times multistep or cosine to zero, by update."""
    warmup = lr_scheduler.LinearLR(optimizer, cfg.warmup_ratio, total_iters=cfg.warmup_step)
    if cfg.lr_type == "multistep":
        steps = [epoch * steps_per_epoch // cfg.accumulate_step for epoch in cfg.lr_steps]
        return lr_scheduler.ChainedScheduler([warmup, lr_scheduler.MultiStepLR(optimizer, steps)])
    updates = math.ceil(cfg.epoch_size * steps_per_epoch / cfg.accumulate_step)
    return lr_scheduler.ChainedScheduler([warmup, lr_scheduler.CosineAnnealingLR(optimizer, updates)])


def gap(one: Course, reference: Course, step: int) -> float:
    """How far their moving averages are apart, as a share of the way that the reference's has come: the larger of that
    of the weights, all together, and that of the running statistics, which are larger numbers.
    """
    first, last, other = reference.averages[0], reference.averages[step], one.averages[step]
    running = [name for name in last if "running_" in name]
    shares = []
    for names in (running, [name for name in last if name not in running]):
        way = _distance(last, first, names)
        shares.append(_distance(other, last, names) / way if way else 0.0)  # frozen statistics stay
    return max(shares)


def _distance(a: dict[str, np.ndarray], b: dict[str, np.ndarray], names: Sequence[str]) -> float:
    return math.sqrt(sum(float(((a[name] - b[name]).astype(np.float64) ** 2).sum()) for name in names))
