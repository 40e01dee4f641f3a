"""MindSpore's scheduler: under mpirun it lives as long as rank 0, under msrun as long as any worker."""

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ..errors import UserError

WAIT = 60.0  # seconds until it listens
POLL = 0.5  # seconds
OPEN_MPI_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_")
PR_SET_PDEATHSIG = 1  # Linux' prctl
# While it waits for the ranks no Python code of the scheduler's process runs, a thread neither, so a process between
# rank 0 and it does what must be done: should rank 0 end without a word, the kernel ends both. After an orderly end of
# rank 0 the other ranks still need the scheduler for a moment. Signals to rank 0's process group (mpirun's, Ctrl-C) are
# for the rank, which still needs its scheduler to stop in good order.
GUARD = """
import ctypes, os, signal, subprocess, sys, threading, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
prctl = ctypes.CDLL(None).prctl
prctl(1, signal.SIGKILL)
scheduler = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=lambda: prctl(1, signal.SIGKILL))
def wait():
    status = scheduler.wait()
    os._exit(128 - status if status < 0 else status)
threading.Thread(target=wait, daemon=True).start()
if sys.stdin.readline():
    prctl(1, 0)
    time.sleep(10)
scheduler.kill()
time.sleep(10)
"""
SCHEDULER = """
import mindspore as ms
ms.set_device("CPU")
from mindspore.communication import init
init()
"""


def start_scheduler(host: str, size: int) -> tuple[str, int, subprocess.Popen]:
    """Start it for `size` ranks: its address, once it listens there, and the process that ends when it does.

    The wait saves a worker that would connect too early up to a minute of retries. Call from the main thread: what
    ties a process to its parent ties it to the thread that has started it. UserError where it does not come up.
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OPEN_MPI_PREFIXES)}
    environment.update(MS_ROLE="MS_SCHED", MS_WORKER_NUM=str(size), MS_SCHED_HOST=host, MS_SCHED_PORT=str(port))
    command = [sys.executable, "-I", "-S", "-c", GUARD, sys.executable, "-c", SCHEDULER]
    guard = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    atexit.register(_say_goodbye, guard)
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline and guard.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return host, port, guard
        time.sleep(0.2)
    raise UserError(f"MindSpore's scheduler did not listen on {host}:{port} within {WAIT:.0f} s")


def stand_by_workers(patience: float, farewell: float) -> int:
    """In the process that msrun starts as the scheduler: the scheduler, until no worker beside it is left. Exit status.

    By itself it waits for the good-bye of every worker and takes it for a failure where one has ended without.
    patience: seconds in which the first worker is to be seen; after them all have died before. farewell: seconds that
    the scheduler then has for the good-byes of workers on other machines.
    """
    end_too = f"import ctypes; ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(signal.SIGKILL)})\n"
    latest = time.monotonic() + patience
    with subprocess.Popen([sys.executable, "-c", end_too + SCHEDULER], stdin=subprocess.DEVNULL) as scheduler:
        while scheduler.poll() is None:
            if siblings("MS_WORKER"):
                latest = 0.0
            elif time.monotonic() > latest:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    scheduler.wait(farewell)
                scheduler.kill()
                return 0
            time.sleep(POLL)
    return 128 - scheduler.returncode if scheduler.returncode < 0 else scheduler.returncode


def siblings(role: str) -> list[int]:
    """Processes of this MS_ROLE that the parent of this one has started and that are alive (Linux)."""
    parent, found = os.getppid(), []
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with contextlib.suppress(OSError):  # it has just ended
                variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                if f"MS_ROLE={role}".encode() in variables and state not in "ZX":
                    found.append(int(pid))
    return found


def end_with_parent() -> None:
    """From now on the kernel kills this process when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _say_goodbye(guard: subprocess.Popen) -> None:
    with contextlib.suppress(OSError):
        guard.stdin.write(b"bye\n")
        guard.stdin.flush()
