"""Four images round a point."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...config import Config
from ..network_input import ImageSettings
from .combination import Combination
from .geometry import blank, clip_boxes
from .object_masks import JoinedMasks, ObjectMasks
from .scene import Scene
from .transform import Size

CENTRE_RANGE = (0.5, 1.5)  # of the centre, in sides of the network's input
LEAST_SIDE = 1.0  # pixels of the mosaic; objects of which less is left are dropped
CORNERS = ((True, True), (False, True), (True, False), (False, False))  # left of the centre, above it


@dataclass(frozen=True)
class Mosaic(Combination):
    """Four images that meet in one point of a canvas twice as high and wide as the network's input, with probability
    `mosaic` (MMDetection `Mosaic`, with masks).

    Each image is fitted into the network's size, the sample's own above and left of the centre, and cut at the canvas's
    border; what none of them covers has the colour of padding. What is done to a single image is then done to this one.
    size: (h, w) of the network's input; centre: (x, y) on the canvas; colour: (3,) BGR.
    """

    size: Size
    centre: tuple[int, int]
    colour: Sequence[float]

    partners = 3
    on_original = True

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "Mosaic | None":
        if not rng.rand() < cfg.mosaic:
            return None
        x, y = (int(rng.uniform(*CENTRE_RANGE) * side) for side in (cfg.img_width, cfg.img_height))
        return cls((cfg.img_height, cfg.img_width), (x, y), ImageSettings.for_training(cfg).padding_colour)

    @classmethod
    def most_objects(cls, cfg: Config, own: int, other: int) -> int:
        return own + cls.partners * other if cfg.mosaic else own

    def combine(self, scene: Scene, partners: Sequence[Scene], rng: np.random.RandomState) -> Scene:
        canvas = (2 * self.size[0], 2 * self.size[1])
        image, tiles, parts = blank(canvas, self.colour), [], []
        for one, corner in zip((scene, *partners), CORNERS, strict=True):
            tile = self._tile(one.size, *corner)
            tile.draw(one.image, image, cv2.INTER_LINEAR)
            boxes = clip_boxes(tile.boxes(one.boxes), canvas)
            part = Scene(image, boxes, one.labels, one.masks)
            parts.append(part.part(np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1))))
            tiles.append(tile)
        joined = Scene.joined(image, parts)
        return Scene(image, joined.boxes, joined.labels, TiledMasks([part.masks for part in parts], tiles, canvas))

    def _tile(self, size: Size, left: bool, above: bool) -> "Tile":
        scale = min(bound / side for bound, side in zip(self.size, size))
        height, width = (max(int(side * scale), 1) for side in size)
        x, y = self.centre
        return Tile((height, width), scale, y - height if above else y, x - width if left else x)


@dataclass(frozen=True)
class Tile:
    """An image's place on a canvas, which it may leave: its (h, w) `size` there, and its corner.

    scale: of its boxes, whose sides are not rounded as those of the image are.
    """

    size: Size
    scale: float
    top: int
    left: int

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) xyxy of the image -> of the canvas and what is beside it."""
        return boxes * np.float32(self.scale) + np.float32([self.left, self.top] * 2)

    def draw(self, pixels: np.ndarray, canvas: np.ndarray, interpolation: int) -> None:
        """Draw what lies on the canvas of an image, or of a picture of its size."""
        fitted = cv2.resize(pixels, self.size[::-1], interpolation=interpolation)
        top, left = max(self.top, 0), max(self.left, 0)
        part = fitted[top - self.top : canvas.shape[0] - self.top, left - self.left : canvas.shape[1] - self.left]
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part


class TiledMasks(JoinedMasks):
    """Those of several images, each in its tile of a canvas of (h, w) `size`; no two tiles meet."""

    def __init__(self, parts: Sequence[ObjectMasks], tiles: Sequence[Tile], size: Size):
        super().__init__(parts)
        self.tiles, self.size = tiles, size

    def joined(self, layers: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
        canvas = np.zeros(self.size, np.uint8)
        for which, own in layers:
            self.tiles[which].draw(own, canvas, cv2.INTER_NEAREST)
        return canvas
