"""Does OCR label better than the plain head? Both heads on one backbone, same data, same schedule, several seeds.

    python benchmarks/ocr_quality.py [--work FOLDER] [--steps N] [--seeds 1,2,3] [--heads fcn,ocr]

Trains the demos on drawn Cityscapes from scratch and prints each run's mIoU on the validation images after its last
step, its seconds a step, and the means over the seeds side by side.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parents[1]
HEADS = {
    "fcn": "configs/demo/hrnet_seg_cityscapes_shapes.yaml",
    "ocr": "configs/demo/hrnet_ocr_cityscapes_shapes.yaml",
}
TRAIN_IMAGES, VAL_IMAGES, SIZE = 320, 60, 128  # docs/segmentation.md's


def draw(data: Path) -> None:
    """The demo's images."""
    numbers = ("--images", TRAIN_IMAGES, "--val-images", VAL_IMAGES, "--size", SIZE, "--seed", 1)
    words = ["-m", "src.data.synthetic", "cityscapes", data, *numbers]
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True)


def train(config: str, data: Path, work: Path, seed: int, steps: int) -> dict[str, float]:
    """mIoU after the last step, and seconds a step of the last epoch."""
    keys = ("--train_dataset", data, "--val_dataset", data, "--train_outputs", work, "--seed", seed)
    words = ["train.py", "--config_path", config, *keys, "--max_steps", steps]
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    with next(work.glob("*/metrics.csv")).open() as file:
        miou = float(list(csv.DictReader(file))[-1]["mIoU"])
    times = [line for line in done.stdout.splitlines() if "per step time: " in line]
    return {"mIoU": miou, "seconds": float(times[-1].partition("per step time: ")[2].partition(",")[0]) / 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("outputs/ocr_quality"))
    parser.add_argument("--steps", type=int, default=0, help="stop each training early (default: the demo's 800 steps)")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--heads", default=",".join(HEADS))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    draw(work / "data")
    found: dict[str, list[dict[str, float]]] = {}
    for seed in map(int, arguments.seeds.split(",")):
        for head in arguments.heads.split(","):
            result = train(HEADS[head], work / "data", work / f"{head}_{seed}", seed, arguments.steps)
            found.setdefault(head, []).append(result)
            print(f"{head}, seed {seed}: mIoU {result['mIoU']:.4f}, {result['seconds']:.3f} s a step", flush=True)
    for head, results in found.items():
        numbers = "  ".join(f"{key} {mean(result[key] for result in results):.4f}" for key in results[0])
        print(f"{head}, mean of {len(results)}: {numbers}")


if __name__ == "__main__":
    main()
