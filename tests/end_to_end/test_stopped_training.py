"""A training whose reader goes, whose terminal goes, and which therefore is stopped: nothing of it is lost."""

import os
import signal
import subprocess
import time

import pytest

from tests.end_to_end.commands import ROOT, command_line, losses, table
from tests.end_to_end.random_kills import Case

TAKES_ITS_LOCK_ALONG = """
import multiprocessing
import time
from multiprocessing.synchronize import Event

whole = Event.is_set

def is_set(self):
    if multiprocessing.parent_process():  # in a data worker, which asks for its end all the time
        with self._cond:
            time.sleep(0.3)
    return whole(self)

Event.is_set = is_set
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["the terminal goes", "the job is ended"])
def test_a_training_goes_on_without_its_reader_and_saves_its_state_though_its_workers_die_with_a_lock(
    number, tmp_path
):
    case = Case("classifier", tmp_path, epochs=500)
    workers = ("--python_multiprocessing", 1, "--num_parallel_workers", 2)  # which get the terminal's signal too
    command = command_line(*case.words, "--train_outputs", tmp_path / "out", *workers)
    (tmp_path / "sitecustomize.py").write_text(TAKES_ITS_LOCK_ALONG)
    variables = os.environ | {"PYTHONPATH": str(tmp_path)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=variables
    )
    try:
        assert process.stdout.readline()
        process.stdout.close()
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("out/*/metrics.csv")):  # its first evaluation prints
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number and "Traceback" not in said, said
    (folder,) = (tmp_path / "out").iterdir()
    rows, last = losses(folder), max(path.name for path in (folder / "ckpt").iterdir())
    assert last == f"epoch_{int(rows[-1]['epoch']):04d}_step_{int(rows[-1]['step']):07d}.ckpt"
    assert len(rows) == int(rows[-1]["global_step"]) and table(folder / "metrics.csv")
    log = (folder / "train.log").read_text()
    assert f"Stopped by signal {number};" in log.splitlines()[-1] and "Result metrics for epoch 1" in log
    assert not [path for path in folder.rglob(".*")]
