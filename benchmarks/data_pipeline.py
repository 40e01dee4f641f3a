"""Images per second that the training pipeline delivers, by parts and as a whole, from files and from MindRecord.

Usage: python -m benchmarks.data_pipeline [FOLDER] [--size 1024] [--workers 2] [--figures FILE] [--keys ...]
FOLDER is a COCO-format subset; without one, pictures of drawn shapes are made. What follows --keys is read as train.py
reads it; without --keys all augmentations are measured too. References: OpenCV decodes and resizes in one thread, no
objects, normalisation or batches, the part that no pipeline can do without; where PyTorch is installed, its DataLoader
with torchvision's transforms (torch_loader.py).

Seconds depend on what else the machine does. CPU time does not, or little: it is printed beside them, of those who make
batches and of the process that takes them. The framework asks its workers every tenth of a second whether there is a
batch when there was none: where images are wanted faster than they are made, that is seen in the first workers' rates.
"""

import argparse
import contextlib
import cProfile
import importlib.util
import json
import logging
import os
import pstats
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import mindspore.dataset  # noqa: F401 (which takes seconds)
import numpy as np
import psutil  # MindSpore's own requirement

from benchmarks.figures import Figure, add_figures_option, versioned
from benchmarks.figures import show as show_figures
from src.config import Config, load_config
from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex
from src.data.formats.mindrecord import read_mindrecord
from src.data.loader import TrainLoader, sent_by_workers
from src.data.mindrecord import convert, verify
from src.data.network_input import ImageSettings, resize_image
from src.data.pipeline import build_train_loader
from src.data.synthetic.coco import write_subset
from src.errors import UserError
from src.process.command import entry_point

ALONE = "one worker, in the process that trains"
CONFIG = Path(__file__).parents[1] / "configs" / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"
EPOCHS, REPEATS = 3, 3
TORCH_EPOCHS = 1  # of PyTorch's loader, which takes longer
ROUNDS = 2  # of the pipelines, in turn; the fastest counts
ASKED = 50  # images a second of a worker, where nothing is switched on
ASKED_OF_TWO = 1.5  # times the images of one
# Every change of one image, as benchmarks/augmentation.py has it; and those of several images with it.
ALL = {
    "large_scale_jitter": "[0.1,2.0]", "color_jitter": 0.5, "photometric_distortion": 1, "rotate90_ratio": 0.5,
    "vertical_flip_ratio": 0.5, "random_erasing": 0.5,
}  # fmt: skip
SEVERAL = {**ALL, "copy_paste": 0.5, "mosaic": 0.5}
MADE_IMAGES, MADE_SIZE = 80, 640
# Part of a sample: (file, function), whose time with all that it calls is the part's.
PARTS = {
    "read and decode": (("images.py", "labelled_bgr"),),
    "image through the transforms": (("transform.py", "image"),),
    "normalised, padded": (("network_input.py", "normalise_and_pad"),),
    "masks through the transforms": (("transform.py", "masks"),),
    "masks decoded": (("masks.py", "layered"),),
    "masks packed": (("masks.py", "_pack_group"),),
    "stacked": (("batch_memory.py", "stacked"),),
    "squeezed": (("sparse.py", "squeeze_rows"),),
}


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="COCO-format subset (default: drawn shapes)")
    parser.add_argument("--size", type=int, default=1024, help="width and height of the network's input (default 1024)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the pipeline (default 2)")
    add_figures_option(parser)
    parser.add_argument("--keys", nargs=argparse.REMAINDER, default=[], help="configuration keys; the last argument")
    arguments = parser.parse_args()
    if arguments.size < 32 or arguments.size % 32 or arguments.workers < 1:
        raise UserError("--size must be a multiple of 32, --workers at least 1")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or make_folder(Path(made) / "train")
        figures = measure(folder, Path(made) / "record", arguments.size, arguments.workers, arguments.keys)
        show_figures(figures, arguments.figures)


def make_folder(folder: Path) -> Path:
    """A subset of drawn shapes as large as COCO's pictures."""
    write_subset(folder, MADE_IMAGES, MADE_SIZE, np.random.RandomState(0))
    return folder


def measure(folder: Path, record: Path, size: int, workers: int, keys: Sequence[str]) -> list[Figure]:
    """Print a sample's parts, and the rates of OpenCV alone and of the pipeline, by threads and processes."""
    names = [item["name"] for item in json.loads((folder / "labels.json").read_text())["categories"]]
    dataset = read_coco(folder, names)
    print(f"{folder}: {len(dataset)} images at {size} x {size}, {workers} workers", *keys)
    print(f"load of the machine's {os.cpu_count()} cores when this began: {os.getloadavg()[0]:.1f}")
    cfg = make_config(size, 1, False, keys)
    show_parts(build_train_loader(cfg, dataset))
    plain = plain_rate(dataset, cfg)
    print(f"cv2.imread and resize alone, one thread: {plain:.1f} images/s")
    sets = {"": list(keys)} if keys else {"": [], "all changes of one image": typed(ALL), "all changes": typed(SEVERAL)}
    figures, others = [], torch_rates(dataset, cfg, workers)
    for name, own in sets.items():
        if name:
            print(f"{name}:", *own)
        rates = rates_of(dataset, size, workers, own)
        for way, rate in rates.items():
            show(way, rate, plain, rates[ALONE] if way != ALONE else None)
        what = f"{name or ' '.join(keys) or 'plain'}, {size} x {size}"
        figures += figures_of(what, rates, plain, {} if own else others, is_plain=not own)
    with contextlib.redirect_stdout(None):
        convert(cfg, dataset, record)
    print(f"as MindRecord: {verify(record)}")
    show("from MindRecord, one worker", Rate.of(read_mindrecord(record, names), cfg), plain)
    return figures


def typed(keys: dict[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in keys.items()]


def rates_of(dataset: DetectionIndex, size: int, workers: int, keys: Sequence[str]) -> "dict[str, Rate]":
    """Of each way to work: alone, by threads, by processes; the fastest round."""
    ways = {ALONE: make_config(size, 1, False, keys)}
    if workers > 1:
        ways |= {f"{workers} threads": make_config(size, workers, False, keys)}
        ways |= {f"{workers} processes": make_config(size, workers, True, keys)}
    rounds = [{way: Rate.of(dataset, cfg) for way, cfg in ways.items()} for _ in range(ROUNDS)]
    return {way: max((one[way] for one in rounds), key=lambda rate: rate.images) for way in ways}


def torch_rates(dataset: DetectionIndex, cfg: Config, workers: int) -> dict[int, tuple[float, float]]:
    """Workers -> images/s and seconds to the first batch of PyTorch's DataLoader; nothing where it is not installed."""
    if not all(map(importlib.util.find_spec, ("torch", "torchvision"))):
        print("PyTorch and torchvision are not installed: no comparison with its DataLoader")
        return {}
    from benchmarks.torch_loader import Samples, rate

    entries = dataset.training_indices(cfg.filter_empty_gt)
    samples = Samples(dataset, entries, cfg.img_width, cfg.img_mean, cfg.img_std)
    counts = (0, workers) if workers > 1 else (0,)
    rounds = [{count: rate(samples, cfg.batch_size, count, TORCH_EPOCHS) for count in counts} for _ in range(ROUNDS)]
    return {count: max(one[count] for one in rounds) for count in counts}


def figures_of(
    what: str, rates: "dict[str, Rate]", plain: float, others: dict[int, tuple[float, float]], is_plain: bool
) -> list[Figure]:
    """Ours beside OpenCV alone, two workers beside one, and where they are like ours PyTorch's."""
    found, opencv = [], f"{versioned('opencv-python-headless', 'OpenCV')} read and resize, one thread"
    torch = f"{versioned('torch', 'PyTorch')} DataLoader, torchvision transforms" if others else ""
    rate = partial(Figure, unit="images/s")
    for way, own in rates.items():
        found.append(rate(f"{what}: {way}", own.images, plain, against=opencv))
        if way == ALONE and is_plain:
            found.append(rate(f"{what}: {way}", own.images, ASKED, against="what was asked for", goal=1))
        count = 0 if way == ALONE else int(way.split()[0])
        if count:
            goal = ASKED_OF_TWO if way == "2 processes" else None
            found.append(rate(f"{what}: {way}", own.images, rates[ALONE].images, against=ALONE, goal=goal))
        if count in others and not way.endswith("threads"):
            images, first = others[count]
            found.append(rate(f"{what}: {way}", own.images, images, against=torch))
            found.append(Figure(f"{what}: {way}, to the first batch", own.first, first, "s", torch))
    return found


def make_config(size: int, workers: int, processes: bool, keys: Sequence[str] = ()) -> Config:
    values = {
        "img_width": size,
        "img_height": size,
        "num_parallel_workers": workers,
        "python_multiprocessing": processes,
        "epoch_size": EPOCHS,
    }
    return load_config(CONFIG, [*(f"--{key}={value}" for key, value in values.items()), *keys])


def show_parts(loader: TrainLoader) -> None:
    """Print the CPU time of one sample in a batch, as a worker sends it, and under the profiler that of its parts.

    Who decodes, transforms and packs is found by name; the parts are not all there is, and the profiler adds its own.
    """
    batches, size = sent_by_workers(loader.source), loader.source.batch_size
    steps = loader.steps_per_epoch
    cv2.setNumThreads(1)
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        for k in range(steps):
            batches[k]
        seconds.append((time.process_time() - started) / steps / size)
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    for k in range(steps):
        batches[k]
    profiler.disable()
    found = {}
    for (path, _, name), (_, _, _, with_calls, _) in pstats.Stats(profiler).stats.items():
        key = Path(path).name, name
        found[key] = max(found.get(key, 0.0), with_calls)
    best = min(seconds)
    print(f"a sample as a worker sends it: {1000 * best:.1f} ms of CPU, {1 / best:.0f} a second and core; by parts:")
    for part, places in PARTS.items():
        whole = sum(found.get(place, 0.0) for place in places)
        print(f"    {part}: {1000 * whole / steps / size:.2f} ms")


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


@dataclass
class Rate:
    """images: a second, after the first batch; first: seconds until that one; own, others: CPU ms an image of this
    process and of the workers that are processes.
    """

    images: float
    first: float
    own: float
    others: float

    @classmethod
    def of(cls, dataset: DetectionIndex, cfg: Config) -> "Rate":
        loader = build_train_loader(cfg, dataset)
        started, own, last = time.perf_counter(), time.process_time(), len(loader) - 1
        first = others = 0.0
        for k, _ in enumerate(loader):
            if k == 0:
                first = time.perf_counter() - started
            if k == last:  # the workers end with the last batch
                ended = time.perf_counter()
                for child in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        others += sum(child.cpu_times()[:2])
        own, images = time.process_time() - own, len(loader) * cfg.batch_size
        rate = last * cfg.batch_size / (ended - started - first)
        return cls(rate, first, 1000 * own / images, 1000 * others / images)


def show(name: str, rate: Rate, plain: float, one: Rate | None = None) -> Rate:
    of_workers = f"{rate.others:.1f} ms in workers and " if rate.others else ""
    against = f", {rate.images / one.images:.2f} x one worker" if one is not None else ""
    print(
        f"{name}: {rate.images:.1f} images/s{against}; {rate.images / plain:.2f} x OpenCV alone; CPU an image: "
        f"{of_workers}{rate.own:.1f} ms in this process (first batch after {rate.first:.2f} s)",
        flush=True,
    )
    return rate


if __name__ == "__main__":
    main()
