"""Drawn shapes and backgrounds, the raw material of the synthetic data sets."""

import math

import cv2
import numpy as np

SHAPES = ("circle", "square", "triangle", "star")
MIN_CONTRAST = 90.0  # distance of a shape's colour from the background's mean colour


def outline(shape: str, centre: tuple[float, float], radius: float, angle: float) -> np.ndarray:
    """(N, 2) float64 corner points (x, y) of a shape; angle in radians."""
    counts = {"circle": 40, "square": 4, "triangle": 3, "star": 10}
    count = counts[shape]
    radii = np.full(count, radius)
    if shape == "star":
        radii[1::2] *= 0.42
    angles = angle + np.arange(count) * (2 * math.pi / count)
    return np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)


def fill(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of 0 and 1: the inside of a closed outline, cut at the border."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return mask


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
