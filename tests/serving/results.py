"""Results of a network that is none, with names that HTML would mistake."""

import time

import numpy as np
from pycocotools import mask as coco_mask

from src.config import default_config
from src.data.label_sets import LabelSet
from src.inference.found import FoundClasses, FoundMap, FoundObjects, Look
from src.inference.results import ImagePrediction

NAMES = ("person", '<b>"cat" & dog</b>', "unknown")
SCORES = (0.9, 0.6, 0.25)


def encoded(mask: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def objects(height: int = 400, width: int = 800, masks: bool = True) -> FoundObjects:
    """Three, side by side: each a quarter as wide as the image, its mask the left half of its box."""
    boxes, codes = [], []
    for k in range(3):
        left, right, top, bottom = (
            width // 8 + k * width // 4,
            width // 8 + (k + 1) * width // 4,
            height // 4,
            height // 2,
        )
        mask = np.zeros((height, width), np.uint8)
        mask[top:bottom, left : (left + right) // 2] = 1
        boxes.append((left, top, right, bottom))
        codes.append(encoded(mask))
    found = ImagePrediction(height, width, np.float32(boxes), np.arange(3, dtype=np.int32), np.float32(SCORES),
                            codes if masks else None)  # fmt: skip
    return FoundObjects("photo.jpg", Look(), found, NAMES)


def label_map(height: int = 400, width: int = 800) -> FoundMap:
    """The upper quarter is class 2, the rest class 0; there is no class 1."""
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 4] = 2
    palette = np.uint8([(255, 0, 0), (0, 255, 0), (0, 0, 255)])
    return FoundMap("photo.jpg", Look(), labels, LabelSet(NAMES, palette, np.arange(256, dtype=np.int16)))


def classes() -> FoundClasses:
    best = [{"label": k, "name": name, "score": score} for k, name, score in ((2, "unknown", 0.7), (0, "person", 0.3))]
    return FoundClasses("photo.jpg", Look(), best)


class CountingModel:
    """`api.Model` as the page knows it. asked: how often the network was."""

    def __init__(self, make=objects, seconds: float = 0.0):
        self.make, self.seconds, self.asked, self.config = make, seconds, 0, default_config()

    def predict(self, image: np.ndarray, channels: str = "rgb"):
        self.asked += 1
        time.sleep(self.seconds)
        return self.make() if self.make is classes else self.make(*image.shape[:2])
