"""What a large image by tiles has of the images that it is made of: collages of 5 x 5 of the demo's validation images.

    python benchmarks/tiles.py [--run RUN_FOLDER --data DATA] [--rows 5] [--tile 128] [--keep FOLDER]

eval.py predicts the images one by one, and each collage by tiles whose overlap is the side of its largest object. For
each collage two lines: recall of the objects at IoU 0.5 and mAP, of boxes and of masks, by pycocotools with all
detections counted. The tiles do not fall on the images: an overlap below one shifts them against each other.

Without --run the demo's Mask R-CNN is trained first (half an hour on two cores). RUN_FOLDER has a `config.yaml` and
`best_ckpt/`; DATA has `validation/`. --keep: a folder for the collages, their labels and what was predicted.
"""

import argparse
import contextlib
import io
import json
import math
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402

from benchmarks.demo_runs import DEMO_EPOCHS, ROOT, draw, mean_defined, run, train_and_predict  # noqa: E402
from src.data.masks import to_rle  # noqa: E402
from src.data.rle import moved  # noqa: E402

CONFIG = ROOT / "configs" / "demo" / "mask_rcnn_hrnet_shapes.yaml"
BETWEEN = (104, 116, 124)  # BGR of what lies beside smaller images, as it is beside them in the network's input
MOST = 10_000  # detections of an image and class


def with_text(rle: dict) -> dict:
    counts = rle["counts"]
    return rle | {"counts": counts if isinstance(counts, str) else counts.decode()}


def make_collages(validation: Path, folder: Path, rows: int) -> list[list[int]]:
    """Data sets folder/single and folder/collage; of each collage the ids of its images."""
    content = json.loads((validation / "labels.json").read_text())
    images = content["images"]
    cell = max(max(one["width"], one["height"]) for one in images)
    count = len(images) // rows**2
    groups = [images[k * rows**2 : (k + 1) * rows**2] for k in range(count)]
    for name in ("single", "collage"):
        (folder / name / "data").mkdir(parents=True)
    whole, objects = [], []
    for number, group in enumerate(groups, start=1):
        canvas = np.full((rows * cell, rows * cell, 3), BETWEEN, np.uint8)
        for place, one in enumerate(group):
            y, x, height, width = cell * (place // rows), cell * (place % rows), one["height"], one["width"]
            path = (validation / "data" / one["file_name"]).resolve()
            (folder / "single" / "data" / one["file_name"]).symlink_to(path)
            canvas[y : y + height, x : x + width] = cv2.imread(str(path))
            for own in (own for own in content["annotations"] if own["image_id"] == one["id"]):
                mask = moved(with_text(to_rle(own["segmentation"], height, width)), canvas.shape[:2], (y, x))
                box = [own["bbox"][0] + x, own["bbox"][1] + y, *own["bbox"][2:]]
                objects.append(own | {"id": len(objects) + 1, "image_id": number, "bbox": box, "segmentation": mask})
        cv2.imwrite(str(folder / "collage" / "data" / f"{number}.png"), canvas)
        whole.append({"id": number, "file_name": f"{number}.png", "width": rows * cell, "height": rows * cell})
    ids = [[one["id"] for one in group] for group in groups]
    used = {one for group in ids for one in group}
    single = content | {
        "images": [one for one in images if one["id"] in used],
        "annotations": [own for own in content["annotations"] if own["image_id"] in used],
    }
    (folder / "single" / "labels.json").write_text(json.dumps(single))
    (folder / "collage" / "labels.json").write_text(json.dumps(content | {"images": whole, "annotations": objects}))
    return ids


def scores(labels: Path, predictions: Path, images: list[int], kind: str) -> tuple[float, float]:
    """(recall at IoU 0.5, mAP) on some images."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        evaluator = COCOeval(truth, truth.loadRes(json.loads(predictions.read_text())), kind)
        evaluator.params.imgIds, evaluator.params.maxDets = images, [1, 10, MOST]
        evaluator.evaluate()
        evaluator.accumulate()
    return mean_defined(evaluator.eval["recall"][0, :, 0, -1]), mean_defined(evaluator.eval["precision"][..., 0, -1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        data, own_run = arguments.data or work / "data", arguments.run
        if not arguments.data:
            draw(data)
        if not own_run:
            train_and_predict(CONFIG, data / "train", data / "validation", work / "run", DEMO_EPOCHS, 1)
            (own_run,) = (one.parent for one in (work / "run").glob("*/config.yaml"))
        checkpoint = sorted(own_run.glob("best_ckpt/*.ckpt"))[-1]
        folder = arguments.keep or work / "collages"
        groups = make_collages(data / "validation", folder, arguments.rows)
        boxes = [one["bbox"] for one in json.loads((folder / "collage" / "labels.json").read_text())["annotations"]]
        largest = max(max(box[2:]) for box in boxes)
        overlap = min(math.ceil(100 * largest / arguments.tile) / 100, 0.9)
        print(f"largest object {largest:.0f} pixels: tile {arguments.tile}, tile_overlap {overlap}", flush=True)
        common = ("eval.py", "--config_path", own_run / "config.yaml", "--checkpoint_path", checkpoint)
        for name, keys in (("single", ()), ("collage", ("--tile", arguments.tile, "--tile_overlap", overlap))):
            started = time.perf_counter()
            made = ("--val_dataset", folder / name, "--prediction_path", folder / f"{name}.json")
            printed = run(*common, *made, *keys)
            (line,) = (line for line in printed.splitlines() if line.startswith("Protocol: "))
            print(f"{name}: {time.perf_counter() - started:.0f} s. {line}", flush=True)
        for number, images in [*enumerate(groups, start=1), ("all", [one for group in groups for one in group])]:
            for kind in ("bbox", "segm"):
                own = list(range(1, len(groups) + 1)) if number == "all" else [number]
                before = scores(folder / "single" / "labels.json", folder / "single.json", images, kind)
                after = scores(folder / "collage" / "labels.json", folder / "collage.json", own, kind)
                print(f"collage {number}, {kind}: recall {before[0]:.3f} by images, {after[0]:.3f} by tiles "
                      f"({after[0] / max(before[0], 1e-9):.3f} of it); mAP {before[1]:.4f} and {after[1]:.4f} "
                      f"({after[1] - before[1]:+.4f})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
