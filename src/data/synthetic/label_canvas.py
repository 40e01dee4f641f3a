"""A picture and its label map, drawn together: what the synthetic segmentation data sets are made of."""

import math
from collections.abc import Callable

import numpy as np

from . import shapes

Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows, columns (pixels) -> what to add to the brightness


class Canvas:
    """image (h, w, 3) uint8 BGR and label (h, w) uint8; later parts hide earlier ones.

    unit: pixels of one unit of the drawing; origin: pixel (x, y) of the drawing's (0, 0).
    """

    def __init__(
        self, image: np.ndarray, rng: np.random.RandomState, unit: float, origin: tuple[float, float] = (0, 0)
    ):
        self.image, self.rng, self.unit, self.origin = image, rng, unit, origin
        self.label = np.zeros(image.shape[:2], np.uint8)

    def draw(self, outline: np.ndarray, label: int, colour, texture: Texture | None = None) -> None:
        """Fill an outline (N, 2), in units of the drawing, with a class and a noisy colour."""
        mask = shapes.fill(np.asarray(outline, np.float64) * self.unit + self.origin, *self.label.shape)
        rows, columns = np.nonzero(mask)
        colours = np.tile(np.asarray(colour, np.float64), (len(rows), 1))
        if texture is not None:
            colours += texture(rows, columns)[:, None]
        shapes.paint(self.image, mask, colours, self.rng)
        self.label[mask > 0] = label

    def expose(self) -> None:
        """Make the picture a little brighter or darker, warmer or colder."""
        gain = self.rng.uniform(0.75, 1.15) * self.rng.uniform(0.94, 1.06, 3)
        self.image[:] = np.clip(self.image * gain, 0, 255).astype(np.uint8)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Outline (4, 2) of a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Outline (32, 2) of an upright ellipse."""
    angles = np.arange(32) * (math.pi / 16)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def limb(start: np.ndarray, end: np.ndarray, thickness: float) -> np.ndarray:
    """Outline (4, 2) of a bar from start to end."""
    along = np.asarray(end) - start
    across = np.array([-along[1], along[0]]) * (thickness / 2 / np.linalg.norm(along))
    return np.array([start + across, end + across, end - across, start - across])


def stripes(period: float, depth: float, upright: bool) -> Texture:
    """Dark and bright stripes of equal width; period in pixels."""
    return lambda rows, columns: depth * np.where(((columns if upright else rows) % period) < period / 2, 1.0, -1.0)


def checks(period: float, depth: float) -> Texture:
    """A chess board of fields of half the period, in pixels."""

    def texture(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return depth * np.where((rows % period < period / 2) == (columns % period < period / 2), 1.0, -1.0)

    return texture


def vary(colour, rng: np.random.RandomState, spread: float = 15) -> np.ndarray:
    """(3,) a colour near the given one."""
    return np.asarray(colour, np.float64) + rng.uniform(-spread, spread, 3)
