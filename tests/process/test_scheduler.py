"""The scheduler's process, with a stand-in for MindSpore's: who ends it, and when."""

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


def test_a_scheduler_that_does_not_come_up_is_one_line(monkeypatch):
    monkeypatch.setattr(scheduler, "SCHEDULER", "raise SystemExit(3)")
    with pytest.raises(UserError, match=r"MindSpore's scheduler did not listen on 127.0.0.1:\d+ within 60 s"):
        scheduler.start_scheduler("127.0.0.1", 2)
