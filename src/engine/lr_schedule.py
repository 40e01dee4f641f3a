"""Epochs and learning rates over the steps of a run, computed before training starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LrPolicy:
    """kind: an entry of `DECAYS`. base: the rate after the warm-up. lr_steps: epochs after which 'multistep' falls.

    Warm-up multiplies by a factor that rises linearly from `warmup_ratio`: step n has the factor warmup_ratio +
    (1 - warmup_ratio) * n / warmup_steps. first_step: what n counts from: 1, as the seeds' logs fix it, or 0 as in the
    MindSpore originals, whose first step has the lowest rate itself.
    minimum: what the other kinds fall to. power: of 'poly'.
    curve_steps: updates over which they fall, 0 for those of the run; past them the rate stays.
    """

    kind: str
    base: float
    lr_steps: Sequence[int] = ()
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    minimum: float = 0.0
    power: float = 0.9
    first_step: int = 1
    curve_steps: int = 0


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
    """(num_steps,) float32, worked out in float64 as the originals do."""
    curve = policy.curve_steps or num_steps
    steps = np.minimum(np.arange(num_steps), curve - 1) if policy.curve_steps else np.arange(num_steps)
    rates = DECAYS[policy.kind](policy, steps, curve, steps_per_epoch)
    warming = rates[: max(policy.warmup_steps - policy.first_step, 0)]
    number = np.arange(policy.first_step, policy.first_step + len(warming))
    warming *= policy.warmup_ratio + (1 - policy.warmup_ratio) * number / policy.warmup_steps
    return rates.astype(np.float32)


def _multistep(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """A tenth after each of the epochs `lr_steps`."""
    passed = np.searchsorted(np.sort(np.float64(policy.lr_steps) * steps_per_epoch), steps, side="right")
    return np.array([policy.base * 0.1**count for count in range(len(policy.lr_steps) + 1)])[passed]


def _cosine(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """From `base` to `minimum` over the whole run."""
    half_turn = np.pi * steps / max(num_steps, 1)
    return policy.minimum + 0.5 * (policy.base - policy.minimum) * (1 + np.cos(half_turn))


def _cosine_after_warmup(
    policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float
) -> np.ndarray:
    """From `base` at the end of the warm-up on a half turn of `num_steps` steps, whose last ones are never reached
    (MindSpore's MaskRCNN and pointrend).
    """
    half_turn = np.maximum(steps - policy.warmup_steps, 0) / num_steps * np.pi
    return policy.minimum + (1 + np.cos(half_turn)) / 2 * (policy.base - policy.minimum)


def _linear(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """From `base` at the end of the warm-up to `minimum`."""
    decaying = max(num_steps - policy.warmup_steps, 1)
    return policy.base - (policy.base - policy.minimum) * np.maximum(steps - policy.warmup_steps, 0) / decaying


def _poly(policy: LrPolicy, steps: np.ndarray, num_steps: int, steps_per_epoch: float) -> np.ndarray:
    """base * (1 - step / num_steps) ** power, not below `minimum`: the HRNet authors' `adjust_learning_rate`."""
    left = 1 - steps / max(num_steps, 1)
    left **= policy.power  # in place its last bits never depend on where in memory it lies, see `probabilities`
    return np.maximum(policy.base * left, policy.minimum)


# (policy, steps from 0, steps of the curve, steps_per_epoch) -> the rate of each of the steps, float64
Decay = Callable[[LrPolicy, np.ndarray, int, float], np.ndarray]
DECAYS: dict[str, Decay] = {
    "multistep": _multistep, "cosine": _cosine, "cos": _cosine, "linear": _linear, "poly": _poly,
    "cosine_after_warmup": _cosine_after_warmup,
}  # fmt: skip
