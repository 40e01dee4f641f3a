"""Synthetic street scenes in Cityscapes' layout, with its raw label ids.

Left and right differ: houses, sidewalk and trains on the left, trees and terrain on the right. Road and sidewalk share
a colour, as do wall and fence, person and rider, bicycle and motorcycle, and all vehicles: they differ by place, shape
and texture.
"""

from pathlib import Path

import cv2
import numpy as np

from .. import cityscapes_lst_maker
from ..label_sets import CITYSCAPES
from .label_canvas import Canvas, box, checks, ellipse, limb, stripes, vary

LABEL_IDS = {"unlabeled": 0, "ego vehicle": 1, "static": 4} | {name: raw for name, (raw, _) in CITYSCAPES.items()}
CITIES = {"train": ("ashford", "brackwede"), "val": ("corvallis",)}
GREY, STONE, TYRE = (105, 105, 105), (120, 140, 150), (25, 25, 25)  # colours are BGR
GLASS, SKIN, LAMP = (200, 190, 170), (130, 160, 215), (60, 230, 240)
PAINTS = ((50, 50, 190), (180, 90, 40), (60, 160, 60), (40, 170, 210))
CLOTHES = ((150, 60, 130), (60, 60, 170), (140, 80, 50))


def write_cityscapes(out: Path, train_images: int, val_images: int, size: int, seed: int) -> None:
    """Write OUT/{leftImg8bit,gtFine}/{train,val}/<city>/*.png and the two lists; a picture is size x size/2."""
    for number, (subset, count) in enumerate((("train", train_images), ("val", val_images))):
        rng = np.random.RandomState([seed, number])
        for index in range(count):
            city = CITIES[subset][index % len(CITIES[subset])]
            image, label = draw_street(size, rng)
            for folder, suffix, content in (
                (cityscapes_lst_maker.IMAGES, cityscapes_lst_maker.IMAGE_SUFFIX, image),
                (cityscapes_lst_maker.LABELS, cityscapes_lst_maker.LABEL_SUFFIX, label),
            ):
                path = out / folder / subset / city / f"{city}_{index:06d}_000019{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), content)
    cityscapes_lst_maker.make_lists(out)


def draw_street(size: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """A scene: (size // 2, size, 3) uint8 BGR and (size // 2, size) uint8 label ids."""
    height = size // 2
    street = Street(Canvas(np.zeros((height, size, 3), np.uint8), rng, height), rng)
    street.ground()
    street.back_row()
    street.vehicles()
    street.posts()
    street.front_row()
    street.unlearned()
    street.canvas.expose()
    return street.canvas.image, street.canvas.label


class Street:
    """One scene being drawn, far things first; x runs from 0 to 2, y (downwards) from 0 to 1."""

    def __init__(self, canvas: Canvas, rng: np.random.RandomState):
        self.canvas, self.rng = canvas, rng
        self.horizon = rng.uniform(0.42, 0.5)
        self.left, self.right = rng.uniform(0.5, 0.62), rng.uniform(1.4, 1.5)  # edges of the road

    def draw(self, name: str, outline: np.ndarray, colour, texture=None) -> None:
        self.canvas.draw(outline, LABEL_IDS[name], colour, texture)

    def period(self, share: float) -> float:
        """A texture's period in pixels, at least 4 so that it is to be seen."""
        return max(share * self.canvas.unit, 4)

    def ground(self) -> None:
        horizon, rng = self.horizon, self.rng
        self.draw("sky", box(0, 0, 2, horizon), vary((225, 190, 150), rng))
        self.draw("road", box(0, horizon, 2, 1), vary(GREY, rng, 8))
        walk = [(0, horizon), (self.left, horizon), (self.left - 0.15, 1), (0, 1)]
        self.draw("sidewalk", np.array(walk), vary(GREY, rng, 8), checks(self.period(0.12), 16))
        meadow = [(self.right, horizon), (2, horizon), (2, 1), (self.right + 0.12, 1)]
        self.draw("terrain", np.array(meadow), vary((70, 150, 130), rng), stripes(self.period(0.1), 10, upright=False))

    def back_row(self) -> None:
        """Houses and trees, a wall or a fence before either, and perhaps a train."""
        horizon, rng = self.horizon, self.rng
        top = rng.uniform(0.04, 0.14)
        house = box(0, top, self.left + rng.uniform(0.05, 0.15), horizon + 0.02)
        self.draw("building", house, vary((90, 110, 160), rng), checks(self.period(0.2), 14))
        for x in np.arange(self.right - 0.05, 2.1, 0.22):
            crown = ellipse(x + rng.uniform(0, 0.08), horizon - rng.uniform(0.12, 0.2), 0.17, rng.uniform(0.2, 0.26))
            self.draw("vegetation", crown, vary((60, 125, 60), rng), checks(self.period(0.08), 18))
        first, second = ("wall", "fence") if rng.rand() < 0.5 else ("fence", "wall")
        self.barrier(first, 0, self.left)
        self.barrier(second, self.right + 0.02, 2)
        if rng.rand() < 0.45:
            self.train()

    def barrier(self, name: str, left: float, right: float) -> None:
        texture = stripes(self.period(0.1), 30, upright=True) if name == "fence" else None
        self.draw(name, box(left, self.horizon - 0.1, right, self.horizon + 0.08), vary(STONE, self.rng, 10), texture)

    def train(self) -> None:
        """Long and high, a bright band along it; on the sidewalk's side only."""
        rng, floor = self.rng, self.horizon + 0.14
        paint, end, top = self.paint(), self.left - rng.uniform(0.0, 0.06), floor - rng.uniform(0.34, 0.4)
        start = rng.uniform(-0.1, 0.08)
        self.draw("train", box(start, top, end, floor), paint)
        self.draw("train", box(start, top + 0.06, end, top + 0.15), vary(GLASS, rng))
        self.draw("train", box(start, floor - 0.08, end, floor), (235, 235, 235))

    def paint(self) -> np.ndarray:
        return vary(PAINTS[self.rng.randint(len(PAINTS))], self.rng)

    def vehicles(self) -> None:
        """Two different ones side by side on the road."""
        middle = (self.left + self.right) / 2
        kinds = self.rng.permutation(3)[:2]
        for kind, x in zip(kinds, (middle - 0.21, middle + 0.21)):
            draw = (self.car, self.truck, self.bus)[kind]
            draw(x + self.rng.uniform(-0.03, 0.03), self.horizon + self.rng.uniform(0.16, 0.24))

    def wheels(self, name: str, x: float, floor: float, apart: float) -> None:
        for side in (-apart, apart):
            self.draw(name, ellipse(x + side, floor - 0.02, 0.045, 0.045), TYRE)

    def car(self, x: float, floor: float) -> None:
        """A low body with a narrower cabin on it."""
        paint = self.paint()
        self.wheels("car", x, floor, 0.11)
        cabin = [(x - 0.13, floor - 0.14), (x - 0.09, floor - 0.25), (x + 0.09, floor - 0.25), (x + 0.13, floor - 0.14)]
        self.draw("car", np.array(cabin), vary(GLASS, self.rng))
        self.draw("car", box(x - 0.18, floor - 0.16, x + 0.18, floor - 0.03), paint)

    def truck(self, x: float, floor: float) -> None:
        """A high white load, a painted cab at its right."""
        self.wheels("truck", x, floor, 0.12)
        load = vary((215, 215, 215), self.rng, 10)
        self.draw("truck", box(x - 0.19, floor - 0.36, x + 0.07, floor - 0.04), load)
        self.draw("truck", box(x + 0.07, floor - 0.24, x + 0.19, floor - 0.04), self.paint())

    def bus(self, x: float, floor: float) -> None:
        """A high painted body with a band of windows."""
        self.wheels("bus", x, floor, 0.11)
        self.draw("bus", box(x - 0.18, floor - 0.4, x + 0.18, floor - 0.03), self.paint())
        windows = stripes(self.period(0.12), 25, upright=True)
        self.draw("bus", box(x - 0.16, floor - 0.36, x + 0.16, floor - 0.22), vary(GLASS, self.rng), windows)

    def posts(self) -> None:
        """A traffic light on the left and a sign on the right, often both."""
        rng, dark = self.rng, (75, 70, 65)
        if rng.rand() < 0.7:
            x, top, floor = self.left + rng.uniform(0.0, 0.06), rng.uniform(0.1, 0.18), self.horizon + 0.2
            self.draw("pole", box(x - 0.045, top, x + 0.045, floor), vary(dark, rng, 8))
            self.draw("traffic light", box(x - 0.09, top - 0.06, x + 0.09, top + 0.25), vary((40, 50, 40), rng, 8))
            self.draw("traffic light", ellipse(x, top + 0.02, 0.05, 0.05), (50, 50, 235))
            self.draw("traffic light", ellipse(x, top + 0.16, 0.05, 0.05), (90, 230, 60))
        if rng.rand() < 0.7:
            x, top, floor = self.right + rng.uniform(-0.04, 0.02), rng.uniform(0.14, 0.22), self.horizon + 0.26
            self.draw("pole", box(x - 0.045, top, x + 0.045, floor), vary(dark, rng, 8))
            self.draw("traffic sign", ellipse(x, top, 0.13, 0.13), vary(LAMP, rng, 10))
            self.draw("traffic sign", box(x - 0.08, top - 0.03, x + 0.08, top + 0.03), (50, 50, 200))

    def front_row(self) -> None:
        """People on the sidewalk and the terrain; bicycles and motorcycles, mostly ridden, low on the road."""
        rng, floor = self.rng, 0.95
        if rng.rand() < 0.7:
            self.person("person", rng.uniform(0.1, self.left - 0.22), floor - rng.uniform(0, 0.08))
        if rng.rand() < 0.5:
            self.person("person", rng.uniform(self.right + 0.24, 1.88), floor - rng.uniform(0, 0.1))
        kinds = ("bicycle", "motorcycle") if rng.rand() < 0.5 else ("motorcycle", "bicycle")
        for kind, x in zip(kinds, (self.left + 0.18, self.right - 0.12)):
            if rng.rand() < 0.75:
                self.two_wheeler(kind, x + rng.uniform(-0.06, 0.06), floor - rng.uniform(0, 0.05))

    def person(self, name: str, x: float, floor: float, legs: float = 0.2) -> None:
        rng = self.rng
        clothes = vary(CLOTHES[rng.randint(len(CLOTHES))], rng)
        if legs:
            for side in (-0.045, 0.045):
                foot = np.array([x + 1.2 * side, floor])
                self.draw(name, limb(np.array([x + side, floor - legs - 0.02]), foot, 0.08), vary((90, 50, 40), rng))
        hip = floor - legs
        self.draw(name, box(x - 0.1, hip - 0.2, x + 0.1, hip), clothes)
        self.draw(name, ellipse(x, hip - 0.26, 0.075, 0.085), vary(SKIN, rng, 10))

    def two_wheeler(self, kind: str, x: float, floor: float) -> None:
        """Two wheels with a thin frame and spokes, or with a heavy body between them."""
        rng, colour = self.rng, vary((60, 60, 70), self.rng, 12)
        if rng.rand() < 0.7:
            self.person("rider", x, floor - 0.16, legs=0)
        self.draw(kind, box(x - 0.16, floor - 0.19, x + 0.16, floor - 0.08), colour)
        spokes = checks(self.period(0.06), 45) if kind == "bicycle" else None
        for side in (-0.15, 0.15):
            rim = (150, 150, 150) if kind == "bicycle" else TYRE
            self.draw(kind, ellipse(x + side, floor - 0.09, 0.1, 0.1), rim, spokes)
        if kind == "motorcycle":
            self.draw(kind, ellipse(x, floor - 0.13, 0.12, 0.09), vary((40, 130, 230), rng))

    def unlearned(self) -> None:
        """What evaluation ignores: the camera's own car, something unnamed lying about, an unlabelled border."""
        rng = self.rng
        if rng.rand() < 0.3:
            x, y = rng.uniform(self.left + 0.3, self.right - 0.3), rng.uniform(0.78, 0.88)
            self.draw("static", box(x - 0.06, y - 0.06, x + 0.06, y + 0.06), vary((110, 60, 170), rng))
        if rng.rand() < 0.6:
            self.draw("ego vehicle", ellipse(1, 1.02, 0.8, 0.07), vary((40, 40, 40), rng, 8))
        edge = max(round(0.03 * self.canvas.unit), 1)
        self.canvas.label[:, :edge] = LABEL_IDS["unlabeled"]
