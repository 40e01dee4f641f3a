"""Threads of OpenMP, which oneDNN's convolutions run on, beside those of MindSpore's own pool."""

import contextlib
import os
from collections.abc import Iterator

VARIABLES = ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")
SPINS = "2000"  # rounds that an idle thread waits awake: longer takes the cores from MindSpore's threads


def share_cores() -> None:
    """Give OpenMP this process's part of the machine's cores and let its idle threads sleep; the user's settings win.

    Call before MindSpore is imported: OpenMP reads its settings once, when its library is loaded.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(_own_cores()))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextlib.contextmanager
def cores_shared() -> Iterator[None]:
    """`share_cores` in somebody else's program, while MindSpore and with it OpenMP is loaded: what was not set is not
    set afterwards.
    """
    unset = [name for name in VARIABLES if name not in os.environ]
    share_cores()
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


def _own_cores() -> int:
    """Cores of the machine by its ranks, and no more than this process may run on (launchers may bind each rank)."""
    msrun = os.environ.get("MS_WORKER_NUM") if "MS_ROLE" in os.environ else None
    ranks = int(os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") or msrun or 1)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, (os.cpu_count() or 1) // ranks))
