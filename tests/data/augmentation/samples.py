"""The training samples of a small data set of each task, with every random change of today switched on."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from src.config import load_config
from src.config.schema import key, keys
from src.data.augmentation.transform import Transform
from src.data.formats import open_detection
from src.data.formats.image_folder import open_image_folder
from src.data.formats.segmentation_list import open_segmentation
from src.data.imagenet import FolderSamples
from src.data.pipeline import DetectionSamples
from src.data.segmentation import SegmentationSamples
from src.data.streams import SampleStreams
from tests.data.tiny import square

CONFIGS = Path(__file__).parents[3] / "configs" / "demo"
COUNT = 6


@dataclass(frozen=True)
class RedCast(Transform):
    """Red of at least a random number up to `red_cast`; 0 is off."""

    least: int

    @classmethod
    def draw(cls, cfg, size, rng):
        return cls(int(rng.randint(1, cfg.red_cast + 1))) if cfg.red_cast else None

    def image(self, image):
        red, green, blue = np.moveaxis(image, -1, 0)
        return np.stack([np.maximum(red, self.least), green, blue], -1).astype(np.uint8)


@keys(matters="training", on_resume="same")
class RedCastKeys:
    red_cast: int = key(0, "the most that red is at least; 0 is off", low=0, high=255)


def config(demo: str, keys: dict):
    return load_config(CONFIGS / f"{demo}.yaml", [f"--{name}={value}" for name, value in keys.items()])


def write_pictures(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{k}.png" for k in range(COUNT)]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.random.RandomState(k).randint(0, 256, (40, 50, 3)).astype(np.uint8))
    return paths


def detection(folder: Path, own: dict):
    if not folder.exists():
        paths = write_pictures(folder / "data")
        images = [{"id": k, "file_name": path.name, "width": 50, "height": 40} for k, path in enumerate(paths)]
        annotations = [{"id": k} | square(k, (4 + k, 2, 9, 14)) for k in range(COUNT)]
        labels = {"images": images, "annotations": annotations, "categories": [{"id": 9, "name": "cat"}]}
        (folder / "labels.json").write_text(json.dumps(labels))
    keys = {"img_width": 96, "img_height": 96, "num_gts": 2, "expand_ratio": 0.5, "train_dataset": folder}
    names = {"coco_classes": "[background, cat]", "num_classes": 2}
    cfg = config("mask_rcnn_hrnet_shapes", keys | names | own)
    return DetectionSamples(open_detection(cfg, "train"), list(range(COUNT)), cfg)


def classification(folder: Path, own: dict):
    if not folder.exists():
        write_pictures(folder / "ant")
        write_pictures(folder / "bee")
    keys = {"input_size": 32, "num_classes": 2, "color_jitter": 0.4, "rand_augment": 2, "crop_scale": "[0.2, 1]"}
    cfg = config("hrnet_cls_shapes", keys | own)
    return FolderSamples(open_image_folder(cfg, str(folder)), cfg)


def segmentation(folder: Path, own: dict):
    if not folder.exists():
        paths = write_pictures(folder)
        for k, path in enumerate(paths):
            label = np.random.RandomState(k).randint(0, 20, (40, 50)).astype(np.uint8)
            cv2.imwrite(str(path.with_name(f"l{k}.png")), label)
        (folder / "train.lst").write_text("".join(f"{k}.png\tl{k}.png\n" for k in range(COUNT)))
    keys = {"color_jitter": 0.4, "img_width": 48, "img_height": 32, "base_size": 60}
    cfg = config("hrnet_seg_lip_shapes", keys | own)
    return SegmentationSamples(open_segmentation(cfg, str(folder), "train"), cfg)


TASKS = {"detection": detection, "classification": classification, "segmentation": segmentation}


def made(task: str, folder: Path, **own) -> list[dict[str, np.ndarray]]:
    """Every training sample of a small data set, one epoch. own: keys, beside those that make the rest random."""
    samples = TASKS[task](folder / task, own)
    sample = [samples.make(samples.read(k), SampleStreams(3, 0, samples.keys[k])) for k in range(COUNT)]
    return [dict(zip(samples.columns, columns)) for columns in sample]


def shape(sample: dict) -> tuple[int, int]:
    """(h, w) of the image before padding."""
    return tuple(sample["image_shape"]) if "image_shape" in sample else sample["image"].shape[1:]


def height(sample: dict) -> int:
    """Of the image before padding."""
    return int(shape(sample)[0])
