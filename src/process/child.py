"""A module of this package in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LAUNCHERS = ("OMPI_", "PMIX_", "PMI_", "MS_ROLE", "MS_SCHED", "MS_WORKER", "MS_NODE", "RANK_")  # begin their variables


def run_module(name: str, arguments: Sequence[str]) -> subprocess.CompletedProcess:
    """Run the module `name` (dotted, below this package) with these arguments, paths in it absolute, and wait for it.

    It is no rank of a distributed job, whatever this process is. Its output is kept: `stdout`, `stderr`.
    """
    package, _, _ = __package__.partition(".")
    root = Path(__file__).parents[2]  # of the package
    line = [sys.executable, "-m", f"{package}.{name}", *arguments]
    variables = {key: value for key, value in os.environ.items() if not key.startswith(LAUNCHERS)}
    return subprocess.run(
        line, cwd=root, env=variables, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
