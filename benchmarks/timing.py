"""Wall time of a call, for the benchmarks here."""

import statistics
import time
from collections.abc import Callable


def median_ms(call: Callable[[], object], repeats: int = 5) -> float:
    """Median milliseconds of `repeats` calls after one that is not counted (it may compile)."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
