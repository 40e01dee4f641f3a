"""A detector's report on made-up predictions, as `eval.py --prediction_path --report_dir` makes it, by the clock.

    python benchmarks/report_speed.py [--images 5000] [--reference 1]

By default 5,000 images with 36,000 objects of 80 classes and 100 detections each, all with masks, those of objects as
polygons and of crowds as run-length codes: COCO's validation set. Prints the seconds of the whole (labels and
predictions read, evaluated, the report written) and of its parts, by the clock and of the processor: on a machine that
is busy otherwise the latter say more. With --reference those of pycocotools' own evaluation of the same too, and
whether every number is the same.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402

from src.config import default_config  # noqa: E402
from src.evaluation.coco_eval import KINDS, STATISTICS, ground_truth  # noqa: E402
from src.inference.prediction_file import load_predictions  # noqa: E402
from src.tasks import TASKS  # noqa: E402
from src.tasks.detection_scores import Predicted  # noqa: E402

HEIGHT, WIDTH, CLASSES, FOUND, SHAPES, VARIANTS = 480, 640, 80, 100, 400, 6
OBJECTS = 7.2  # an image


def shapes(rng: np.random.Generator) -> list[list[tuple[list[float], dict]]]:
    """Boxes and masks; of each some that lie nearly there."""

    def shape(box: np.ndarray) -> tuple[list[float], dict]:
        x, y = np.clip(box[:2], 0, (WIDTH - 8, HEIGHT - 8))
        w, h = np.clip(box[2:], 8, (WIDTH - x, HEIGHT - y))
        code = coco_mask.frPyObjects([corners([x, y, w, h])], HEIGHT, WIDTH)[0]
        return [x, y, w, h], {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}

    found = []
    for _ in range(SHAPES):
        size = np.exp(rng.uniform(np.log(10), np.log(350), 2))
        box = np.concatenate([rng.uniform(0, 1, 2) * np.maximum([WIDTH, HEIGHT] - size, 1), size])
        moves = [rng.normal(0, 0.1, 4) * np.tile(size, 2) * (k > 0) for k in range(VARIANTS)]
        found.append([shape(box + move) for move in moves])
    return found


def corners(box: list[float]) -> list[float]:
    """The outline of every mask: the middles of its box's sides."""
    x, y, w, h = box
    return [x + w / 2, y, x + w, y + h / 2, x + w / 2, y + h, x, y + h / 2]


def make_up(folder: Path, images: int) -> tuple[Path, Path]:
    """The data set's folder, whose images are all one picture, and a file of predictions."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    cv2.imwrite(str(folder / "picture.jpg"), rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    known, objects, results = shapes(rng), [], []
    for image in range(1, images + 1):
        (folder / "data" / f"{image:012d}.jpg").symlink_to("../picture.jpg")
        own = rng.integers(0, SHAPES, rng.poisson(OBJECTS))
        labels = rng.integers(1, CLASSES + 1, len(own))
        for shape, label in zip(own, labels.tolist()):
            box, mask = known[shape][0]
            crowd = int(rng.random() < 0.01)
            objects.append({"id": len(objects) + 1, "image_id": image, "category_id": label, "iscrowd": crowd,
                            "bbox": box, "area": float(coco_mask.area(mask)),
                            "segmentation": mask if crowd else [corners(box)]})  # fmt: skip
        for _ in range(FOUND):
            if len(own) and rng.random() < 0.4:
                k = rng.integers(len(own))
                shape, label, score = own[k], int(labels[k]), rng.beta(2, 2)
            else:
                shape, label, score = rng.integers(SHAPES), int(rng.integers(1, CLASSES + 1)), rng.beta(1, 8)
            box, mask = known[shape][rng.integers(VARIANTS)]
            results.append({"image_id": image, "category_id": label, "bbox": box, "score": float(score),
                            "segmentation": mask})  # fmt: skip
    content = {
        "images": [{"id": k, "file_name": f"{k:012d}.jpg", "height": HEIGHT, "width": WIDTH}
                   for k in range(1, images + 1)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)],
        "annotations": objects,
    }  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(results))
    print(f"{images} images, {len(objects)} objects, {len(results)} detections")
    return folder, folder / "found.json"


def reference(dataset, results: list[dict]) -> dict[str, float]:
    """pycocotools' own metrics."""
    metrics = {}
    for prefix, _, _, shape in KINDS.values():
        kind = "bbox" if shape == "bbox" else "segm"
        other = {"bbox": "segmentation", "segm": "bbox"}[kind]
        truth = ground_truth(dataset)
        direct = COCOeval(truth, truth.loadRes([{k: v for k, v in one.items() if k != other} for one in results]), kind)
        direct.evaluate()
        direct.accumulate()
        direct.summarize()
        metrics |= {f"{prefix}_{name}": float(value) for name, value in zip(STATISTICS, direct.stats)}
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--reference", type=int, choices=(0, 1), default=0)
    arguments = parser.parse_args()
    task, seconds = TASKS["detection"], {}
    with tempfile.TemporaryDirectory() as place:
        data, predictions = make_up(Path(place), arguments.images)
        keys = {"val_dataset": data, "val_data_type": "coco", "report_dir": data / "report"}
        cfg = default_config([f"--{name}={value}" for name, value in keys.items()])
        started, of_processor = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(None):
            dataset = task.open(cfg, "val")
            seconds["labels"] = time.perf_counter() - started
            found = Predicted(load_predictions(predictions, dataset), {})
            seconds["predictions"] = time.perf_counter() - started - sum(seconds.values())
            metrics = task.score_results(cfg, dataset, found)
            seconds["evaluation and report"] = time.perf_counter() - started - sum(seconds.values())
        print(f"report in {sum(seconds.values()):.1f} s: " + ", ".join(f"{k} {v:.1f}" for k, v in seconds.items()))
        print(f"{time.process_time() - of_processor:.1f} s of the processor")
        if arguments.reference:
            started, of_processor = time.perf_counter(), time.process_time()
            with contextlib.redirect_stdout(None):
                expected = reference(dataset, found.results)
            print(
                f"pycocotools evaluates in {time.perf_counter() - started:.1f} s "
                f"({time.process_time() - of_processor:.1f} s of the processor); same: {expected == metrics}"
            )
            assert isinstance(dataset.coco, COCO) and expected == metrics


if __name__ == "__main__":
    main()
