"""Synthetic detection data in COCO's layout: shapes that hide one another, touch the border, stand in crowds."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from . import shapes

CATEGORY_IDS = {"circle": 2, "square": 5, "triangle": 7, "star": 11, "gear": 13, "burst": 17}  # gapped, like COCO's
ASPECTS = ((1.0, 1.0), (1.0, 0.75), (0.75, 1.0))  # height, width in shares of the size
MAX_TILT = 0.4  # radians from upright
MIN_INSIDE = 0.6  # share of a shape that must lie inside the image for it to be drawn
MIN_VISIBLE = 0.5  # share of a drawn shape that later ones leave to be seen
EMPTY_SHARE, CROWD_SHARE = 0.05, 0.06
CROWD_TRIES = 20  # places tried for a crowd before the image goes without


@dataclass(frozen=True)
class Content:
    """What a scene shows: which shapes, how large (radius in shares of the image's longer side), at most how many."""

    shapes: tuple[str, ...]
    radius: tuple[float, float]
    most: int


PLAIN = Content(shapes.SHAPES, (0.14, 0.3), 4)
FINE = Content(shapes.FINE_SHAPES, (0.22, 0.4), 2)


def write_coco(out: Path, train_images: int, val_images: int, size: int, seed: int, content: Content = PLAIN) -> None:
    """Write OUT/{train,validation}/{data/*.jpg,labels.json}."""
    for number, (subset, count) in enumerate((("train", train_images), ("validation", val_images))):
        write_subset(out / subset, count, size, np.random.RandomState([seed, number]), content)


def write_fine_coco(out: Path, train_images: int, val_images: int, size: int, seed: int) -> None:
    """`write_coco` with few large shapes of fine boundaries."""
    write_coco(out, train_images, val_images, size, seed, FINE)


def write_subset(folder: Path, count: int, size: int, rng: np.random.RandomState, content: Content = PLAIN) -> None:
    """Write one subset of `count` images whose longer side has `size` pixels."""
    (folder / "data").mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(1, count + 1):
        image, objects = draw_scene(size, rng, content)
        name = f"{image_id:012d}.jpg"
        cv2.imwrite(str(folder / "data" / name), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        height, width = image.shape[:2]
        images.append({"id": image_id, "file_name": name, "height": height, "width": width, "license": 0})
        for item in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **item})
    categories = [
        {"id": id_, "name": name, "supercategory": "shape"}
        for name, id_ in CATEGORY_IDS.items()
        if name in content.shapes
    ]
    labels = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")


def draw_scene(size: int, rng: np.random.RandomState, content: Content = PLAIN) -> tuple[np.ndarray, list[dict]]:
    """An image (h, w, 3) uint8 and its objects as COCO annotations without ids."""
    height, width = (int(round(size * share)) for share in ASPECTS[rng.randint(len(ASPECTS))])
    image = shapes.background(height, width, rng)
    if rng.rand() < EMPTY_SHARE:
        return image, []
    drawn = []
    for _ in range(rng.randint(1, content.most + 1)):
        shape = content.shapes[rng.randint(len(content.shapes))]
        radius = rng.uniform(*content.radius) * size
        centre = rng.uniform(0, width), rng.uniform(0, height)
        points = shapes.outline(shape, centre, radius, -np.pi / 2 + rng.uniform(-MAX_TILT, MAX_TILT))
        mask = shapes.fill(points, height, width)
        hides = any((item["visible"] & (1 - mask)).sum() < MIN_VISIBLE * item["whole"].sum() for item in drawn)
        if hides or mask.sum() < MIN_INSIDE * cv2.contourArea(points.astype(np.float32)):
            continue
        shapes.paint(image, mask, shapes.contrasting_colour(image, rng), rng)
        for other in drawn:
            other["visible"] = other["visible"] & (1 - mask)
        drawn.append({"shape": shape, "points": points, "whole": mask, "visible": mask})
    crowd = _draw_crowd(image, drawn, size, rng, content) if rng.rand() < CROWD_SHARE else []
    objects = [annotation for item in drawn if (annotation := _annotate(item, rng))]
    return image, objects + crowd


def _draw_crowd(
    image: np.ndarray, drawn: list[dict], size: int, rng: np.random.RandomState, content: Content
) -> list[dict]:
    """A patch of many tiny shapes of one class, labelled as one crowd region with uncompressed RLE."""
    height, width = image.shape[:2]
    side = int(0.3 * size)
    for _ in range(CROWD_TRIES):
        left, top = rng.randint(0, max(width - side, 1)), rng.randint(0, max(height - side, 1))
        region = np.zeros((height, width), np.uint8)
        region[top : top + side, left : left + side] = 1
        if not any((item["visible"] & region).any() for item in drawn):
            break
    else:
        return []
    shape = content.shapes[rng.randint(len(content.shapes))]
    colour = shapes.contrasting_colour(image, rng)
    step = max(side // 5, 4)
    for y in range(top + step // 2, top + side, step):
        for x in range(left + step // 2, left + side, step):
            points = shapes.outline(shape, (x, y), 0.45 * step, rng.uniform(0, 2 * np.pi))
            shapes.paint(image, shapes.fill(points, height, width), colour, rng)
    return [
        {
            "category_id": CATEGORY_IDS[shape],
            "iscrowd": 1,
            "area": int(region.sum()),
            "bbox": [left, top, int(min(side, width - left)), int(min(side, height - top))],
            "segmentation": {"size": [height, width], "counts": uncompressed_counts(region)},
        }
    ]


def _annotate(item: dict, rng: np.random.RandomState) -> dict | None:
    """COCO annotation of the visible part; None where too little is seen."""
    visible = item["visible"]
    area = int(visible.sum())
    if area < MIN_VISIBLE * item["whole"].sum() or area < 12:
        return None
    rle = coco_mask.encode(np.asfortranarray(visible))
    height, width = visible.shape
    inside = (item["points"] >= 0).all() and (item["points"] <= (width, height)).all()
    form = rng.randint(3)
    if form == 0 and inside and area == item["whole"].sum():
        segmentation = [item["points"].reshape(-1).tolist()]
    elif form == 1:
        segmentation = {"size": list(visible.shape), "counts": uncompressed_counts(visible)}
    else:
        segmentation = {"size": list(visible.shape), "counts": rle["counts"].decode()}
    return {
        "category_id": CATEGORY_IDS[item["shape"]],
        "iscrowd": 0,
        "area": area,
        "bbox": [float(v) for v in coco_mask.toBbox(rle)],
        "segmentation": segmentation,
    }


def uncompressed_counts(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE of a bitmap: run lengths down the columns, starting with zeros."""
    flat = mask.reshape(-1, order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    runs = np.diff(edges).tolist()
    return runs if flat[0] == 0 else [0, *runs]
