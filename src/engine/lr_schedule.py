"""The learning rate of every optimizer step, computed before training starts."""

import math
from collections.abc import Sequence

import numpy as np


def learning_rates(
    kind: str,
    base: float,
    num_steps: int,
    steps_per_epoch: float,
    lr_steps: Sequence[int] = (),
    warmup_steps: int = 0,
    warmup_ratio: float = 0.0,
    minimum: float = 0.0,
    power: float = 0.9,
) -> np.ndarray:
    """(num_steps,) float32.

    kind: 'multistep' (a tenth after each of the epochs `lr_steps`), 'cosine' (from `base` to `minimum` over the whole
        run), 'linear' (from `base` at the end of the warm-up to `minimum`) or 'poly' (base * (1 - step / num_steps) **
        power, not below `minimum`; the HRNet authors' `adjust_learning_rate`).
    Warm-up multiplies by a factor that rises linearly from `warmup_ratio`; the seeds' logs fix its phase: step n
    (counted from 1) has the factor warmup_ratio + (1 - warmup_ratio) * n / warmup_steps.
    """
    rates = np.empty(num_steps)
    for step in range(num_steps):
        if kind == "multistep":
            passed = sum(step >= epoch * steps_per_epoch for epoch in lr_steps)
            rate = base * 0.1**passed
        elif kind == "linear":
            decaying = max(num_steps - warmup_steps, 1)
            rate = base - (base - minimum) * max(step - warmup_steps, 0) / decaying
        elif kind == "poly":
            rate = max(base * (1 - step / max(num_steps, 1)) ** power, minimum)
        else:
            rate = minimum + 0.5 * (base - minimum) * (1 + math.cos(math.pi * step / max(num_steps, 1)))
        if step + 1 < warmup_steps:
            rate *= warmup_ratio + (1 - warmup_ratio) * (step + 1) / warmup_steps
        rates[step] = rate
    return rates.astype(np.float32)
