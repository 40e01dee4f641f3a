"""Peak memory of a training step on the CPU, against PyTorch's step of the same network.

    python benchmarks/training_memory.py [CASE ...]     (default backbone segmenter classifier detector)

The most that the process held (RSS) in three steps, compilation included, at two image sizes: what is the same at both
(libraries, weights, graph) is the constant part, the rest goes with the pixels. Batches of 2, 8 for the classifier.
`training_cases.py` says what the cases and sides are; the detector has no twin in PyTorch here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.training_cases import HAS_TORCH, SIDES, Network  # noqa: E402

SIZES = {"backbone": (256, 512), "segmenter": (256, 512), "classifier": (128, 256), "detector": (256, 512)}
BATCH = {"classifier": 8}
STEPS = 3


def peak(case: str, side: str, size: int) -> float:
    """GB of a process of its own."""
    network = Network(case, side, size, BATCH.get(case, 2))
    peaks = [network.step()["peak"] for _ in range(STEPS)]
    network.end()
    return peaks[-1]


def main() -> None:
    for case in sys.argv[1:] or SIZES:
        sizes, batch = SIZES[case], BATCH.get(case, 2)
        reference: tuple[float, float] | None = None
        for side in reversed(SIDES):
            if side == "torch" and case not in HAS_TORCH:
                continue
            small, large = (peak(case, side, size) for size in sizes)
            megapixels = [batch * size**2 / 1e6 for size in sizes]
            slope = (large - small) / (megapixels[1] - megapixels[0])
            constant = large - slope * megapixels[1]
            reference = reference or ((large, slope) if side == "torch" else None)
            ratio = f", {large / reference[0]:.2f}x PyTorch, a pixel {slope / reference[1]:.2f}x" if reference else ""
            print(
                f"{case}, batch {batch}, {side}: {small:.2f} GB at {sizes[0]}, {large:.2f} GB at {sizes[1]}: "
                f"{constant:.2f} GB and {slope:.2f} GB a megapixel{ratio if side != 'torch' else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
