"""The first run on a device: one training step of every demo there and on the CPU, and whether they agree.

    python -m scripts.first_run --device GPU --machine "NVIDIA A100, driver 535" --count 2 --out outputs/first_gpu_run

`scripts/first_gpu_run.sh` and `first_ascend_run.sh` call this. Each run is a `train.py` of one step from the same
weights on the same drawn images. Its losses say that forward passes agree; the optimizer's first moments, which are its
gradients, that backward passes do. A run that fails is a line of the table and stops nothing. With the device CPU it
tries itself out: the device's runs then take MindSpore's own operators (`portable: 1`), as on an Ascend.
"""

import argparse
import csv
import datetime
import fnmatch
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 3600  # seconds of a run: graphs of an Ascend take minutes
CLOSE = 1e-3  # of the larger of 1 and the CPU's loss, in float32
CLOSE_HALF = 3e-2  # the same, half precision on the device beside float32 on the CPU
CLOSE_GRADIENT = 5e-2  # length of the difference of all gradients beside the CPU's; told of half precision, not judged

IMAGES, VAL_IMAGES, SEED = 8, 2, 3
LAYOUTS = {"coco": 128, "imagenet": 64, "cityscapes": 128, "lip": 128}  # longer side in pixels
_COCO, _CITYSCAPES = ("coco/train", "coco/validation"), ("cityscapes", "cityscapes")
DEMOS = {  # configs/demo/NAME.yaml: training and validation data
    "hrnet_cls_shapes": ("imagenet/train", "imagenet/val"),
    "hrnet_seg_cityscapes_shapes": _CITYSCAPES,
    "hrnet_seg_lip_shapes": ("lip", "lip"),
    "hrnet_ocr_cityscapes_shapes": _CITYSCAPES,
    "hrnet_pointrend_cityscapes_shapes": _CITYSCAPES,
    "mask_rcnn_hrnet_shapes": _COCO,
    "faster_rcnn_hrnet_shapes": _COCO,
    "cascade_mask_rcnn_hrnet_shapes": _COCO,
    "mask_rcnn_spinenet_shapes": _COCO,
    "pointrend_hrnet_shapes": _COCO,
}
THREE = ("hrnet_cls_shapes", "hrnet_seg_cityscapes_shapes", "mask_rcnn_hrnet_shapes")  # in half precision, on two ranks
KEYS = {
    "max_steps": 1, "log_every": 1, "save_every": 1, "batch_size": 2, "test_batch_size": 2, "num_parallel_workers": 1,
    "run_eval": 0, "opt_type": "momentum", "momentum": 0.9, "lr": 0.01, "warmup_step": 0, "warmup_epochs": 0,
    "mode": "graph",
}  # fmt: skip
# Adaptive sampling is of this project's operators alone.
SAMPLES = {"roi.roi_layer.sampling_ratio": 2, "mask_roi.roi_layer.sampling_ratio": 2}
MOMENT = "state/moments."
HEAD = ("run", "CPU", "device", "difference", "of the gradients", "CPU s", "device s", "")


@dataclass(frozen=True)
class Case:
    """A demo, what is asked of it on the device beside the CPU's keys, on how many ranks, how close it must be."""

    demo: str
    name: str = ""
    keys: tuple[str, ...] = ()
    ranks: int = 1
    close: float = CLOSE

    @property
    def title(self) -> str:
        return f"{self.demo} {self.name}".strip()


@dataclass
class Step:
    """What a run of one step leaves. failure: its last words, empty where it did not fail."""

    losses: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""


def cases(count: int) -> list[Case]:
    """All of them for so many devices."""
    half = [
        Case(
            demo,
            f"amp {level}",
            ("--amp_level", level, "--loss_scale", "dynamic", "--loss_scale_init", "1024"),
            1,
            CLOSE_HALF,
        )
        for level in ("O1", "O2")
        for demo in THREE
    ]
    return [*map(Case, DEMOS), *half, *(Case(demo, "2 ranks", (), 2) for demo in THREE if count > 1)]


def command(case: Case, device: str, keys: tuple[str, ...], data: Path, out: Path) -> list[str]:
    """The command line of a run."""
    train, val = (str(data / part) for part in DEMOS[case.demo])
    config = f"configs/demo/{case.demo}.yaml"
    own = KEYS | (SAMPLES if DEMOS[case.demo] is _COCO else {})
    more = [*(word for name, value in own.items() for word in (f"--{name}", str(value))), *keys]
    if case.ranks > 1:
        launcher = f"scripts/run_distribute_train_{device.lower()}.sh"
        return ["bash", launcher, config, str(case.ranks), train, val, str(out), "first", *more]
    folders = ("--train_dataset", train, "--val_dataset", val, "--train_outputs", str(out), "--brief", "first")
    return [sys.executable, "train.py", "--config_path", config, *folders, "--device_target", device, *more]


def take_step(words: list[str], out: Path) -> Step:
    """Run it; all that it prints goes to OUT/log."""
    out.mkdir(parents=True)
    started = time.perf_counter()
    with open(out / "log", "w", encoding="utf-8") as log:
        try:
            status = subprocess.run(
                words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=LIMIT, env=os.environ | _PYTHON
            ).returncode
        except subprocess.TimeoutExpired:
            return Step(failure=f"not done after {LIMIT} s: {out / 'log'}")
    step = Step(seconds=time.perf_counter() - started)
    if status:
        said = [line for line in (out / "log").read_text(errors="replace").splitlines() if line.strip()]
        step.failure = f"exit status {status}: {said[-1][:200] if said else 'it said nothing'} ({out / 'log'})"
        return step
    (run,) = (path.parent for path in out.glob("*/losses.csv"))
    with open(run / "losses.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    step.losses = {name: float(value) for name, value in row.items() if name.startswith("loss") or ".loss" in name}
    step.losses.pop("loss_scale", None)
    step.gradients = _moments(max(run.glob("ckpt/*.ckpt")))
    return step


_PYTHON = {"PYTHON": sys.executable}  # of the launchers


def _moments(path: Path) -> dict[str, np.ndarray]:
    from src.checkpoint import read_checkpoint  # imports MindSpore: not for --help

    return {name: np.asarray(value) for name, value in read_checkpoint(str(path)).items() if name.startswith(MOMENT)}


def difference(ours: Step, theirs: Step) -> float:
    """Largest of the losses' differences, each beside the larger of 1 and theirs; infinite for what is not a number."""
    if ours.losses.keys() != theirs.losses.keys():
        return float("inf")
    gaps = [abs(ours.losses[name] - value) / max(1.0, abs(value)) for name, value in theirs.losses.items()]
    return max(gap if np.isfinite(gap) else float("inf") for gap in gaps)


def gradient_difference(ours: Step, theirs: Step) -> float:
    """Length of the difference of all gradients as one vector, beside theirs; infinite for what is not a number."""
    if ours.gradients.keys() != theirs.gradients.keys() or not theirs.gradients:
        return float("inf")
    apart = sum(float(np.square(ours.gradients[k] - v, dtype=np.float64).sum()) for k, v in theirs.gradients.items())
    whole = sum(float(np.square(value, dtype=np.float64).sum()) for value in theirs.gradients.values())
    share = (apart / whole) ** 0.5 if whole else float("inf")
    return share if np.isfinite(share) else float("inf")


def row(case: Case, ours: Step, theirs: Step) -> tuple[str, ...]:
    """A line of the table; the last column is 'ok', or what is wrong."""
    if ours.failure or theirs.failure:
        where = f"device: {ours.failure}" if ours.failure else f"CPU: {theirs.failure}"
        return case.title, *("-",) * 6, f"FAILED {where}".replace("|", "/")
    apart, turned = difference(ours, theirs), gradient_difference(ours, theirs)
    is_judged = case.close == CLOSE
    is_close = apart <= case.close and (turned <= CLOSE_GRADIENT or not is_judged)
    limits = f"{case.close:g}" + (f", {CLOSE_GRADIENT:g}" if is_judged else "")
    return (
        case.title, f"{theirs.losses['loss']:.5f}", f"{ours.losses['loss']:.5f}", f"{apart:.1e}", f"{turned:.1e}",
        f"{theirs.seconds:.0f}", f"{ours.seconds:.0f}", "ok" if is_close else f"DIFFERS (limits {limits})",
    )  # fmt: skip


def commit() -> str:
    """Of this checkout, '-' where there is none, as in an image."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout if shutil.which("git") else ""
    return found.strip() or "-"


def heading(device: str, machine: str, count: int) -> list[str]:
    """What the table is of."""
    import mindspore

    today = datetime.date.today().isoformat()
    versions = f"MindSpore {mindspore.__version__}, Python {platform.python_version()}"
    lines = [
        f"First run on {device}: {machine or 'no name'}; devices: {count}; {today}, commit {commit()}",
        f"{versions}, {platform.machine()}, {platform.platform()}",
    ]
    if device == "CPU":
        lines.append(
            "A trial without a device: MindSpore's own operators (portable: 1) beside this project's, both on CPU"
        )
    return [*lines, ""]


def draw(data: Path, wanted: list[Case]) -> None:
    """The drawn images that these runs train on."""
    layouts = {DEMOS[case.demo][0].partition("/")[0] for case in wanted}
    for layout, size in LAYOUTS.items():
        if layout in layouts and not (data / layout).is_dir():
            numbers = f"--images {IMAGES} --val-images {VAL_IMAGES} --size {size} --seed {SEED}".split()
            part = data / f"{layout}.part"
            shutil.rmtree(part, ignore_errors=True)
            words = [sys.executable, "-m", "src.data.synthetic", layout, str(part), *numbers]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                said = done.stderr.strip().splitlines() or [f"error: status {done.returncode}"]
                raise OSError(f"the images cannot be drawn: {said[-1].removeprefix('error: ')}")
            part.rename(data / layout)


def write_summary(work: Path, lines: list[str]) -> None:
    """In this run's own folder, which keeps it, and in the folder that all runs share, where the newest one's is."""
    for folder in (work, work.parent):
        (folder / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """0 where all agree, 1 where one does not, 2 for bad input, 130 where it was stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True, choices=("CPU", "GPU", "Ascend"))
    parser.add_argument("--machine", default="", help="the device in words, for the table's heading")
    parser.add_argument("--count", type=int, default=1, help="devices; from 2 on two ranks are tried too")
    parser.add_argument("--out", type=Path, required=True, help="folder for data, runs, logs and summary.md")
    parser.add_argument("--only", default="", help="runs with one of these titles (*: anything), with commas between")
    parser.add_argument("--portable", action="store_true", help="MindSpore's own operators on the device")
    words = parser.parse_args()
    patterns = words.only.split(",") if words.only else ["*"]
    wanted = [case for case in cases(words.count) if any(fnmatch.fnmatch(case.title, one) for one in patterns)]
    if not wanted:
        print(f"error: ONLY={words.only}: no run has such a title", file=sys.stderr)
        return 2
    work = words.out.resolve() / datetime.datetime.now().strftime("%y%m%d_%H%M%S")
    try:
        return compare(words, wanted, work)
    except KeyboardInterrupt:  # the run that was going has been ended
        summary = work / "summary.md"
        rows = f"the rows so far are in {summary}" if summary.exists() else "there is no row yet"
        print(f"stopped; {rows}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def compare(words: argparse.Namespace, wanted: list[Case], work: Path) -> int:
    """Run these, a row each; 0 where all agree, 1 where one does not. OSError."""
    out = work.parent
    draw(out / "data", wanted)
    lines = heading(words.device, words.machine, words.count)
    lines += [f"| {' | '.join(HEAD)} |", f"| {' | '.join('---' for _ in HEAD)} |"]
    print("\n".join(lines), flush=True)
    on_device = ("--portable", "1") if words.portable or words.device == "CPU" else ()
    references: dict[tuple[str, int], Step] = {}
    failures = 0
    for case in wanted:
        place = work / case.title.replace(" ", "_")
        same = case.demo, case.ranks
        if same not in references:
            place_cpu = work / f"cpu_{case.demo}_{case.ranks}"
            references[same] = take_step(command(case, "CPU", (), out / "data", place_cpu), place_cpu)
        ours = take_step(command(case, words.device, (*case.keys, *on_device), out / "data", place), place)
        line = row(case, ours, references[same])
        failures += line[-1] != "ok"
        lines.append(f"| {' | '.join(line)} |")
        print(lines[-1], flush=True)
        write_summary(work, lines)  # what is known, should it be stopped
    if words.count < 2:
        lines.append("\nTwo ranks: not run, 1 device")
        print(lines[-1])
    lines.append(f"\n{len(wanted) - failures} of {len(wanted)} runs agree")
    print(lines[-1])
    write_summary(work, lines)
    print(f"the table to paste: {out / 'summary.md'}; logs under {work}")
    return int(failures > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the first run
        print("stopped", file=sys.stderr)
        sys.exit(130)
