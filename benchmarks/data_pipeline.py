"""Images per second that the training pipeline delivers, from files and from MindRecord, against OpenCV alone.

Usage: python -m benchmarks.data_pipeline [FOLDER] [--size 1024] [--workers 2]
FOLDER is a COCO-format subset; without one, pictures of drawn shapes are made. The reference decodes and resizes in one
thread, without objects, normalisation or batches: the part that no pipeline can do without.
"""

import argparse
import contextlib
import json
import logging
import tempfile
import time
from pathlib import Path

import cv2

from src.config import Config, load_config
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex
from src.data.formats.mindrecord import read_mindrecord
from src.data.mindrecord import convert, verify
from src.data.network_input import ImageSettings, resize_image
from src.data.pipeline import build_train_loader
from src.data.synthetic.coco import write_subset
from src.errors import UserError
from src.process.command import entry_point

CONFIG = Path(__file__).parents[1] / "configs" / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"
EPOCHS, REPEATS = 3, 3
MADE_IMAGES, MADE_SIZE = 80, 640


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="COCO-format subset (default: drawn shapes)")
    parser.add_argument("--size", type=int, default=1024, help="width and height of the network's input (default 1024)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the pipeline (default 2)")
    arguments = parser.parse_args()
    if arguments.size < 32 or arguments.size % 32 or arguments.workers < 1:
        raise UserError("--size must be a multiple of 32, --workers at least 1")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or make_folder(Path(made) / "train")
        measure(folder, Path(made) / "record", arguments.size, arguments.workers)


def make_folder(folder: Path) -> Path:
    """A subset of drawn shapes as large as COCO's pictures."""
    import numpy as np

    write_subset(folder, MADE_IMAGES, MADE_SIZE, np.random.RandomState(0))
    return folder


def measure(folder: Path, record: Path, size: int, workers: int) -> None:
    """Print the rates of OpenCV alone and of the pipeline, by threads and processes, from files and MindRecord."""
    names = [item["name"] for item in json.loads((folder / "labels.json").read_text())["categories"]]
    dataset = read_coco(folder, names)
    print(f"{folder}: {len(dataset)} images at {size} x {size}, {workers} workers")
    with contextlib.redirect_stdout(None):
        convert(make_config(size, workers, False), dataset, record)
    print(f"as MindRecord: {verify(record)}")
    converted = read_mindrecord(record, names)
    for processes in (False, True):
        cfg = make_config(size, workers, processes)
        plain = plain_rate(dataset, cfg)
        rate, first = pipeline_rate(dataset, cfg)
        print(
            f"{'processes' if processes else 'threads'}: {rate:.1f} images/s (first batch after {first:.2f} s); "
            f"cv2.imread and resize alone, one thread: {plain:.1f} images/s; ratio {rate / plain:.2f}; "
            f"from MindRecord: {pipeline_rate(converted, cfg)[0]:.1f} images/s",
            flush=True,
        )


def make_config(size: int, workers: int, processes: bool) -> Config:
    values = {
        "img_width": size,
        "img_height": size,
        "num_parallel_workers": workers,
        "python_multiprocessing": processes,
        "epoch_size": EPOCHS,
    }
    return load_config(CONFIG, [f"--{key}={value}" for key, value in values.items()])


def plain_rate(dataset: DetectionIndex, cfg: Config) -> float:
    """Images per second of the fastest of some rounds (the first also warms the disk cache)."""
    settings = ImageSettings.for_training(cfg)
    paths = [dataset.record(i).path for i in dataset.training_indices(cfg.filter_empty_gt)]
    cv2.setNumThreads(1)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for path in paths:
            resize_image(cv2.imread(str(path)), settings)
        seconds.append(time.perf_counter() - started)
    return len(paths) / min(seconds)


def pipeline_rate(dataset: DetectionIndex, cfg: Config) -> tuple[float, float]:
    """Images per second after the first batch, and the seconds until that one."""
    started = time.perf_counter()
    batches = iter(build_train_loader(cfg, dataset))
    next(batches)
    first = time.perf_counter()
    count = sum(1 for _ in batches)
    return count * cfg.batch_size / (time.perf_counter() - first), first - started


if __name__ == "__main__":
    main()
