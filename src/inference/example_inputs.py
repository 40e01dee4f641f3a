"""Network inputs that an exported file is checked with."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..config import Config
from ..data.decoding import ImageRules
from ..data.images import IMAGE_SUFFIXES, read_bgr
from ..data.network_input import ImageSettings, prepare_image
from ..data.normalisation import PixelNormalisation
from ..reading import is_folder

MAX_FILES = 1000  # looked at for a first readable image


def dense_inputs(cfg: Config, size: tuple[int, int], constant: bool = True) -> dict[str, dict[str, np.ndarray]]:
    """Named cases for a network that takes an image (1, 3, *size) alone.

    An image of `cfg.val_dataset` where that is there, else a random one, and a constant one. constant: False takes the
    mirror image instead, for networks that choose among places: those of a constant image are all the same.
    """
    height, width = size
    rules = ImageRules.from_config(cfg)
    pixels, name = _first_image(cfg.val_dataset, size, rules)
    settings = ImageSettings(width, height, PixelNormalisation.from_config(cfg), keep_ratio=False, reading=rules)
    image = prepare_image(pixels, settings)[0][None]
    if not constant:
        return {name: {"image": image}, "its mirror image": {"image": np.ascontiguousarray(image[..., ::-1])}}
    return {name: {"image": image}, "a constant image": {"image": np.zeros((1, 3, height, width), np.float32)}}


def detector_inputs(settings: ImageSettings, folder: str) -> dict[str, dict[str, np.ndarray]]:
    """Named cases for a network that takes an image and its size before padding.

    The first is an image of `folder` where that is there, else a random one; then the same squeezed to the other aspect
    ratio (padded on the other side), and an image without any area, in which there can be no detection; a constant
    image would tell little, since its detections repeat with equal scores.
    """
    pixels, name = _first_image(folder, (settings.height, settings.width), settings.reading)
    tall = cv2.resize(pixels, (max(pixels.shape[1] // 2, 1), pixels.shape[0] * 2))
    wide = cv2.resize(pixels, (pixels.shape[1] * 2, max(pixels.shape[0] // 2, 1)))
    other = wide if pixels.shape[0] > pixels.shape[1] else tall
    cases = {}
    for title, image in ((name, pixels), ("another aspect ratio", other)):
        prepared, shape, _ = prepare_image(image, settings)
        cases[title] = {"image": prepared[None], "image_shape": shape[None]}
    blank = np.zeros((1, 3, settings.height, settings.width), np.float32)
    return cases | {"no detection": {"image": blank, "image_shape": np.zeros((1, 2), np.int32)}}


def _first_image(dataset: str, size: tuple[int, int], rules: ImageRules) -> tuple[np.ndarray, str]:
    """(h, w, 3) uint8 and what it is."""
    folder = Path(dataset) if dataset else None
    if folder is not None and is_folder(folder):
        for path in itertools.islice(_image_files(folder), MAX_FILES):
            pixels = read_bgr(path, rules=rules)
            if pixels is not None:
                return pixels, str(path)
    rng = np.random.RandomState(0)
    height, width = size
    coarse = rng.randint(0, 256, (max(height // 32, 2), max(width // 24, 2), 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), "a random image"


def _image_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(IMAGE_SUFFIXES))
