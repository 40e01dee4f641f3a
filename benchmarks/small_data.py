"""What do augmentation and sampling make of 60 images? Today's recipe and the full one, same data, equally many steps.

    python benchmarks/small_data.py [--work FOLDER] [--seeds 1 2 3] [--steps N] [--ablation_seeds 1] [--cases NAME ...]

Draws 60 training images of the demo's kind in which one class has about 3 % of the objects, and the demo's 100 held-out
images, of which every class has its quarter. Trains the demo's Mask R-CNN from scratch: with flips alone (today's
recipe), with repeat-factor sampling alone, with the full recipe, each with every seed; then today's recipe and one
transform more, and the full one without repeats, with `--ablation_seeds`. All take --steps steps, to less than an
epoch. Prints box and mask mAP and the rare class' AP of each, today's recipe at a quarter, half and three quarters of
its steps too (has it stopped to gain?), and the means side by side. Expected: the full recipe's segm mAP at least 0.05
above today's, the rare class' AP at least 0.08 above with repeat factors. What was trained in --work already is not
trained again.
"""

import argparse
import csv
import json
import math
import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.demo_runs import VAL_IMAGES, coco_precision, draw, mean_defined, run  # noqa: E402

CONFIG = "configs/demo/mask_rcnn_hrnet_shapes.yaml"
IMAGES, BATCH, POOL = 60, 8, 600  # POOL: drawn images of which the training images are taken
RARE, RARE_SHARE = "star", 0.03
REPEAT_THRESHOLD = 0.3  # the rare class alone is below it
REPEATS = ("--repeat_threshold", REPEAT_THRESHOLD)
TRANSFORMS: dict[str, tuple] = {
    "large_scale_jitter": ("--large_scale_jitter", "0.1,2.0"),
    "copy_paste": ("--copy_paste", 0.5, "--copy_paste_box_shift", 3, "--copy_paste_least_pixels", 30),
    "mosaic": ("--mosaic", 0.5),
    "photometric_distortion": ("--photometric_distortion", 1),
    "random_erasing": ("--random_erasing", 0.25),
}
FULL = tuple(
    word for name in ("large_scale_jitter", "copy_paste", "photometric_distortion") for word in TRANSFORMS[name]
)
MAIN: dict[str, tuple] = {"today": (), "repeats": REPEATS, "full": (*REPEATS, *FULL)}
GOALS = {"full": ("segm_mAP", 0.05), "repeats": (f"segm_{RARE}", 0.08)}


def choose_images(labels: dict) -> dict:
    """Of a drawn set the first 60 images with objects in which the rare class has its share of the objects."""
    rare = next(one["id"] for one in labels["categories"] if one["name"] == RARE)
    of_image: dict[int, list[dict]] = {}
    for item in labels["annotations"]:
        of_image.setdefault(item["image_id"], []).append(item)
    total = IMAGES * statistics.mean(len(items) for items in of_image.values())
    left, chosen, without = round(RARE_SHARE * total), [], []
    for image in (one for one in labels["images"] if one["id"] in of_image):
        count = sum(item["category_id"] == rare for item in of_image[image["id"]])
        if not count:
            without.append(image)
        elif count <= left:
            chosen.append(image)
            left -= count
    chosen += without[: IMAGES - len(chosen)]
    kept = sorted(chosen, key=lambda one: one["id"])
    return labels | {"images": kept, "annotations": [item for one in kept for item in of_image[one["id"]]]}


def steps_of_epoch(labels: dict, threshold: float) -> int:
    """Batches of an epoch with repeat factors of this threshold (0: none)."""
    classes = {one["id"]: set() for one in labels["images"]}
    for item in labels["annotations"]:
        classes[item["image_id"]].add(item["category_id"])
    shares = {name: count / len(classes) for name, count in Counter(c for own in classes.values() for c in own).items()}
    factors = (max(max(1.0, math.sqrt(threshold / shares[c])) for c in own) for own in classes.values())
    return sum(math.ceil(factor) for factor in factors) // BATCH


def prepare(data: Path) -> None:
    """data/train (60 images, one class rare) and data/validation."""
    draw(data, POOL, VAL_IMAGES)
    file = data / "train" / "labels.json"
    file.write_text(json.dumps(choose_images(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")


def class_scores(annotations: Path, predictions: Path) -> dict[str, float]:
    """mAP of boxes and masks, and the rare class' AP of each."""
    categories = json.loads(annotations.read_text(encoding="utf-8"))["categories"]
    rare = sorted(one["id"] for one in categories).index(next(one["id"] for one in categories if one["name"] == RARE))
    found = {}
    for kind in ("bbox", "segm"):
        precision = coco_precision(annotations, predictions, kind)
        found |= {f"{kind}_mAP": mean_defined(precision), f"{kind}_{RARE}": mean_defined(precision[:, :, rare])}
    return found


def train(name: str, keys: tuple, seed: int, steps: int, work: Path) -> dict[str, float]:
    """One training, scored by its last evaluation's checkpoint; a line is printed."""
    data, out = work / "data", work / f"{name}_{seed}"
    validation, result = data / "validation", work / f"{name}_{seed}.json"
    if not result.exists():
        labels = json.loads((data / "train" / "labels.json").read_text(encoding="utf-8"))
        epochs = steps // steps_of_epoch(labels, REPEAT_THRESHOLD if "--repeat_threshold" in keys else 0)
        common = ("--config_path", CONFIG, *keys, "--val_dataset", validation)
        schedule = ("--epoch_size", epochs, "--eval_every", max(1, epochs // 4), "--seed", seed)
        run("train.py", *common, "--train_dataset", data / "train", "--train_outputs", out, *schedule)
        checkpoint = sorted(out.glob("*/best_ckpt/*.ckpt"))[-1]
        run("eval.py", *common, "--checkpoint_path", checkpoint, "--prediction_path", out / "predictions.json")
        scores = class_scores(validation / "labels.json", out / "predictions.json")
        (metrics,) = out.glob("*/metrics.csv")
        with metrics.open(encoding="utf-8") as file:
            curve = [float(row["seg_mAP"]) for row in csv.DictReader(file)]
        result.write_text(json.dumps({"scores": scores, "curve": curve}), encoding="utf-8")
    found = json.loads(result.read_text(encoding="utf-8"))
    curve = ", ".join(f"{value:.3f}" for value in found["curve"])
    print(f"{name}, seed {seed}: {_listed(found['scores'])}  (segm mAP on the way: {curve})", flush=True)
    return found["scores"]


def show_means(found: dict[str, list[dict[str, float]]]) -> None:
    """Every main case's means and how far they are ahead of today's recipe."""
    means = {name: {key: statistics.mean(one[key] for one in own) for key in own[0]} for name, own in found.items()}
    for name, own in means.items():
        print(f"{name}, mean of {len(found[name])} seeds: {_listed(own)}")
        if name in GOALS and "today" in means:
            ahead = {key: value - means["today"][key] for key, value in own.items()}
            key, least = GOALS[name]
            verdict = "as expected" if ahead[key] >= least else "NOT as expected"
            print(f"    ahead of today's: {_listed(ahead)}: {key} {verdict} ({least} wanted)", flush=True)


def _listed(scores: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.4f}" for key, value in scores.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("outputs/small_data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ablation_seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    parser.add_argument("--cases", nargs="+", choices=MAIN, default=list(MAIN))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if not (work / "data" / "validation" / "labels.json").exists():
        prepare(work / "data")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.cases}
    for seed in arguments.seeds:  # a seed of all before the next one's
        for name in arguments.cases:
            found[name].append(train(name, MAIN[name], seed, arguments.steps, work))
    show_means(found)
    for seed in arguments.ablation_seeds:
        for name, keys in TRANSFORMS.items():
            train(f"today + {name}", keys, seed, arguments.steps, work)
        train("full without repeats", FULL, seed, arguments.steps, work)


if __name__ == "__main__":
    main()
