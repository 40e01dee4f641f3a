"""What a detector's training sample takes with each augmentation, against one without; a picture of each.

Usage: python -m benchmarks.augmentation [FOLDER] [--size 1024] [--picture FILE]
FOLDER is a COCO-format subset; without one, pictures of drawn shapes are made. Processor time of one thread, the least
of some rounds, without reading its file; a combination reads those of its partners. --picture writes samples with their
objects drawn on them: a row for each.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.data_pipeline import ALL, CONFIG, make_folder
from src.config import load_config
from src.data.formats import open_detection
from src.data.pipeline import DetectionSamples
from src.data.streams import SampleStreams
from src.errors import UserError
from src.process.command import entry_point

CASES: dict[str, dict[str, object]] = {  # row: keys
    "off": {},
    "train_scales": {"train_scales": "[[{size},{size}],[{half},{half}]]"},
    "large_scale_jitter": {"large_scale_jitter": "[0.1,2.0]"},
    "color_jitter": {"color_jitter": 0.5},
    "photometric_distortion": {"photometric_distortion": 1},
    "rotate90": {"rotate90_ratio": 1},
    "vertical_flip": {"vertical_flip_ratio": 1},
    "random_erasing": {"random_erasing": 1},
    "all": ALL,
    "copy_paste": {"copy_paste": 1},
    "copy_paste, jitter": {"copy_paste": 1, "large_scale_jitter": "[0.1,2.0]"},
    "mosaic": {"mosaic": 1},
    "mosaic, copy_paste": {"mosaic": 1, "copy_paste": 1},
}  # fmt: skip
DRAWS, ROUNDS = 4, 6
COLUMNS, CELL = 4, 160  # of the picture; pixels


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="COCO-format subset (default: drawn shapes)")
    parser.add_argument("--size", type=int, default=1024, help="width and height of the network's input (default 1024)")
    parser.add_argument("--picture", type=Path, help="file for a picture of the samples")
    arguments = parser.parse_args()
    if arguments.size < 64 or arguments.size % 32:
        raise UserError("--size must be a multiple of 32, 64 at least")
    logging.disable(logging.WARNING)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or make_folder(Path(made) / "train")
        cases = {name: open_samples(folder, arguments.size, keys) for name, keys in CASES.items()}
        rounds = [[milliseconds(samples) for samples in cases.values()] for _ in range(ROUNDS)]
        least = [min(times) for times in zip(*rounds)]
        for name, takes in zip(cases, least):
            print(f"{name:24}{takes:6.2f} ms a sample, {takes / least[0]:.2f} x without")
        rows = [np.hstack([cell(one, number, name) for number in range(COLUMNS)]) for name, one in cases.items()]
    if arguments.picture and not cv2.imwrite(str(arguments.picture), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 80]):
        raise UserError(f"{arguments.picture} cannot be written")


def open_samples(folder: Path, size: int, keys: dict[str, object]) -> DetectionSamples:
    """Of the first images with objects, flips off."""
    values = {"train_dataset": folder, "input_size": size, "flip_ratio": 0, "coco_classes": "[]"} | keys
    typed = [f"--{key}={value}".format(size=size, half=size // 2) for key, value in values.items()]
    cfg = load_config(CONFIG, typed)
    dataset = open_detection(cfg, "train")
    return DetectionSamples(dataset, dataset.training_indices(True)[:COLUMNS], cfg)


def milliseconds(samples: DetectionSamples) -> float:
    """Processor time of a sample, from decoded image and labels to the network's input: mean over images and draws."""
    items = [samples.read(number) for number in range(COLUMNS)]
    started = time.process_time()
    for epoch in range(DRAWS):
        for number, item in enumerate(items):
            samples.make(item, SampleStreams(0, epoch, samples.keys[number]))
    return 1000 * (time.process_time() - started) / (DRAWS * COLUMNS)


def cell(samples: DetectionSamples, number: int, name: str) -> np.ndarray:
    """(CELL, CELL, 3) BGR: a training sample of this image with its masks and boxes."""
    made = samples.make(samples.read(number), SampleStreams(1, number + 3, samples.keys[number]))
    sample = dict(zip(samples.columns, made))
    mean, std = np.float32(samples.cfg.img_mean), np.float32(samples.cfg.img_std)
    shown = np.clip(np.round(sample["image"].transpose(1, 2, 0) * std + mean), 0, 255).astype(np.uint8)
    shown = np.ascontiguousarray(shown[..., ::-1])
    colours = np.random.RandomState(0).randint(80, 256, (len(sample["gt_labels"]), 3))
    for row in np.flatnonzero(sample["gt_labels"]):
        if row < len(sample["gt_masks"]):
            bitmap = np.unpackbits(sample["gt_masks"][row], axis=-1).astype(bool)
            shown[bitmap] = (0.5 * shown[bitmap] + 0.5 * colours[row]).astype(np.uint8)
        left, top, right, bottom = (int(edge) for edge in sample["gt_boxes"][row])
        cv2.rectangle(shown, (left, top), (right - 1, bottom - 1), colours[row].tolist(), max(shown.shape[0] // 200, 1))
    shown = cv2.resize(shown, (CELL, CELL), interpolation=cv2.INTER_AREA)
    shown = cv2.copyMakeBorder(shown, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    cv2.putText(shown, name, (4, CELL - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return shown


if __name__ == "__main__":
    main()
