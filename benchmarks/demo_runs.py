"""Trainings of the demo's detectors on its drawn data, by the commands a user types, for the benchmarks beside it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
