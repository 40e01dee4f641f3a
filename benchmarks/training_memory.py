"""Peak memory of a training step on the CPU, against PyTorch's step of the same network.

    python benchmarks/training_memory.py [CASE ...]     (default backbone segmenter classifier detector)

The most that the process held (RSS) in three steps, compilation included, at two image sizes: what is the same at both
(libraries, weights, graph) is the constant part, the rest goes with the pixels. Batches of 2, 8 for the classifier.
`training_cases.py` says what the cases and sides are; the detector has no twin in PyTorch here.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import Figure, add_figures_option, show  # noqa: E402
from benchmarks.training_cases import HAS_TORCH, SIDES, Network, reference_name, sides_beside  # noqa: E402

SIZES = {"backbone": (256, 512), "segmenter": (256, 512), "classifier": (128, 256), "detector": (256, 512)}
BATCH = {"classifier": 8}
STEPS = 3


def peak(case: str, side: str, size: int) -> float:
    """GB of a process of its own."""
    network = Network(case, side, size, BATCH.get(case, 2))
    peaks = [network.step()["peak"] for _ in range(STEPS)]
    network.end()
    return peaks[-1]


def figures(cases: Sequence[str]) -> Iterator[Figure]:
    """At the larger size: ours beside each other side. Prints a line a side with both sizes."""
    for case in cases:
        sizes, batch = SIZES[case], BATCH.get(case, 2)
        largest: dict[str, float] = {}
        for side in reversed(SIDES):
            if side == "torch" and case not in HAS_TORCH:
                continue
            small, large = (peak(case, side, size) for size in sizes)
            megapixels = [batch * size**2 / 1e6 for size in sizes]
            slope = (large - small) / (megapixels[1] - megapixels[0])
            constant = large - slope * megapixels[1]
            print(
                f"{case}, batch {batch}, {side}: {small:.2f} GB at {sizes[0]}, {large:.2f} GB at {sizes[1]}: "
                f"{constant:.2f} GB and {slope:.2f} GB a megapixel",
                flush=True,
            )
            largest[side] = large
        what = f"peak memory of a training step, {case}, batch {batch}, {sizes[1]}x{sizes[1]}"
        for side in sides_beside(largest):
            yield Figure(what, largest["fast"], largest[side], "GB", reference_name(side))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(SIZES), metavar="CASE")
    add_figures_option(parser)
    options = parser.parse_args()
    show(figures(options.cases), options.figures)


if __name__ == "__main__":
    main()
