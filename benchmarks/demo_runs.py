"""Trainings of the demo's detectors on its drawn data, by the commands a user types, for the benchmarks beside it."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

ROOT = Path(__file__).parents[1]
DEMO_EPOCHS, TRAIN_IMAGES, VAL_IMAGES, SIZE = 24, 500, 100, 128  # of configs/demo/mask_rcnn_hrnet_shapes.yaml


def run(*arguments: object) -> str:
    """A command of this project; its output."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def draw(data: Path, images: int = TRAIN_IMAGES, val_images: int = VAL_IMAGES) -> None:
    """The demo's data set: data/train and data/validation."""
    drawn = ("--images", images, "--val-images", val_images, "--size", SIZE, "--seed", 1)
    run("-m", "src.data.synthetic", "coco", data, *drawn)


def train_and_predict(
    config: str, train: Path, val: Path, out: Path, epochs: int, seed: int, keys: Sequence[object] = ()
) -> tuple[Path, str]:
    """Train from scratch, predict the images of `val`: the COCO results file, and what eval.py printed.

    epochs: the whole schedule, rates included. keys: further ones, `--key value`.
    """
    common = ("--config_path", config, *keys, "--val_dataset", val)
    schedule = ("--epoch_size", epochs, "--eval_every", epochs, "--seed", seed)
    run("train.py", *common, "--train_dataset", train, "--train_outputs", out, *schedule)
    checkpoint = sorted(out.glob("*/best_ckpt/*.ckpt"))[-1]
    predictions = out / "predictions.json"
    printed = run("eval.py", *common, "--checkpoint_path", checkpoint, "--prediction_path", predictions)
    return predictions, printed


def coco_precision(annotations: Path, predictions: Path, kind: str) -> np.ndarray:
    """pycocotools' precision of `kind` (bbox, segm): (10 thresholds, 101 recalls, classes by id), of all areas, with
    the most detections; -1 where it is not defined.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        found = json.loads(predictions.read_text(encoding="utf-8"))
        if not found:
            return np.zeros((10, 101, len(truth.getCatIds())))
        evaluator = COCOeval(truth, truth.loadRes(found), kind)
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval["precision"][:, :, :, 0, -1]


def mean_defined(precision: np.ndarray) -> float:
    """AP of a part of `coco_precision`'s array; -1 where nothing of it is defined."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else -1.0
