"""A distributed run by its launcher: stopped, killed, resumed by another launcher, equal to a run of one process."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from src.checkpoint import read_checkpoint
from tests.end_to_end.commands import ROOT, losses, run

pytestmark = pytest.mark.slow

BATCH, TRAIN_IMAGES, EPOCHS = 4, 24, 20  # of one rank; 3 steps an epoch
CONFIG = """
_base_: {demo}
input_size: 32
eval_resize: 32
backbone: {{type: resnet, depth: 18, base_channels: 8, norm_eval: 1}}
cls_head: {{head_channels: [4, 4, 4, 4], final_channels: 16}}
opt_type: momentum
lr: 0.01
test_batch_size: 4
epoch_size: {epochs}
eval_every: {eval_every}
log_every: 1
save_every: 1
"""
CLUSTER_ENDS = "Event base dispatch success"  # what MindSpore says in the end of its cluster, of which some ranks die


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and a configuration whose batch normalisations are frozen."""
    folder = tmp_path_factory.mktemp("ranks")
    images = ("--images", TRAIN_IMAGES, "--val-images", 13, "--size", 40)
    run("-m", "src.data.synthetic", "imagenet", folder / "data", *images)
    demo = ROOT / "configs" / "demo" / "hrnet_cls_shapes.yaml"
    (folder / "config.yaml").write_text(CONFIG.format(demo=demo, epochs=EPOCHS, eval_every=EPOCHS // 2))
    return folder


@pytest.fixture(scope="module")
def alone(place):
    """Folder of a run of one process on the whole batches."""
    folders = ("--train_dataset", place / "data" / "train", "--val_dataset", place / "data" / "val")
    keys = ("--batch_size", 2 * BATCH, "--train_outputs", place / "alone", "--brief", "run")
    run("train.py", "--config_path", place / "config.yaml", *folders, *keys)
    return next((place / "alone").iterdir())


class Job:
    """The launcher for two ranks, started in the background."""

    def __init__(self, place: Path, *more: object, **environment: str):
        script = ROOT / "scripts" / "run_distribute_train_cpu.sh"
        arguments = ("config.yaml", 2, "data/train", "data/val", "out", "run", "--batch_size", BATCH, *more)
        self.outputs = place / "out"
        self.process = subprocess.Popen(
            ["bash", str(script), *map(str, arguments)],
            cwd=place,
            env={**os.environ, "PYTHON": sys.executable, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def folder(self) -> Path:
        return next(path for path in self.outputs.iterdir() if path.name != "launch_logs")

    def wait_for_epoch(self, epoch: int) -> None:
        """Until there is a checkpoint of the epoch."""
        deadline = time.monotonic() + 200
        while not list(self.outputs.glob(f"*/ckpt/epoch_{epoch:04d}_*.ckpt")):
            assert self.process.poll() is None, self.process.stdout.read()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Exit status and output, which must come within the time."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        finally:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)
        return self.process.returncode, output

    def pids(self, rank: int | None = None) -> list[int]:
        """Processes of this job's ranks, or of one rank, that are alive."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            is_ours = words[1:2] == [b"train.py"] and str(self.outputs).encode() in words
            if is_ours and (rank is None or f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment):
                found.append(int(entry.name))
        return found


@pytest.fixture(scope="module")
def chain(place):
    """Three launches of one run: the first stopped by SIGTERM, of the second a rank killed, the third to the end."""
    first = Job(place)
    first.wait_for_epoch(4)
    first.process.send_signal(signal.SIGTERM)
    outcomes = [first.end()]
    second = Job(place, "--resume", 1)
    second.wait_for_epoch(EPOCHS // 2 + 1)
    (victim,) = second.pids(rank=1)
    os.kill(victim, signal.SIGKILL)
    outcomes.append(second.end())
    third = Job(place, "--resume", 1, LAUNCHER="msrun")
    outcomes.append(third.end(200))
    return outcomes, third.folder


def test_sigterm_to_the_launcher_stops_all_ranks_with_a_checkpoint(chain):
    status, output = chain[0][0]
    assert status == 143, output[-3000:]
    assert "Stopped by signal 15; the same command with --resume 1 goes on" in output
    assert CLUSTER_ENDS not in output


def test_a_killed_rank_ends_the_job_within_a_minute(chain):
    status, output = chain[0][1]
    assert status not in (0, None), output[-3000:]
    assert "Resumed from" in output


def test_the_other_launcher_goes_on_to_the_end(chain, place):
    status, output = chain[0][2]
    assert status == 0, output[-3000:]
    logs = sorted((place / "out" / "launch_logs").iterdir())
    assert {path.name for path in logs[0].iterdir()} == {"rank_0.log", "rank_1.log"}
    assert {"worker_0.log", "worker_1.log", "scheduler.log"} <= {path.name for path in logs[2].iterdir()}
    assert CLUSTER_ENDS not in (logs[2] / "worker_1.log").read_text()


def test_two_ranks_with_half_the_batch_equal_one_with_the_whole(chain, alone):
    together = chain[1]
    expected, found = losses(alone), losses(together)
    assert [row["global_step"] for row in found] == [str(step) for step in range(1, 3 * EPOCHS + 1)]
    for name in ("lr", "loss"):
        values = [[float(row[name]) for row in rows] for rows in (found, expected)]
        np.testing.assert_allclose(*values, rtol=2e-4)
    last = f"epoch_{EPOCHS:04d}_step_0000003.ckpt"
    states = [read_checkpoint(folder / "ckpt" / last) for folder in (together, alone)]
    for name, value in states[1].items():
        difference = np.linalg.norm(states[0][name] - value) / max(np.linalg.norm(value), 1e-3)
        assert difference < (2e-2 if name.startswith("state/moments.") else 1e-3), name


def test_evaluation_shared_by_the_ranks_counts_every_image_once(chain, alone):
    metrics = []
    for folder in (chain[1], alone):
        found = re.findall(r"Result metrics for epoch (\d+): \{'Loss': ([\d.]+), 'Top_1_Acc': ([\d.]+)", log(folder))
        metrics.append({int(epoch): (float(loss), float(accuracy)) for epoch, loss, accuracy in found})
    assert sorted(metrics[0]) == [EPOCHS // 2, EPOCHS]
    for epoch, (loss, accuracy) in metrics[1].items():
        assert metrics[0][epoch] == (pytest.approx(loss, rel=1e-3), accuracy)


def test_a_run_goes_on_with_two_ranks_and_with_one_again_as_one_rank_does(place):
    """Four epochs alone; four more by two ranks, then four by one: twelve steps each, beside a run that stays alone."""
    folders = ("--train_dataset", place / "data" / "train", "--val_dataset", place / "data" / "val")
    alone = ("train.py", "--config_path", place / "config.yaml", *folders, "--batch_size", 2 * BATCH)
    run(*alone, "--train_outputs", place / "first", "--brief", "run", "--end_epoch", 4)
    one = next((place / "first").iterdir())
    other = place / "other" / one.name
    shutil.copytree(one, other)
    status, output = Job(place, "--resume", other, "--end_epoch", 8).end(200)
    assert status == 0, output[-3000:]
    assert "The run goes on with 2 ranks of batch_size 4 (1 of 8 before): the same 8 images a step" in output
    said = run(*alone, "--resume", other, "--end_epoch", 12)
    assert "The run goes on with 1 ranks of batch_size 8 (2 of 4 before): the same 8 images a step" in said
    run(*alone, "--resume", one, "--end_epoch", 12)
    expected, found = losses(one), losses(other)
    assert [row["global_step"] for row in found] == [str(step) for step in range(1, 37)]
    for name in ("epoch", "step", "lr", "loss"):
        values = [[float(row[name]) for row in rows] for rows in (found, expected)]
        np.testing.assert_allclose(*values, rtol=0 if name in ("epoch", "step") else 1e-3)
    assert found[:12] == expected[:12] and found[12:] != expected[12:]


def log(folder: Path) -> str:
    return (folder / "train.log").read_text()
