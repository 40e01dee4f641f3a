"""Epochs and learning rates over the steps of a run, computed before training starts."""

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
        """Learning rate of that step; of one past the end, as a shortened run may have, the last one."""
        return float(self.rates[min((done - 1) // self.accumulate, len(self.rates) - 1)])


def learning_rates(policy: LrPolicy, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """(num_steps,) float32."""
    rates = DECAYS[policy.kind](policy, np.arange(num_steps), num_steps, steps_per_epoch)
    warming = rates[: max(policy.warmup_steps - 1, 0)]
    warming *= policy.warmup_ratio + (1 - policy.warmup_ratio) * np.arange(1, len(warming) + 1) / policy.warmup_steps
    return rates.astype(np.float32)


def _multistep(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """A tenth after each of the epochs `lr_steps`."""
    passed = np.searchsorted(np.sort(np.float64(policy.lr_steps) * steps_per_epoch), steps, side="right")
    return np.array([policy.base * 0.1**count for count in range(len(policy.lr_steps) + 1)])[passed]


def _cosine(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """From `base` to `minimum` over the whole run."""
    half_turn = np.pi * steps / max(num_steps, 1)
    return policy.minimum + 0.5 * (policy.base - policy.minimum) * (1 + np.cos(half_turn))


def _linear(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """From `base` at the end of the warm-up to `minimum`."""
    decaying = max(num_steps - policy.warmup_steps, 1)
    return policy.base - (policy.base - policy.minimum) * np.maximum(steps - policy.warmup_steps, 0) / decaying


def _poly(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """base * (1 - step / num_steps) ** power, not below `minimum`: the HRNet authors' `adjust_learning_rate`."""
    return np.maximum(policy.base * (1 - steps / max(num_steps, 1)) ** policy.power, policy.minimum)


# (policy, steps from 0, num_steps, steps_per_epoch) -> the rate of each of the steps, float64
Decay = Callable[[LrPolicy, np.ndarray, int, float], np.ndarray]
DECAYS: dict[str, Decay] = {
    "multistep": _multistep, "cosine": _cosine, "cos": _cosine, "linear": _linear, "poly": _poly,
}  # fmt: skip
