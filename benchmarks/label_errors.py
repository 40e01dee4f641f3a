"""How many wrong labels a report's list of likely label errors finds: the demo's validation set, some labels spoiled.

    python benchmarks/label_errors.py [--run RUN_FOLDER --data DATA] [--predictions FILE] [--seeds 5]
                                      [--first_seed 0] [--spoiled 20]

Half of the spoiled labels are deleted, the others moved to where they overlap their object by less than 0.3. Of the
first 40 entries of `label_errors.csv` it prints how many spoiled labels they point at (IoU 0.5 with the object, or with
where its label was moved to), and the share of the entries that point at one: the list's precision. A list that names
each spoiled label once and nothing else would have 20 of 40.

Without --run the demo's Mask R-CNN is trained first (minutes). RUN_FOLDER has a `config.yaml` and `best_ckpt/`; DATA
has `validation/`. --predictions: COCO results of that data, which are made otherwise.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402

from benchmarks.demo_runs import DEMO_EPOCHS, ROOT, draw, run, train_and_predict  # noqa: E402

CONFIG = ROOT / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml"
LOOKED_AT, NEAR, FAR = 40, 0.5, 0.3


def overlap(one: list[float], other: list[float]) -> float:
    return float(coco_mask.iou([one], [other], [0])[0, 0])


def spoil(labels: Path, folder: Path, count: int, seed: int) -> list[tuple[int, list[list[float]]]]:
    """A data set in `folder` with wrong labels: of each the image and the boxes that an entry may name."""
    content = json.loads(labels.read_text())
    rng = np.random.default_rng(seed)
    sizes = {one["id"]: (one["width"], one["height"]) for one in content["images"]}
    objects = content["annotations"]
    chosen = rng.choice([k for k, one in enumerate(objects) if not one["iscrowd"]], count, replace=False).tolist()
    spoiled, deleted = [], set(chosen[::2])
    for k in chosen:
        own, boxes = objects[k], [objects[k]["bbox"]]
        if k not in deleted:
            (width, height), (w, h) = sizes[own["image_id"]], own["bbox"][2:]
            places = ([*rng.uniform(0, (width - w, height - h)).tolist(), w, h] for _ in range(1000))
            own["bbox"] = next((box for box in places if overlap(box, boxes[0]) < FAR), boxes[0])
            x, y, w, h = own["bbox"]
            own["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            boxes.append(own["bbox"])
        spoiled.append((own["image_id"], boxes))
    content["annotations"] = [one for k, one in enumerate(objects) if k not in deleted]
    folder.mkdir()
    (folder / "data").symlink_to((labels.parent / "data").resolve())
    (folder / "labels.json").write_text(json.dumps(content))
    return spoiled


def hits(report: Path, spoiled: list[tuple[int, list[list[float]]]]) -> tuple[int, int, int]:
    """Spoiled labels that the first entries point at, entries that point at one, and entries looked at."""
    with (report / "label_errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:LOOKED_AT]
    found, right = set(), 0
    for row in rows:
        kinds = [kind for kind in ("detected", "label") if row[f"{kind} x"]]
        named = [[float(row[f"{kind} {side}"]) for side in "xywh"] for kind in kinds]
        meant = {
            k for k, (image, boxes) in enumerate(spoiled)
            if image == int(row["image_id"]) and any(overlap(one, box) >= NEAR for one in named for box in boxes)
        }  # fmt: skip
        found |= meant
        right += bool(meant)
    return len(found), right, len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--spoiled", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work, config, predictions = Path(place), CONFIG, arguments.predictions
        data = arguments.data or work / "data"
        validation = data / "validation"
        if not arguments.data:
            draw(data)
        if arguments.run:
            config = arguments.run / "config.yaml"
        if not predictions and arguments.run:
            checkpoint, predictions = sorted(arguments.run.glob("best_ckpt/*.ckpt"))[-1], work / "found.json"
            made = ("--checkpoint_path", checkpoint, "--prediction_path", predictions)
            run("eval.py", "--config_path", config, "--val_dataset", validation, *made)
        elif not predictions:
            predictions, _ = train_and_predict(CONFIG, data / "train", validation, work / "run", DEMO_EPOCHS, 1)
        total = []
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            folder, report = work / f"spoiled_{seed}", work / f"report_{seed}"
            spoiled = spoil(validation / "labels.json", folder, arguments.spoiled, seed)
            common = ("--config_path", config, "--val_dataset", folder, "--prediction_path", predictions)
            run("eval.py", *common, "--report_dir", report)
            found, right, entries = hits(report, spoiled)
            total.append(found)
            print(f"seed {seed}: {found} of {len(spoiled)} wrong labels among the first {entries} entries; "
                  f"precision {right / max(entries, 1):.2f} ({right} entries point at one)", flush=True)  # fmt: skip
        print(f"all {arguments.seeds}: {np.mean(total):.1f} of {arguments.spoiled}, at least {min(total)}")


if __name__ == "__main__":
    main()
