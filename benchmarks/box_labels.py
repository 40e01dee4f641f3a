"""What do missing masks cost? The demo's data with all masks, with half of them, and with boxes alone.

    python benchmarks/box_labels.py [--work FOLDER] [--seeds 1 2 3] [--epochs N] [--images N]

Trains at half of the demo's steps, once with each seed: the demo's Mask R-CNN on all masks, the same on labels of which
half have lost their `segmentation`, and Faster R-CNN on labels of which all have. Prints the scores on the held-out
images (all of whose objects have masks), of each seed and as means side by side. Expected of the means, against Mask
R-CNN's on all masks: Faster R-CNN's bbox mAP is at most 0.03 below it, with half of the masks bbox mAP at most 0.03 and
segm mAP at most 0.08.
"""

import argparse
import json
import random
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.demo_runs import DEMO_EPOCHS, TRAIN_IMAGES, draw, train_and_predict  # noqa: E402

CONFIG = "configs/demo/mask_rcnn_hrnet_shapes.yaml"
# name: (detector, share of the training objects that lose their mask)
CASES = {
    "mask_rcnn": ("mask_rcnn", 0.0),
    "mask_rcnn, half of the masks": ("mask_rcnn", 0.5),
    "faster_rcnn, no masks": ("faster_rcnn", 1.0),
}
ALLOWED = {"bbox_mAP": 0.03, "segm_mAP": 0.08}


def write_without_masks(source: Path, target: Path, share: float) -> None:
    """The data set again, with a share of its objects' `segmentation` left out: the same objects each time."""
    content = json.loads((source / "labels.json").read_text(encoding="utf-8"))
    objects = content["annotations"]
    for one in random.Random(0).sample(objects, round(share * len(objects))):
        del one["segmentation"]
    target.mkdir(parents=True)
    (target / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    (target / "data").symlink_to(source / "data")


def scores(printed: str) -> dict[str, float]:
    """The closing lines of an evaluation."""
    return {name: float(value) for name, value in re.findall(r"^(\w+_mAP): (\S+)$", printed, re.MULTILINE)}


def _listed(own: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in own.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("outputs/box_labels"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=DEMO_EPOCHS // 2)
    parser.add_argument("--images", type=int, default=TRAIN_IMAGES, help="of the drawn training set")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    draw(work / "data", arguments.images)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for _, share in CASES.values():
        write_without_masks(work / "data" / "train", work / f"without_{share}", share)
    for seed in arguments.seeds:  # a seed of all before the next one's
        for name, (detector, share) in CASES.items():
            data = work / f"without_{share}", work / "data" / "validation"
            out = work / f"{detector}_{share}_{seed}"
            _, printed = train_and_predict(CONFIG, *data, out, arguments.epochs, seed, ("--detector", detector))
            found[name].append(scores(printed))
            print(f"{name}, seed {seed}: {_listed(found[name][-1])}", flush=True)
    means = {name: {key: statistics.mean(one[key] for one in own) for key in own[0]} for name, own in found.items()}
    reference = means["mask_rcnn"]
    for name, own in means.items():
        ahead = {key: value - reference[key] for key, value in own.items()}
        verdict = "as expected" if all(value >= -ALLOWED[key] for key, value in ahead.items()) else "NOT as expected"
        gap = "" if own is reference else f"; against all masks: {_listed(ahead)}: {verdict}"
        print(f"{name}, mean of {len(arguments.seeds)} seeds: {_listed(own)}{gap}", flush=True)


if __name__ == "__main__":
    main()
