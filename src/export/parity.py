"""Whether an exported file gives the network's outputs."""

import logging
from collections.abc import Callable

import numpy as np

from src.errors import UserError
from src.inference.backends import ExportedModel, run_model

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of the largest output, where outputs are above 1

Inputs = dict[str, np.ndarray]
Compare = Callable[[str, tuple[np.ndarray, ...], tuple[np.ndarray, ...]], str]


def assert_parity(model, exported: ExportedModel, cases: dict[str, Inputs], compare: Compare) -> None:
    """Run both on every case and log the largest differences; UserError where they are above tolerance.

    compare(case, expected outputs, found outputs): one line with the differences, or UserError.
    """
    for name, inputs in cases.items():
        expected, found = run_model(model, *inputs.values()), run_model(exported, *inputs.values())
        logger.info("%s: %s", name, compare(name, expected, found))


def compare_dense(case: str, expected: tuple[np.ndarray, ...], found: tuple[np.ndarray, ...]) -> str:
    """Element by element, against the size of the output."""
    worst, limit = 0.0, TOLERANCE
    for left, right in zip(expected, found, strict=True):
        if left.shape != right.shape:
            raise UserError(f"{case}: the file gives {list(right.shape)}, the network {list(left.shape)}")
        difference = float(np.abs(left - right).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(left).max()))
        if not difference <= allowed:  # also for NaN
            raise UserError(
                f"{case}: the file differs from the network by {difference:.2e}, more than {allowed:.2e}; it is removed"
            )
        worst, limit = max(worst, difference), max(limit, allowed)
    return f"largest difference {worst:.2e} (allowed {limit:.2e})"
