"""Every benchmark of docs/performance.md in turn, the page that their figures make, and README's short table.

    python -m benchmarks.all                    # measures what has no figures in outputs/benchmarks yet, then writes
    python -m benchmarks.all --again inference  # measures these programs again
    python -m benchmarks.all --write 0          # measures alone

Each program is a process of its own; its figures are kept when it has ended well, so that a broken run goes on. The
page is written when all of them are there: all figures of a page are of one machine, whose name and versions are kept
with them and must be the same. Leave the machine alone meanwhile; it takes half an hour on two cores.
"""

import argparse
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Figure, versioned

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
READMES = (ROOT / "README.md", ROOT / "README_CN.md")
PACKAGES = {"mindspore": "MindSpore", "torch": "PyTorch", "torchvision": "", "timm": "", "onnxruntime": "", "numpy": ""}
PACKAGES |= {"opencv-python-headless": "OpenCV", "pycocotools": ""}

# Section of the page -> its programs, as one would type them after `python -m benchmarks.`.
SECTIONS = {
    "Inference": (
        "inference --case detector --rounds 11",
        "inference --case r50_detector",
        "inference --case spinenet_detector",
        "inference --case hrnet",
        "inference --case resnet",
        "inference --case spinenet",
        "inference --case segmenter --memory 1 --rounds 3",
    ),
    "Exported files": (
        *(
            f"export_families --full --int8 --family '{family}'"
            for family in (
                "Mask R-CNN HRNet",
                "Mask R-CNN SpineNet",
                "Mask R-CNN ResNet-FPN",
                "PointRend",
                "HRNet classification",
                "HRNet segmentation",
                "HRNet + OCR",
            )
        ),
        # The demo's: with random weights the large one's boxes part from its file's by a hundredth of a pixel.
        "export_families --int8 --family 'Cascade Mask R-CNN'",
    ),
    "Scoring": ("scoring",),
    "Input": ("data_pipeline",),
    "Training": (
        "training_step --case classifier --size 224 --batch 8",
        "training_step --case segmenter --size 512 --rounds 5",
        "training_step --case detector --size 256 --rounds 5",
    ),
    "Operators": (
        "roi_align --mindspore 1",
        "detection_ops",
        "point_sample",
        "soft_nms",
        "resize_bilinear",
        "mask_paste",
        "label_map",
        "pixel_loss",
        "training_operators",
    ),
}
# What README shows: a figure's `what` and the beginning of its `against`, in the order of README's rows.
HEADLINES: tuple[tuple[str, str], ...] = (
    ("RoIAlign forward, 512 RoIs 7x7, adaptive", "mmcv"),
    ("RoIAlign backward, 512 RoIs 7x7, adaptive", "mmcv"),
    ("NMS, 8768 proposals of 5 levels, best 1000", "MindSpore"),
    ("inference, mask_rcnn_hrnetv2p_w18_1x_coco, 512x512, fast_inference: 1", "fast_inference: 0"),
    ("inference, mask_rcnn_r50_fpn_1x_coco, backbone, 512x512, fast_inference: 1", "PyTorch"),
    ("inference, hrnet_w48_seg_cityscapes, 1024x512, fast_inference: 1", "PyTorch"),
    ("5000 images scored, boxes and masks (24 of 24 numbers the same), time", "pycocotools"),
    ("training step, classifier, batch 8, 224x224", "PyTorch"),
    ("100 masks pasted on 1333x800 (100 codes identical)", "PyTorch"),
)
MARKS = "<!-- figures of docs/performance.md -->", "<!-- end of figures -->"
INTRODUCTION = """# Performance

Made by `python -m benchmarks.all` ([all.py](../benchmarks/all.py)): every line is ours beside a named reference,
measured in the same run of the program above its table, on the machine below. The ratio is ours divided by the
reference's: below 1 we are faster or smaller, but for rates ("images/s"), where above 1 we are faster. A goal is what
was asked for of the ratio. [benchmarks.md](benchmarks.md) says what else can be measured.
"""


def machine() -> dict[str, str]:
    """What the figures depend on: processor, memory, system, versions."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else ():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [
        f"Python {platform.python_version()}",
        *(versioned(package, name) for package, name in PACKAGES.items()),
    ]
    return {
        "machine": f"{processor}, {len(os.sched_getaffinity(0))} cores, {gigabytes:.0f} GB, {platform.system()}",
        "versions": ", ".join(versions),
    }


def measure(program: str, file: Path) -> bool:
    """Runs it and keeps its figures with the machine in `file`; False where it failed."""
    print(f"== {program}", flush=True)
    name, *words = shlex.split(program)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "figures")
        command = [sys.executable, "-m", f"benchmarks.{name}", *words, "--figures", str(found)]
        if subprocess.run(command, cwd=ROOT).returncode or not found.exists():
            return False
        lines = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"program": program, "machine": machine(), "figures": lines}, indent=1)
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    return True


def page(kept: Mapping[str, Sequence[Figure]], where: Mapping[str, str]) -> str:
    """The text of the page from the figures of each program; a program's calls have one table."""
    parts = [INTRODUCTION, f"Machine: {where['machine']}.\nVersions: {where['versions']}.\n"]
    for section, programs in SECTIONS.items():
        parts.append(f"## {section}\n")
        for _, group in itertools.groupby(programs, lambda program: program.split()[0]):
            own = list(group)
            parts.append("<br>\n".join(f"`python -m benchmarks.{program}`" for program in own) + "\n")
            parts.append(table(figure for program in own for figure in kept[program]))
    return "\n".join(parts)


def table(figures: Iterable[Figure]) -> str:
    rows = ["| what | ours | reference | | ratio | goal |", "| --- | --- | --- | --- | --- | --- |"]
    for one in figures:
        goal = "" if one.goal is None else f"{one.goal:g}, {'reached' if one.reached else '**missed**'}"
        cells = (one.what.replace("|", "\\|"), amount(one.ours, one.unit), amount(one.reference, one.unit), one.against)
        rows.append(f"| {' | '.join(cells)} | {rounded(one.ratio)} | {goal} |".replace("|  |", "| |"))
    return "\n".join(rows) + "\n"


def amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def rounded(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def headlines(figures: Sequence[Figure]) -> list[str]:
    """README's cells after the first one of each row: ours, the reference's with its name, the ratio."""
    rows = []
    for what, against in HEADLINES:
        fitting = [one for one in figures if one.what == what and one.against.startswith(against)]
        if len(fitting) != 1:
            raise SystemExit(f"error: {len(fitting)} figures are '{what}' beside '{against}', README shows one")
        (one,) = fitting
        rows.append(
            f"{amount(one.ours, one.unit)} | {amount(one.reference, one.unit)}, {one.against} | {rounded(one.ratio)}"
        )
    return rows


def with_headlines(text: str, cells: Sequence[str]) -> str:
    """A README with these cells in its marked table; the first cell of each row, its name, stays."""
    before, start, rest = text.partition(MARKS[0])
    block, end, after = rest.partition(MARKS[1])
    head, rule, *rows = block.strip().splitlines()
    if not end or len(rows) != len(cells):
        raise SystemExit(f"error: README's table between '{MARKS[0]}' and '{MARKS[1]}' must have {len(cells)} rows")
    named = [f"| {row.split('|')[1].strip()} | {new} |" for row, new in zip(rows, cells)]
    return "".join([before, start, "\n", "\n".join([head, rule, *named]), "\n", end, after])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "benchmarks", help="where figures are kept")
    parser.add_argument("--again", nargs="+", default=[], metavar="NAME", help="programs to measure again")
    parser.add_argument("--write", type=int, choices=(0, 1), default=1, help="write docs/performance.md and README")
    options = parser.parse_args()
    programs = [program for own in SECTIONS.values() for program in own]
    files = {program: options.work / f"{program.replace(' ', '_')}.json" for program in programs}
    unknown = set(options.again) - {program.split()[0] for program in programs}
    if unknown:
        parser.error(f"no program of the page: {', '.join(sorted(unknown))}")
    failed = [
        program
        for program, file in files.items()
        if (not file.exists() or program.split()[0] in options.again) and not measure(program, file)
    ]
    if failed:
        raise SystemExit(f"error: no page: these programs failed: {'; '.join(failed)}")
    if options.write:
        write(files)


def write(files: Mapping[str, Path]) -> None:
    kept = {program: json.loads(file.read_text(encoding="utf-8")) for program, file in files.items()}
    machines = {tuple(one["machine"].items()) for one in kept.values()}
    if len(machines) != 1:
        raise SystemExit(
            f"error: figures of {len(machines)} machines or sets of versions: measure all on one (--again)"
        )
    figures = {program: [Figure(**one) for one in own["figures"]] for program, own in kept.items()}
    cells = headlines([one for own in figures.values() for one in own])
    readmes = {path: with_headlines(path.read_text(encoding="utf-8"), cells) for path in READMES}
    for path, text in {**readmes, PAGE: page(figures, dict(machines.pop()))}.items():
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
