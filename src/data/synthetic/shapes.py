"""Drawn shapes and backgrounds, the raw material of the synthetic data sets."""

import math

import numpy as np
from pycocotools import mask as coco_mask

SHAPES = ("circle", "square", "triangle", "star")
FREE_FORMS = {  # corners in a unit circle, x to the right and y downwards
    "cross": ((-1, -0.3), (-0.3, -0.3), (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1),
              (-0.3, 1), (-0.3, 0.3), (-1, 0.3)),
    "arrow": ((1, 0), (0.2, 0.7), (0.2, 0.25), (-1, 0.25), (-1, -0.25), (0.2, -0.25), (0.2, -0.7)),
}  # fmt: skip
FINE_SHAPES = ("gear", "burst")  # boundaries too fine for a 28 x 28 mask
MIN_CONTRAST = 90.0  # distance of a shape's colour from the background's mean colour


def outline(shape: str, centre: tuple[float, float], radius: float, angle: float) -> np.ndarray:
    """(N, 2) float64 corner points (x, y) of a shape; angle in radians."""
    if shape in FREE_FORMS:
        corners = np.array(FREE_FORMS[shape], np.float64) * radius
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        return np.round(corners @ turn + centre, 2)
    counts = {"circle": 40, "square": 4, "triangle": 3, "star": 10, "gear": 48, "burst": 28}
    count = counts[shape]
    radii = np.full(count, radius)
    if shape == "star":
        radii[1::2] *= 0.55
    elif shape == "gear":  # twelve teeth, each two corners out and two in
        radii[2::4] *= 0.75
        radii[3::4] *= 0.75
    elif shape == "burst":  # fourteen spikes
        radii[1::2] *= 0.6
    angles = angle + np.arange(count) * (2 * math.pi / count)
    points = np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)
    return np.round(points, 2)  # as written into the labels, so that mask and polygon are the same set of pixels


def fill(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of 0 and 1: the inside of a closed outline as COCO rasterises it, cut at the border."""
    # pycocotools is inexact outside of its canvas: rasterise on one that holds the whole outline, then cut.
    left, top = np.floor(np.minimum(points.min(axis=0), 0)).astype(int)
    right, bottom = np.ceil(np.maximum(points.max(axis=0), (width, height))).astype(int)
    polygon = (points - (left, top)).reshape(-1).tolist()
    whole = coco_mask.decode(coco_mask.frPyObjects([polygon], int(bottom - top), int(right - left)))[..., 0]
    return np.ascontiguousarray(whole[-top : height - top, -left : width - left])


def background(height: int, width: int, rng: np.random.RandomState) -> np.ndarray:
    """(height, width, 3) uint8: two colours running into each other, with noise."""
    first, second = rng.randint(0, 256, (2, 3)).astype(np.float64)
    direction = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    ramp = np.clip(0.5 + (x - 0.5) * math.cos(direction) + (y - 0.5) * math.sin(direction), 0, 1)[..., None]
    image = first * (1 - ramp) + (0.6 * first + 0.4 * second) * ramp
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def contrasting_colour(image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """(3,) uint8 colour well away from the image's mean colour."""
    mean = image.reshape(-1, 3).mean(axis=0)
    while True:
        colour = rng.randint(0, 256, 3)
        if np.linalg.norm(colour - mean) > MIN_CONTRAST:
            return colour.astype(np.uint8)


def paint(image: np.ndarray, mask: np.ndarray, colour: np.ndarray, rng: np.random.RandomState) -> None:
    """Draw a shape into the image, slightly noisy."""
    noise = rng.normal(0, 6, (int(mask.sum()), 3))
    image[mask > 0] = np.clip(colour + noise, 0, 255).astype(np.uint8)
