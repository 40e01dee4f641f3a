"""Network inputs that an exported file is checked with."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..config import Config
from ..data.images import IMAGE_SUFFIXES, read_bgr
from ..data.network_input import ImageSettings, prepare_image
from ..data.normalisation import PixelNormalisation
from ..inference.backends import input_size

MAX_FILES = 1000  # looked at for a first readable image


def check_inputs(cfg: Config) -> dict[str, dict[str, np.ndarray]]:
    """Named cases: the network's inputs by name, batch 1; what a user would give and what may go wrong.

    The first is an image of `cfg.val_dataset` where that is there, else a random one. Detectors also get the same
    squeezed to the other aspect ratio (padded on the other side), and an image without any area, in which there can be
    no detection; a constant image would tell little of them, since its detections repeat with equal scores. Other
    networks get a constant one.
    """
    pixels, name = _first_image(cfg)
    height, width = input_size(cfg)
    if cfg.task != "detection":
        settings = ImageSettings(width, height, PixelNormalisation.from_config(cfg), keep_ratio=False)
        return {
            name: {"image": prepare_image(pixels, settings)[0][None]},
            "a constant image": {"image": np.zeros((1, 3, height, width), np.float32)},
        }
    settings = ImageSettings.from_config(cfg)
    tall = cv2.resize(pixels, (max(pixels.shape[1] // 2, 1), pixels.shape[0] * 2))
    wide = cv2.resize(pixels, (pixels.shape[1] * 2, max(pixels.shape[0] // 2, 1)))
    other = wide if pixels.shape[0] > pixels.shape[1] else tall
    cases = {}
    for title, image in ((name, pixels), ("another aspect ratio", other)):
        prepared, shape, _ = prepare_image(image, settings)
        cases[title] = {"image": prepared[None], "image_shape": shape[None]}
    empty = {"image": np.zeros((1, 3, height, width), np.float32), "image_shape": np.zeros((1, 2), np.int32)}
    return cases | {"no detection": empty}


def _first_image(cfg: Config) -> tuple[np.ndarray, str]:
    """(h, w, 3) uint8 and what it is."""
    folder = Path(cfg.val_dataset) if cfg.val_dataset else None
    if folder is not None and folder.is_dir():
        for path in itertools.islice(_image_files(folder), MAX_FILES):
            pixels = read_bgr(path)
            if pixels is not None:
                return pixels, str(path)
    rng = np.random.RandomState(0)
    height, width = input_size(cfg)
    coarse = rng.randint(0, 256, (max(height // 32, 2), max(width // 24, 2), 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), "a random image"


def _image_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(IMAGE_SUFFIXES))
