"""Two ranks of which one is killed at a random step; started again by the launcher they end with the same losses."""

import os
import random
import signal
import time

import pytest

from tests.end_to_end.commands import table
from tests.end_to_end.test_distributed import Job, place  # noqa: F401 (a fixture)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_that_lost_a_rank_ends_with_the_losses_of_an_undisturbed_one(place, tmp_path):  # noqa: F811
    keys = (*("--epoch_size", 4), *("--save_every", 2), *("--run_eval", 0), *("--frozen_parts", "[backbone]"))
    assert Job(place, *keys, "--train_outputs", place / "out" / "whole").end(400)[0] == 0
    rng = random.Random()
    step, rank = rng.randint(1, 8), rng.randint(0, 1)  # of 12; the job does not end before the signal comes
    print(f"rank {rank} is killed after step {step}")
    job = Job(place, *keys, "--train_outputs", place / "out" / "killed", MAX_RESTARTS="1")
    job.outputs = place / "out" / "killed"
    deadline = time.monotonic() + 400
    while sum(path.read_bytes().count(b"\n") - 1 for path in job.outputs.glob("*/losses.csv")) < step:
        assert job.process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    (victim,) = job.pids(rank)
    os.kill(victim, signal.SIGKILL)
    status, output = job.end(400)
    assert status == 0, output[-3000:]
    assert output.count("restart 1 of 1, ") == 1
    (whole,), (killed,) = ((place / "out" / name).glob("*/losses.csv") for name in ("whole", "killed"))
    assert len(table(whole)) == 12 and table(killed) == table(whole)
