"""The scheduler's process, with a stand-in for MindSpore's: who ends it, and when."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.errors import UserError
from src.process import scheduler

# A stand-in that, as MindSpore's, runs no other thread's Python code and heeds no signal.
STAND_IN = """
import os, signal, socket, time
place = os.environ["MS_SCHED_HOST"], int(os.environ["MS_SCHED_PORT"])
listener = socket.create_server(place)
while True:
    listener.accept()[0].close()
"""
RANK_0 = f"""
import sys, time
from src.process import scheduler
scheduler.SCHEDULER = {STAND_IN!r}
_, port, guard = scheduler.start_scheduler("127.0.0.1", 2)
print(port, guard.pid, flush=True)
sys.stdin.read()
"""
MSRUN = f"""
import os, subprocess, sys
from src.process import scheduler
program = "import sys; from src.process import scheduler; scheduler.SCHEDULER = sys.argv[1]; "
program += "sys.exit(scheduler.stand_by_workers(float(sys.argv[2]), 1))"
def start(role, *command):
    return subprocess.Popen([sys.executable, "-c", *command], env=dict(os.environ, MS_ROLE=role))
count = int(sys.argv[1])
first = start("MS_SCHED", program, {STAND_IN!r}, "inf" if count else "3")
workers = [start("MS_WORKER", "import time; time.sleep(60)") for _ in range(count)]
print(first.pid, *[worker.pid for worker in workers], flush=True)
print(first.wait(), flush=True)
for worker in workers:
    worker.kill()
"""


@pytest.fixture()
def msrun(monkeypatch, request):
    """A process that has started a scheduler and two workers as msrun does; (process, port, their numbers).

    Or so many workers as the test's parameter says; without any the scheduler's process has patience for 3 seconds.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MS_SCHED_HOST", "127.0.0.1")
    monkeypatch.setenv("MS_SCHED_PORT", str(port))
    command, root = [sys.executable, "-c", MSRUN, str(getattr(request, "param", 2))], Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        numbers = [int(word) for word in process.stdout.readline().split()]
        deadline = time.monotonic() + 20
        while not listens(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, port, numbers
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    assert closes(port, 3)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


@pytest.fixture()
def rank_0():
    """A process that has started a scheduler; (process, port, the number of the scheduler's guard)."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", RANK_0]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        port, guard = map(int, process.stdout.readline().split())
        assert listens(port)
        yield process, port, guard
        process.kill()
    assert closes(port, 15)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def closes(port: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not listens(port)


def test_the_scheduler_ends_at_once_with_a_rank_0_that_is_killed(rank_0):
    process, port, _ = rank_0
    process.kill()
    assert closes(port, 3)


def test_the_scheduler_ends_with_its_guard(rank_0):
    _, port, guard = rank_0
    os.kill(guard, signal.SIGTERM)  # is for rank 0
    time.sleep(0.2)
    assert listens(port)
    os.kill(guard, signal.SIGKILL)
    assert closes(port, 3)


@pytest.mark.slow
def test_the_other_ranks_have_the_scheduler_for_a_moment_after_rank_0_has_ended_well(rank_0):
    process, port, _ = rank_0
    process.stdin.close()
    process.wait()
    time.sleep(1)
    assert listens(port) and closes(port, 15)


def test_the_scheduler_of_msrun_ends_well_with_the_last_worker_however_that_has_ended(msrun):
    process, port, (_, *workers) = msrun
    os.kill(workers[0], signal.SIGKILL)
    time.sleep(1)
    assert listens(port)
    os.kill(workers[1], signal.SIGKILL)
    assert process.stdout.readline() == "0\n" and not listens(port)


@pytest.mark.parametrize("msrun", [0], indirect=True)
def test_the_scheduler_of_msrun_does_not_wait_for_workers_that_died_before_it_looked(msrun):
    process, port, _ = msrun
    assert process.stdout.readline() == "0\n" and not listens(port)


def test_a_scheduler_of_msrun_that_dies_is_a_failure(msrun):
    process, _, (first, *_) = msrun
    os.kill(child_of(first), signal.SIGKILL)
    assert process.stdout.readline() == "137\n"


def test_the_scheduler_of_msrun_ends_with_the_process_that_msrun_has_started(msrun):
    process, port, (first, *_) = msrun
    os.kill(first, signal.SIGKILL)
    assert process.stdout.readline() == "-9\n" and closes(port, 3)


def test_a_scheduler_that_does_not_come_up_is_one_line(monkeypatch):
    monkeypatch.setattr(scheduler, "SCHEDULER", "raise SystemExit(3)")
    with pytest.raises(UserError, match=r"MindSpore's scheduler did not listen on 127.0.0.1:\d+ within 60 s"):
        scheduler.start_scheduler("127.0.0.1", 2)
