"""Epochs and learning rates over the steps of a run, computed before training starts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LrPolicy:
    """kind: an entry of `DECAYS`. base: the rate after the warm-up. lr_steps: epochs after which 'multistep' falls.

    Warm-up multiplies by a factor that rises linearly from `warmup_ratio`; the seeds' logs fix its phase: step n
    (counted from 1) has the factor warmup_ratio + (1 - warmup_ratio) * n / warmup_steps.
    minimum: what the other kinds fall to. power: of 'poly'.
    """

    kind: str
    base: float
    lr_steps: Sequence[int] = ()
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    minimum: float = 0.0
    power: float = 0.9


@dataclass(frozen=True)
class Schedule:
    """Where each step of a run lies. rates: of each update, which is made of `accumulate` steps."""

    steps_per_epoch: int
    rates: np.ndarray
    accumulate: int = 1

    def position(self, done: int) -> tuple[int, int]:
        """(epoch, step within it), both from 1, of the step that made `done` steps complete."""
        epoch, step_of_epoch = divmod(done - 1, self.steps_per_epoch)
        return epoch + 1, step_of_epoch + 1

    def rate(self, done: int) -> float:
        """Learning rate of that step."""
        return float(self.rates[(done - 1) // self.accumulate])


def learning_rates(policy: LrPolicy, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """(num_steps,) float32."""
    decay = DECAYS[policy.kind]
    rates = np.empty(num_steps)
    for step in range(num_steps):
        rate = decay(policy, step, num_steps, steps_per_epoch)
        if step + 1 < policy.warmup_steps:
            rate *= policy.warmup_ratio + (1 - policy.warmup_ratio) * (step + 1) / policy.warmup_steps
        rates[step] = rate
    return rates.astype(np.float32)


def _multistep(policy: LrPolicy, step: int, num_steps: int, steps_per_epoch: float) -> float:
    """A tenth after each of the epochs `lr_steps`."""
    passed = sum(step >= epoch * steps_per_epoch for epoch in policy.lr_steps)
    return policy.base * 0.1**passed


def _cosine(policy: LrPolicy, step: int, num_steps: int, steps_per_epoch: float) -> float:
    """From `base` to `minimum` over the whole run."""
    half_turn = math.pi * step / max(num_steps, 1)
    return policy.minimum + 0.5 * (policy.base - policy.minimum) * (1 + math.cos(half_turn))


def _linear(policy: LrPolicy, step: int, num_steps: int, steps_per_epoch: float) -> float:
    """From `base` at the end of the warm-up to `minimum`."""
    decaying = max(num_steps - policy.warmup_steps, 1)
    return policy.base - (policy.base - policy.minimum) * max(step - policy.warmup_steps, 0) / decaying


def _poly(policy: LrPolicy, step: int, num_steps: int, steps_per_epoch: float) -> float:
    """base * (1 - step / num_steps) ** power, not below `minimum`: the HRNet authors' `adjust_learning_rate`."""
    return max(policy.base * (1 - step / max(num_steps, 1)) ** policy.power, policy.minimum)


Decay = Callable[[LrPolicy, int, int, float], float]  # (policy, step from 0, num_steps, steps_per_epoch) -> rate
DECAYS: dict[str, Decay] = {
    "multistep": _multistep, "cosine": _cosine, "cos": _cosine, "linear": _linear, "poly": _poly,
}  # fmt: skip
