"""A three-class data set with gapped category ids in an order of its own, small enough to work out by hand."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

SIZE = 100


@dataclass
class TinyDataset:
    """What evaluation reads of a data set."""

    coco: COCO
    classes: list[str]
    category_ids: list[int]
    image_ids: list[int]


def rectangle_mask(box) -> dict:
    x, y, w, h = (int(side) for side in box)
    mask = np.zeros((SIZE, SIZE), np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    code = coco_mask.encode(mask)
    return {"size": [SIZE, SIZE], "counts": code["counts"].decode("ascii")}


def detection(image_id: int, category_id: int, box, score: float) -> dict:
    box = [float(side) for side in box]
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "score": score,
        "segmentation": rectangle_mask(box),
    }


def make_dataset(objects: list[tuple], images: int = 3) -> TinyDataset:
    """objects: (image id, category id, box xywh, is crowd); images have ids 11, 12, ... ."""
    coco = COCO()
    names = {7: "square", 3: "disc", 90: "bar"}
    image_ids = [11 + i for i in range(images)]
    coco.dataset = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": SIZE, "width": SIZE} for i in image_ids],
        "categories": [{"id": k, "name": name} for k, name in names.items()],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": list(box),
                "area": box[2] * box[3],
                "iscrowd": int(crowd),
                "segmentation": rectangle_mask(box),
            }
            for number, (image_id, category_id, box, crowd) in enumerate(objects, start=1)
        ],
    }
    coco.createIndex()
    return TinyDataset(coco, list(names.values()), list(names), image_ids)
