"""Kills of a training run at random moments, each followed by a resume: at its end it must be the uninterrupted run.

    python -m tests.end_to_end.random_kills --model detector --kills 20 [--seed 1] [--folder KEPT]

A kill is SIGKILL to the process, as the kernel's out-of-memory killer sends it: before its first step (imports,
compilation, reading its state), some steps later, or when a temporary file is there, since a checkpoint, a table or a
picture is being written.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.checkpoint import read_checkpoint
from tests.end_to_end.commands import ROOT, command_line, table

MODELS = {  # data set, configuration, keys
    "classifier": ("imagenet", "configs/demo/hrnet_cls_shapes.yaml", (
        "--input_size", 32, "--eval_resize", 32, "--batch_size", 4, "--test_batch_size", 6, "--backbone.type", "resnet",
        "--backbone.depth", 18, "--backbone.base_channels", 4, "--cls_head.head_channels", "[4,4,4,4]",
        "--cls_head.final_channels", 16,
    )),
    "detector": ("coco", "tests/end_to_end/mask_rcnn_resnet_tiny.yaml", (
        "--filter_empty_gt", 0, "--python_multiprocessing", 1, "--num_parallel_workers", 2,
    )),
}  # fmt: skip
SCHEDULE = ("--save_every", 1, "--eval_every", 1, "--ema_decay", 0.9, "--keep_best_checkpoints_max", 2)
MOST_STEPS = 8  # after which a run is killed in any case, so that it does not end before it was killed often enough
EPOCHS_A_KILL = 3  # of 3 steps at least
LONGEST = 600.0  # seconds of one command
WORKERS_WAIT = 10.0  # seconds in which a killed run's data workers end


@dataclass
class Case:
    """A training command without its outputs, and a folder for all that it needs."""

    model: str
    folder: Path
    epochs: int

    def __post_init__(self) -> None:
        kind, config, keys = MODELS[self.model]
        data = self.folder / "data"
        make = ("-m", "src.data.synthetic", kind, data, "--images", 12, "--val-images", 4, "--size", 64, "--seed", 3)
        subprocess.run(command_line(*make), cwd=ROOT, check=True, capture_output=True, timeout=LONGEST)
        val = data / ("val" if kind == "imagenet" else "validation")
        self.words = ("train.py", "--config_path", config, "--train_dataset", data / "train", "--val_dataset", val,
                      "--compile_cache_path", self.folder / "graphs", *keys, *SCHEDULE,
                      "--epoch_size", self.epochs)  # fmt: skip

    def start(self, outputs: Path, resume: bool) -> subprocess.Popen:
        command = command_line(*self.words, "--train_outputs", outputs, "--resume", int(resume))
        variables = os.environ | {"MS_VISION_ZOO_COMPILE_CACHE": "1"}
        log = open(self.folder / "output.txt", "ab")  # noqa: SIM115
        return subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env=variables, close_fds=True
        )

    def run(self, outputs: Path, resume: bool = False) -> float:
        """Run to the end; seconds until there was a row of losses."""
        started = time.monotonic()
        process = self.start(outputs, resume)
        while process.poll() is None and not _rows(outputs):
            time.sleep(0.05)
        seconds = time.monotonic() - started
        assert process.wait(LONGEST) == 0, (self.folder / "output.txt").read_text(errors="replace")[-3000:]
        return seconds


def kill(case: Case, outputs: Path, startup: float, rng: random.Random, resume: bool) -> str:
    """Start (or resume) the run and kill it; when, in words. startup: seconds until the first step."""
    rows, files = _rows(outputs), set(_temporary(outputs))
    kind, seconds, count = rng.choice(("start", "step", "file")), rng.uniform(0, startup), rng.randint(1, 6)
    process = case.start(outputs, resume)
    started, seen = time.monotonic(), []
    while process.poll() is None:
        if kind == "start" and time.monotonic() - started > seconds:
            break
        if _rows(outputs) >= rows + (count if kind == "step" else MOST_STEPS):
            break
        if kind == "file":
            seen += [name for name in _temporary(outputs) if name not in files]
            files.update(seen)
            if len(seen) >= count:
                break
        time.sleep(0 if kind == "file" else 0.01)
    process.send_signal(signal.SIGKILL)
    status = process.wait()
    _wait_for_workers(process.pid)
    when = f"killed {time.monotonic() - started:.1f} s after its start, {_rows(outputs) - rows} steps later"
    return (when if len(seen) < count else f"{when}, while {seen[-1]} was there") if status else "ended by itself"


def differences(whole: Path, killed: Path) -> list[str]:
    """What is otherwise in the folder of a killed run than in that of one which was not."""
    found = []
    for name in ("losses.csv", "metrics.csv"):
        tables = [table(folder / name) for folder in (whole, killed)]
        if tables[0] != tables[1]:
            found.append(f"{name}: {len(tables[1])} rows, {len(tables[0])} in the uninterrupted run, or other numbers")
    listings = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (whole, killed)]
    if listings[0] != listings[1]:
        found.append(f"files: {sorted(set(listings[0]) ^ set(listings[1]))}")
    for name in {name for name in listings[0] if name.endswith(".ckpt")} & set(listings[1]):
        first, second = (read_checkpoint(folder / name) for folder in (whole, killed))
        if first.keys() != second.keys() or not all(np.array_equal(first[key], second[key]) for key in first):
            found.append(f"{name}: other numbers")
    return found


def try_kills(model: str, kills: int, seed: int, folder: Path, say=print) -> list[str]:
    """Kill a run so many times, resume it to its end, and compare: `differences`."""
    case, rng = Case(model, folder, epochs=(kills + 1) * EPOCHS_A_KILL), random.Random(seed)
    startup = case.run(folder / "whole")  # compiles its graphs
    say(f"uninterrupted: {startup:.1f} s until its first steps")
    outputs = folder / "killed"
    for number in range(kills):
        say(f"{number + 1}: {kill(case, outputs, startup, rng, resume=number > 0)}; {_position(outputs)}")
    case.run(outputs, resume=True)
    (whole,), (killed,) = ((folder / name).iterdir() for name in ("whole", "killed"))
    return differences(whole, killed)


def _position(outputs: Path) -> str:
    states = sorted(path.name for path in outputs.glob("*/ckpt/epoch_*.ckpt"))
    return states[-1] if states else "no checkpoint yet"


def _rows(outputs: Path) -> int:
    tables = list(outputs.glob("*/losses.csv"))
    with contextlib.suppress(OSError):
        return sum(path.read_bytes().count(b"\n") - 1 for path in tables)
    return 0


def _temporary(outputs: Path) -> list[str]:
    found = []
    for folder in (*outputs.glob("*"), *outputs.glob("*/*ckpt")):
        with contextlib.suppress(OSError):
            found += [name for name in os.listdir(folder) if name.startswith(".")]
    return found


def _wait_for_workers(session: int) -> None:
    """Return when no process of a killed run is left."""
    deadline = time.monotonic() + WORKERS_WAIT
    while True:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        living = [pid for pid in _session(session)]
        if not living:
            return
        assert time.monotonic() < deadline, f"processes {living} outlive the run"
        time.sleep(0.1)


def _session(session: int) -> list[int]:
    """Processes of a session, but those that have ended and wait to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, _, _, number = stat.read_text().rpartition(")")[2].split()[:4]
            if int(number) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="detector")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where everything is kept (a temporary folder)")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = try_kills(arguments.model, arguments.kills, arguments.seed, folder.resolve())
    print("\n".join(found) or "the killed run is the uninterrupted one: losses, metrics, states, best weights, files")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
