"""Synthetic classification data in ImageNet's layout: the class is the shape, not colour, place, size or tilt."""

from pathlib import Path

import cv2
import numpy as np

from . import shapes

CLASSES = ("arrow", "burst", "circle", "cross", "gear", "square", "star", "triangle")
RADIUS = (0.26, 0.42)  # in shares of the image's size
MAX_TILT = 0.5  # radians from upright


def write_imagenet(out: Path, train_images: int, val_images: int, size: int, seed: int) -> None:
    """Write OUT/{train,val}/<class>/*.jpg; the classes take turns."""
    for number, (subset, count) in enumerate((("train", train_images), ("val", val_images))):
        rng = np.random.RandomState([seed, number])
        for name in CLASSES:
            (out / subset / name).mkdir(parents=True)
        for index in range(count):
            name = CLASSES[index % len(CLASSES)]
            cv2.imwrite(str(out / subset / name / f"{index:06d}.jpg"), draw(name, size, rng))


def draw(shape: str, size: int, rng: np.random.RandomState) -> np.ndarray:
    """(size, size, 3) uint8: one slightly tilted shape on a two-coloured background."""
    image = shapes.background(size, size, rng)
    radius = rng.uniform(*RADIUS) * size
    centre = rng.uniform(radius, size - radius, 2)
    points = shapes.outline(shape, tuple(centre), radius, -np.pi / 2 + rng.uniform(-MAX_TILT, MAX_TILT))
    shapes.paint(image, shapes.fill(points, size, size), shapes.contrasting_colour(image, rng), rng)
    return image
