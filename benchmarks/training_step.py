"""Time of a training step on the CPU, against PyTorch's step of the same network, and by operator.

    python benchmarks/training_step.py [--case backbone] [--size 512] [--batch 2] [--rounds 7] [--without framework]
                                       [--enable_profiling]

The sides (`training_cases.py`) take a step in turn, so that all meet the machine in the same state; the others sleep
meanwhile. The least of all rounds counts, the median stands beside it. All sides are in memory at once; `memory` is the
most that each one's process has held, compilation included (`training_memory.py` takes it apart).
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import Figure, add_figures_option, show  # noqa: E402
from benchmarks.training_cases import CONFIGS, HAS_TORCH, SIDES, Network, reference_name, sides_beside  # noqa: E402

OPERATORS = 20  # that the table shows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="backbone", choices=CONFIGS)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without", nargs="*", default=[], choices=SIDES)
    parser.add_argument("--enable_profiling", action="store_true")
    add_figures_option(parser)
    options = parser.parse_args()
    sides = [side for side in SIDES if side not in options.without]
    if options.case not in HAS_TORCH:
        sides.remove("torch")
    with tempfile.TemporaryDirectory() as folder:
        folders = {side: str(Path(folder, side)) if options.enable_profiling else "" for side in sides}
        for path in filter(None, folders.values()):
            Path(path).mkdir()
        networks = {side: Network(options.case, side, options.size, options.batch, folders[side]) for side in sides}
        what = f"training step, {options.case}, batch {options.batch}, {options.size}x{options.size}"
        show(figures(what, networks, options.rounds), options.figures)
        for side, path in folders.items():
            if path:
                show_operators(side, json.loads(Path(path, "table.json").read_text()))


def figures(what: str, networks: dict[str, Network], rounds: int) -> Iterator[Figure]:
    """Three steps to compile, to warm up and to profile, then the rounds. Prints a line a side."""
    first = {side: network.step()["seconds"] for side, network in networks.items()}
    for network in networks.values():
        network.step()
        network.step()
    times, peaks = {side: [] for side in networks}, {}
    for _ in range(rounds):
        for side, network in networks.items():
            answer = network.step()
            times[side].append(answer["seconds"])
            peaks[side] = answer["peak"]
    for side, network in networks.items():
        spread = f"median {statistics.median(times[side]):.2f}, first {first[side]:.1f}"
        print(f"{side}: {min(times[side]):.2f} s a step ({spread})", flush=True)
        network.end()
    for side in sides_beside(times):
        yield Figure(what, min(times["fast"]), min(times[side]), "s", reference_name(side))
        yield Figure(f"{what}, memory", peaks["fast"], peaks[side], "GB", reference_name(side))


def show_operators(side: str, table: dict[str, float]) -> None:
    """Milliseconds by operator, the dearest first."""
    print(f"== {side}, milliseconds of one step by operator")
    for name, milliseconds in sorted(table.items(), key=lambda item: -item[1])[:OPERATORS]:
        print(f"   {milliseconds:8.1f} {name}")


if __name__ == "__main__":
    main()
