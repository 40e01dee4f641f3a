"""Can it learn real images by heart? The demo-sized detector on 16 COCO images, evaluated on the same 16.

    python benchmarks/overfit_coco.py --data FOLDER [--work FOLDER] [--steps N]

FOLDER has data/ and labels.json (see docs/data.md, layouts). Prints bbox AP50 and the time; expected: AP50 >= 0.80.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = "configs/demo/mask_rcnn_hrnet_overfit.yaml"
IMAGES, MOST_OBJECTS = 16, 6  # images with a few objects: those that a 256-pixel input still shows


def make_subset(source: Path, target: Path) -> None:
    """The first 16 images that show one to `MOST_OBJECTS` objects, with their annotations."""
    labels = json.loads((source / "labels.json").read_text())
    count = Counter(item["image_id"] for item in labels["annotations"])
    images = [image for image in labels["images"] if 1 <= count[image["id"]] <= MOST_OBJECTS][:IMAGES]
    ids = {image["id"] for image in images}
    (target / "data").mkdir(parents=True)
    for image in images:
        shutil.copy(source / "data" / image["file_name"], target / "data")
    annotations = [item for item in labels["annotations"] if item["image_id"] in ids]
    subset = {"images": images, "annotations": annotations, "categories": labels["categories"]}
    (target / "labels.json").write_text(json.dumps(subset))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("outputs/overfit"))
    parser.add_argument("--steps", type=int, default=0, help="stop after this many steps (default: the whole schedule)")
    arguments = parser.parse_args()
    if not (arguments.data / "labels.json").is_file():
        sys.exit(f"error: {arguments.data / 'labels.json'} does not exist")
    work = arguments.work.resolve()
    if work.exists():
        sys.exit(f"error: {work} is there already; give another --work")
    make_subset(arguments.data.resolve(), work / "data")
    started = time.perf_counter()
    subset = work / "data"
    paths = ["--train_dataset", subset, "--val_dataset", subset, "--train_outputs", work / "out"]
    command = [sys.executable, "train.py", "--config_path", CONFIG, *map(str, paths)]
    subprocess.run([*command, "--max_steps", str(arguments.steps)], cwd=ROOT, check=True)
    seconds = time.perf_counter() - started
    checkpoint = sorted((work / "out").glob("*/best_ckpt/*.ckpt"))[-1]
    command = [sys.executable, "eval.py", "--config_path", CONFIG, "--val_dataset", str(subset)]
    done = subprocess.run(
        [*command, "--checkpoint_path", str(checkpoint)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    print(done.stdout)
    table = [line for line in done.stdout.splitlines() if "IoU=0.50 " in line]
    print(f"bbox_AP50: {table[0].split('=')[-1].strip()}")
    print(f"segm_AP50: {table[1].split('=')[-1].strip()}")
    print(f"train_seconds: {seconds:.0f}")


if __name__ == "__main__":
    main()
