"""Every compiled operator beside PyTorch's and torchvision's, in one process: differences, then times.

    python -m scripts.kernels --build DIR [--nvcc nvcc]        build the GPU's library for this card there, nothing else
    python -m scripts.kernels --library FILE [--out FILE] [--small] [--no_times] [--device cuda]

`scripts/check_kernels.sh` calls this. It needs torch and torchvision, not MindSpore. Exit status 1 where an operator
differs or fails, 2 for bad input; a goal of time that is missed is said and changes nothing.
"""

import argparse
import datetime
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.first_run import commit
from src.ops import build

HEAD = ("what", "difference", "limit", "verdict", "ours", "reference", "ratio", "goal")


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--build", type=Path, metavar="DIR")
    what.add_argument("--library", type=Path, metavar="FILE")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="small inputs, as under compute-sanitizer")
    parser.add_argument("--no_times", action="store_true", help="differences only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the table to paste goes there")
    words = parser.parse_args()
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        return failed(f"torch and torchvision do not load: {' '.join(str(error).split())[:200]}")
    if words.device == "cuda" and not torch.cuda.is_available():
        return failed(f"torch {torch.__version__} sees no GPU")
    try:
        if words.build:
            print(build_for_card(words.build, words.nvcc, torch.cuda.get_device_capability()))
            return 0
        return compare(words.library, torchvision.ops, words.device, words.small, not words.no_times, words.out)
    except (OSError, build.BuildError) as error:
        return failed(str(error))


def failed(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2


def build_for_card(folder: Path, nvcc: str, capability: tuple[int, int]) -> Path:
    """The GPU's library from this checkout's sources, for one card alone. BuildError."""
    if not shutil.which(nvcc):
        raise build.BuildError(f"{nvcc} not found")
    folder.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, timeout=60).stdout
    target = folder / build.GPU
    build.build(build.GPU, target, [nvcc], ["-gencode", code_for(capability, listed)])
    return target


def code_for(capability: tuple[int, int], listed: str) -> str:
    """nvcc's `-gencode` for a card: its own machine code where this nvcc knows it, else the newest PTX that is not
    newer, which the driver compiles. listed: what `nvcc --list-gpu-arch` says. BuildError where there is none.
    """
    card = 10 * capability[0] + capability[1]
    known = sorted(int(number) for number in re.findall(r"compute_(\d+)\b", listed))
    if card in known:
        return f"arch=compute_{card},code=sm_{card}"
    older = [number for number in known if number < card]
    if not older:
        first = f", only from {known[0] // 10}.{known[0] % 10} on: NVCC names an older one" if known else ""
        raise build.BuildError(f"this nvcc knows no code for compute capability {card // 10}.{card % 10}{first}")
    return f"arch=compute_{older[-1]},code=compute_{older[-1]}"


def compare(path: Path, vision, device: str, is_small: bool, has_times: bool, out: Path | None) -> int:
    """Runs every job, prints a line each, writes the table; 1 where one differs or fails. OSError."""
    import torch

    from .draw import FULL, SMALL
    from .jobs import Bench
    from .library import Library

    bench = Bench(Library(path), vision, torch.device(device), SMALL if is_small else FULL)
    lines = [*heading(device, path), f"| {' | '.join(HEAD)} |", f"| {' | '.join('---' for _ in HEAD)} |"]
    print("\n".join(lines), flush=True)
    wrong = count = 0
    for row in rows(bench, has_times):
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
        wrong += row[3] not in ("ok", "not in this library")
        count += row[3] != "not in this library"
    lines.append(f"\n{count - wrong} of {count} agree")
    print(lines[-1])
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"the table to paste into docs/devices.md: {out}")
    return int(wrong > 0 or count == 0)


def rows(bench, has_times: bool) -> Iterator[tuple[str, ...]]:
    """The table's lines. An operator that fails is a line and ends its own jobs alone."""
    from .jobs import OPERATORS
    from .library import KernelError

    for name, (functions, jobs) in OPERATORS.items():
        missing = [function for function in functions if not bench.library.has(function)]
        if missing:
            yield name, "-", "-", "not in this library", *("-",) * 4
            continue
        try:
            for job in jobs(bench):
                yield judged(job, bench.device.type, has_times)
        except (KernelError, RuntimeError) as error:  # RuntimeError: torch's, of the GPU too
            yield name, "-", "-", f"FAILED: {' '.join(str(error).split())[:200]}".replace("|", "/"), *("-",) * 4


def judged(job, device: str, has_times: bool) -> tuple[str, ...]:
    """A line: how far apart, and the times."""
    from benchmarks.figures import Figure

    ours = [tensor.clone() for tensor in job.ours()]
    apart = job.differ(ours, (job.reference or job.theirs)())
    verdict = "ok" if apart <= job.limit else "DIFFERS"
    times = ("-",) * 4
    if has_times:
        from .times import both_ms

        figure = Figure(job.what, *both_ms(job.ours, job.theirs, device), "ms", job.against, job.goal)
        goal = "-" if job.goal is None else f"{job.goal:g}: {'reached' if figure.reached else 'MISSED'}"
        reference = f"{figure.reference:.3f} ms ({job.against})"
        times = f"{figure.ours:.3f} ms", reference, f"{figure.ratio:.2f}", goal
    return job.what, f"{apart:.1e}", f"{job.limit:g}", verdict, *times


def heading(device: str, path: Path) -> list[str]:
    """What the table is of."""
    import torch
    import torchvision

    words = [f"torch {torch.__version__}", f"torchvision {torchvision.__version__}"]
    name = f"{platform.machine()} CPU"
    if device == "cuda":
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        name = f"{torch.cuda.get_device_name()}, compute capability {capability}"
        words.append(f"CUDA {torch.version.cuda}")
    today = datetime.date.today().isoformat()
    return [f"Kernels on {name}; {today}, commit {commit()}, {', '.join(words)}, {path.name}", ""]


if __name__ == "__main__":
    sys.exit(main())
