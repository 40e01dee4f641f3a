"""A job of two ranks of which one process is killed: all are gone within ten seconds, with one line of why."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.test_distributed import Job, place  # noqa: F401 (a fixture)

MARK = "MARK_OF_A_KILLED_JOB"
LIMIT = 10  # seconds
# What the other rank says, where it was just waiting for that one.
NOTICED = "error: rank {} has ended before the others; "


def processes(mark: str) -> dict[int, tuple[str, dict[str, str]]]:
    """Command line and environment of every process of a job that is alive."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            pairs = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if environment.get(MARK) == mark and state not in "ZX":
            found[int(entry.name)] = words, environment
    return found


def victim(job: Job, mark: str, which: str) -> int:
    if which == "launcher":
        return job.process.pid
    for pid, (words, environment) in processes(mark).items():
        is_worker = " train.py " in words and environment.get("MS_ROLE", "MS_WORKER") == "MS_WORKER"
        rank = environment.get("OMPI_COMM_WORLD_RANK", environment.get("MS_NODE_ID"))
        if {
            "rank 0": is_worker and rank == "0" and "run" not in words.split()[0],
            "rank 1": is_worker and rank == "1" and "run" not in words.split()[0],
            "scheduler": environment.get("MS_ROLE") == "MS_SCHED",
            "mpirun": any(name in " ".join(words.split()[:2]) for name in ("mpirun", "prterun", "msrun")) and not rank,
        }[which]:
            return pid
    raise AssertionError(f"no {which}: {processes(mark)}")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "launcher,which,line",
    [
        ("mpirun", "rank 0", "error: rank 0 was killed by signal 9; its log is in "),
        ("mpirun", "launcher", "error: the launcher was killed; its job is stopped"),
        ("mpirun", "mpirun", "error: mpirun has ended with status 137; its logs are in "),
        ("mpirun", "scheduler", "error: MindSpore's scheduler has ended"),
        ("msrun", "rank 1", "error: a rank was killed by signal 9; its log is in "),
        ("msrun", "launcher", "error: the launcher was killed; its job is stopped"),
        ("msrun", "mpirun", "error: msrun has ended with status 137; its logs are in "),
        ("msrun", "scheduler", "error: MindSpore's scheduler was killed; its log is in "),
    ],
)
def test_whoever_is_killed_all_are_gone_within_ten_seconds_with_one_line(place, tmp_path, launcher, which, line):  # noqa: F811
    mark = str(tmp_path)
    job = Job(place, "--epoch_size", 5000, "--train_outputs", tmp_path / "out", LAUNCHER=launcher, **{MARK: mark})
    try:
        deadline = time.monotonic() + 250
        while not any(path.stat().st_size > 500 for path in tmp_path.glob("out/*/losses.csv")):
            assert job.process.poll() is None, job.process.stdout.read()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(victim(job, mark, which), signal.SIGKILL)
        started = time.monotonic()
        while processes(mark) and time.monotonic() < started + 60:
            time.sleep(0.05)
        seconds = time.monotonic() - started
    finally:
        for pid in processes(mark):
            os.kill(pid, signal.SIGKILL)
    output, _ = job.process.communicate(timeout=10)
    print(f"{launcher}, {which} killed: all gone after {seconds:.1f} s")
    lines = [one for one in output.splitlines() if one.startswith(("error", "Traceback", "---", "[ERROR]"))]
    assert seconds < LIMIT and job.process.returncode not in (0, None)
    expected = (line, NOTICED.format(which[-1])) if which.startswith("rank") else line
    assert len(lines) == 1 and lines[0].startswith(expected), output[-3000:]
