"""Does it matter how labels are written? The demo's detector on one drawn data set, as COCO and as labelme's files.

    python benchmarks/own_labels.py [--work FOLDER] [--epochs N] [--images N]

Trains and evaluates once with each, by the commands of docs/own_data.md, and prints both bbox mAPs and their ratio. The
trainings differ in last digits alone, which makes others of them: two seeds of one data set differ by 0.04.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.demo_runs import draw, run  # noqa: E402

CONFIG = "configs/demo/mask_rcnn_hrnet_shapes.yaml"
SUBSETS = ("train", "validation")


def score(data: Path, out: Path, epochs: int) -> float:
    """bbox mAP of a training on data/train, evaluated on data/validation."""
    places = ("--train_dataset", data / "train", "--val_dataset", data / "validation", "--train_outputs", out)
    run("train.py", "--config_path", CONFIG, *places, "--epoch_size", epochs, "--eval_every", epochs)
    checkpoint = sorted(out.glob("*/best_ckpt/*.ckpt"))[-1]
    printed = run("eval.py", "--config_path", CONFIG, *places[2:4], "--checkpoint_path", checkpoint)
    return float(re.findall(r"^bbox_mAP: (\S+)", printed, re.MULTILINE)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("outputs/own_labels"))
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--images", type=int, default=500)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    draw(work / "coco", arguments.images)
    for subset in SUBSETS:
        run("-m", "src.data.convert", work / "coco" / subset, work / "labelme" / subset, "--to", "labelme")
    scores = {name: score(work / name, work / f"{name}_runs", arguments.epochs) for name in ("coco", "labelme")}
    for name, value in scores.items():
        print(f"bbox_mAP from {name}: {value:.4f}")
    print(f"labelme / coco: {scores['labelme'] / scores['coco']:.3f}")


if __name__ == "__main__":
    main()
