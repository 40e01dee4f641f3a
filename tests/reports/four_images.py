"""A detector's predictions on four images, small enough to work every number of their report out by hand.

Of 100 x 100 pixels, with the classes square, disc and one that does not occur. What lies where, by image:

a: a square and a disc, both found (0.9; 0.8 with IoU 0.825)
b: two squares: beside the first something is found (0.7, IoU 1/3), the second is found twice (0.6; 0.5 with IoU 19/21)
c: a disc of 40 x 40 that is taken for a square (0.95) and found at 0.2 alone; nothing at the right, where a disc is
   seen (0.4); a crowd of squares, in which one is seen (0.85)
d: a square that nothing finds
"""

import json
from pathlib import Path

import cv2
import numpy as np

from src.data.formats.coco import read_coco
from src.data.formats.index import DetectionIndex
from tests.evaluation.tiny import detection, rectangle_mask

SQUARE, DISC, BAR = 7, 3, 90
BAR_NAME = "bar <b>&\"'$x_1$ 猫"
CLASSES = ["square", "disc", BAR_NAME]
IMAGES = {11: "a.png", 12: "b #1%.png", 13: "c <i>.png", 14: "d.png"}
OBJECTS = [
    (11, SQUARE, (0, 0, 20, 20), 0),
    (11, DISC, (50, 50, 20, 20), 0),
    (12, SQUARE, (10, 10, 20, 20), 0),
    (12, SQUARE, (60, 60, 20, 20), 0),
    (13, DISC, (0, 0, 40, 40), 0),
    (13, SQUARE, (50, 50, 50, 50), 1),
    (14, SQUARE, (30, 30, 30, 30), 0),
]
FOUND = [
    (11, SQUARE, (0, 0, 20, 20), 0.9),
    (11, DISC, (50, 50, 20, 16.5), 0.8),
    (12, SQUARE, (10, 20, 20, 20), 0.7),
    (12, SQUARE, (60, 60, 20, 20), 0.6),
    (12, SQUARE, (61, 60, 20, 20), 0.5),
    (13, SQUARE, (0, 0, 40, 40), 0.95),
    (13, SQUARE, (60, 60, 20, 20), 0.85),
    (13, DISC, (80, 0, 10, 10), 0.4),
    (13, DISC, (0, 0, 39, 40), 0.2),
]


def results(masks: bool = True) -> list[dict]:
    found = [detection(*one) for one in FOUND]
    return found if masks else [{k: v for k, v in one.items() if k != "segmentation"} for one in found]


def write_data(folder: Path, as_id=lambda number: number, objects=tuple(OBJECTS)) -> DetectionIndex:
    """The data set, read as COCO's; as_id: the ids of its images."""
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in IMAGES.values():
        picture = cv2.imencode(".png", rng.integers(0, 255, (100, 100, 3), np.uint8))[1]
        (folder / "data" / name).write_bytes(picture.tobytes())
    annotations = [
        {"id": k, "image_id": as_id(image), "category_id": category, "bbox": list(box), "area": box[2] * box[3],
         "iscrowd": crowd, "segmentation": rectangle_mask(box)}
        for k, (image, category, box, crowd) in enumerate(objects, start=1)
    ]  # fmt: skip
    images = [{"id": as_id(k), "file_name": name, "height": 100, "width": 100} for k, name in IMAGES.items()]
    categories = [{"id": k, "name": name} for k, name in zip((SQUARE, DISC, BAR), CLASSES)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return read_coco(folder, CLASSES)
