"""Figures that a benchmark gives to the page of docs/performance.md: ours beside a named reference's, of the same run.

A benchmark on that page prints them by `show`; with `--figures FILE` it also appends them there, one JSON object a
line, which `python -m benchmarks.all` reads.
"""

import argparse
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value beside the reference's; `ratio` is ours divided by the reference's."""

    what: str  # "RoIAlign forward, 512 RoIs 7x7, adaptive"
    ours: float
    reference: float
    unit: str  # "ms", "s", "GB", "images/s"
    against: str  # who the reference is, with its version: "torchvision 0.28 roi_align"
    goal: float | None = None  # the ratio that was asked for: at most it, for rates (a unit ending in "/s") at least it

    @property
    def ratio(self) -> float:
        return self.ours / self.reference if self.reference else float("inf")

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is as good as the goal; None without one."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.unit.endswith("/s") else self.ratio <= self.goal


def versioned(package: str, name: str = "") -> str:
    """Name and version of a reference: `PyTorch 2.13.0`."""
    return f"{name or package} {importlib.metadata.version(package).partition('+')[0]}"


def add_figures_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--figures", type=Path, metavar="FILE", help="append the figures to it, a JSON line each")


def show(figures: Iterable[Figure], file: Path | None = None) -> None:
    """Prints each figure when it is there, and appends it to `file`."""
    for figure in figures:
        goal = "" if figure.goal is None else f" (goal {figure.goal:g}: {'reached' if figure.reached else 'MISSED'})"
        ours, reference = f"{figure.ours:.4g} {figure.unit}", f"{figure.reference:.4g} {figure.unit}"
        print(f"{figure.what}: {ours}, {figure.against} {reference}, ratio {figure.ratio:.3f}{goal}", flush=True)
        if file is not None:
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(figure)) + "\n")


def run(measure: Callable[[], Iterable[Figure]], description: str | None) -> None:
    """The command line of a benchmark without options of its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_figures_option(parser)
    file = parser.parse_args().figures
    show(measure(), file)
