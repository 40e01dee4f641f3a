"""Are a cascade's boxes better? Cascade Mask R-CNN against Mask R-CNN, same drawn data, same half of the demo's steps.

    python benchmarks/cascade_quality.py [--work FOLDER] [--seeds 1 2 3] [--epochs N] [--images N] [--size N]
                                         [--rounds N]

Trains the demo's two detectors once with each seed and prints AP75 and AP90 of boxes on the held-out images, of each
seed and as means. Then the time and the memory of a training step of Mask R-CNN, Faster R-CNN and Cascade Mask R-CNN
(HRNetV2p-W18, as their configurations have them, at --size): the three take their steps in turn, each in a process of
its own (`training_cases.py`), all in memory at once; a peak is of the whole process, compilation included. Expected:
the cascade is ahead, more so at AP90.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.demo_runs import (  # noqa: E402
    DEMO_EPOCHS,
    TRAIN_IMAGES,
    coco_precision,
    draw,
    mean_defined,
    train_and_predict,
)
from benchmarks.training_cases import Network  # noqa: E402

CONFIGS = {
    "mask_rcnn": "configs/demo/mask_rcnn_hrnet_shapes.yaml",
    "cascade_mask_rcnn": "configs/demo/cascade_mask_rcnn_hrnet_shapes.yaml",
}
THRESHOLDS = {"AP75": 0.75, "AP90": 0.9}
STEPS = {"mask_rcnn": "detector", "faster_rcnn": "faster_rcnn", "cascade_mask_rcnn": "cascade_mask_rcnn"}
WARM_UP = 3  # steps that are not counted: the first one compiles
BATCH = 2


def box_scores(annotations: Path, predictions: Path) -> dict[str, float]:
    """mAP of boxes, and AP at each of `THRESHOLDS`, means over classes and recalls as pycocotools defines them."""
    precision = coco_precision(annotations, predictions, "bbox")
    at = {name: round((value - 0.5) / 0.05) for name, value in THRESHOLDS.items()}
    return {"mAP": mean_defined(precision)} | {name: mean_defined(precision[index]) for name, index in at.items()}


def show_quality(work: Path, seeds: list[int], epochs: int) -> None:
    """Train and score every detector with every seed; a line each, then the means side by side."""
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in CONFIGS}
    data = work / "data"
    for seed in seeds:  # a seed of both before the next one's
        for name, config in CONFIGS.items():
            out = work / f"{name}_{seed}"
            predictions, _ = train_and_predict(config, data / "train", data / "validation", out, epochs, seed)
            scores[name].append(box_scores(data / "validation" / "labels.json", predictions))
            print(f"{name}, seed {seed}: {_listed(scores[name][-1])}", flush=True)
    means = {name: {key: statistics.mean(one[key] for one in own) for key in own[0]} for name, own in scores.items()}
    for name, own in means.items():
        print(f"{name}, mean of {len(seeds)} seeds: {_listed(own)}")
    ahead = {key: value - means["mask_rcnn"][key] for key, value in means["cascade_mask_rcnn"].items()}
    print(f"cascade ahead by: {_listed(ahead)}", flush=True)


def show_steps(size: int, rounds: int) -> None:
    """Seconds of a training step and the most memory that a process held, detector by detector."""
    networks = {name: Network(case, "fast", size, BATCH) for name, case in STEPS.items()}
    for network in networks.values():
        for _ in range(WARM_UP):
            network.step()
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, network in networks.items():
            taken[name].append(network.step())
    least = {name: min(step["seconds"] for step in steps) for name, steps in taken.items()}
    print(f"training step, HRNetV2p-W18, batch {BATCH}, {size}x{size}:")
    for name, steps in taken.items():
        median = statistics.median(step["seconds"] for step in steps)
        ratio = least[name] / least["mask_rcnn"]
        peak = steps[-1]["peak"]
        print(
            f"{name}: {least[name]:.2f} s (median {median:.2f}), {ratio:.2f}x mask_rcnn, peak {peak:.2f} GB", flush=True
        )
        networks[name].end()


def _listed(scores: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in scores.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("outputs/cascade_quality"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=DEMO_EPOCHS // 2)
    parser.add_argument("--images", type=int, default=TRAIN_IMAGES, help="of the drawn training set")
    parser.add_argument("--size", type=int, default=256, help="of the images of the timed steps")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    draw(work / "data", arguments.images)
    show_quality(work, arguments.seeds, arguments.epochs)
    show_steps(arguments.size, arguments.rounds)


if __name__ == "__main__":
    main()
