"""Times of two sides, in turn, so that a busy machine or a card's clock reaches both."""

import statistics
import time
from collections.abc import Callable

import torch

ROUNDS = 7
LEAST_MS = 20.0  # that a side takes a round, by calling it more than once


def both_ms(ours: Callable, theirs: Callable, device: str) -> tuple[float, float]:
    """Median milliseconds a call of each; on a GPU by its own clock."""
    take = _gpu_ms if device == "cuda" else _cpu_ms
    sides = (ours, theirs)
    for side in sides:
        take(side, 3)  # not counted
    repeats = [max(1, min(200, round(LEAST_MS / max(take(side, 1), 1e-3)))) for side in sides]
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for side, count, times in zip(sides, repeats, found):
            times.append(take(side, count))
    return statistics.median(found[0]), statistics.median(found[1])


def _gpu_ms(call: Callable, count: int) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / count


def _cpu_ms(call: Callable, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return 1000 * (time.perf_counter() - started) / count
