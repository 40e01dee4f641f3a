"""Synthetic people in LIP's layout: one person a picture, who faces the viewer, drawn of the 19 parts.

The person's left side lies at the picture's right. Both sides have the same colours, and poses are drawn from the same
distribution: only the place relative to the body tells left from right.
"""

import math
from pathlib import Path

import cv2
import numpy as np

from .. import lip_lst_maker
from ..label_sets import LIP
from . import shapes
from .label_canvas import Canvas, box, checks, ellipse, limb, stripes, vary

CLASSES = tuple(LIP)
SIDES = (("left", 1), ("right", -1))  # the sign is the direction in the picture
LONGER_SIDES = (1.0, 0.85)  # in shares of the size
ASPECTS = (0.68, 0.95)  # width in shares of the height
OUTFITS = ("pants", "skirt", "dress", "jumpsuits")
COLOURS = {  # BGR, several a class, some of them shared
    "hat": ((40, 40, 170), (150, 50, 40)),
    "hair": ((25, 40, 60), (60, 130, 190)),
    "glove": ((40, 210, 230), (210, 60, 200)),
    "upper-clothes": ((60, 170, 60), (220, 220, 220)),
    "dress": ((130, 60, 200), (60, 150, 230)),
    "coat": ((70, 90, 120), (110, 70, 50)),
    "socks": ((235, 235, 235), (60, 200, 160)),
    "pants": ((150, 70, 40), (70, 70, 70)),
    "jumpsuits": ((190, 130, 50), (60, 110, 140)),
    "scarf": ((50, 60, 220), (200, 200, 60)),
    "skirt": ((90, 40, 150), (40, 150, 210)),
    "shoe": ((30, 30, 90), (20, 20, 20)),
}
SKINS = ((150, 180, 230), (90, 130, 185))


def write_lip(out: Path, train_images: int, val_images: int, size: int, seed: int) -> None:
    """Write OUT/TrainVal_images, OUT/TrainVal_parsing_annotations, the id files and the two lists."""
    for number, (subset, count) in enumerate((("train", train_images), ("val", val_images))):
        rng = np.random.RandomState([seed, number])
        images, labels = lip_lst_maker.image_folder(out, subset), lip_lst_maker.label_folder(out, subset)
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        names = [f"{number + 1}{index:05d}_{index % 3}" for index in range(count)]
        for name in names:
            image, label = draw_person(size, rng)
            cv2.imwrite(str(images / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            cv2.imwrite(str(labels / f"{name}.png"), label)
        (out / f"{subset}_id.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    lip_lst_maker.make_lists(out)


def draw_person(size: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """A picture: (h, w, 3) uint8 BGR and (h, w) uint8 classes; the longer side is the size or a little less."""
    height = int(round(size * LONGER_SIDES[rng.randint(len(LONGER_SIDES))]))
    width = int(round(height * rng.uniform(*ASPECTS)))
    unit = height * rng.uniform(0.78, 0.95)
    origin = width * rng.uniform(0.4, 0.6), rng.uniform(0.02, height - unit)
    person = Person(Canvas(shapes.background(height, width, rng), rng, unit, origin), rng)
    person.legs()
    person.body()
    person.arms()
    person.head()
    person.canvas.expose()
    return person.canvas.image, person.canvas.label


class Person:
    """One person being drawn, hidden parts first; x is 0 at the middle of the body, y (downwards) from 0 to 1."""

    def __init__(self, canvas: Canvas, rng: np.random.RandomState):
        self.canvas, self.rng = canvas, rng
        self.outfit = OUTFITS[rng.randint(len(OUTFITS))]
        self.has = {name: rng.rand() < 0.5 for name in ("hat", "glove", "sunglasses", "coat", "socks", "scarf")}
        self.colours = {name: vary(choice[rng.randint(len(choice))], rng) for name, choice in COLOURS.items()}
        self.skin = vary(SKINS[rng.randint(len(SKINS))], rng, 10)

    def draw(self, name: str, outline: np.ndarray, colour=None, texture=None) -> None:
        self.canvas.draw(outline, CLASSES.index(name), self.colours[name] if colour is None else colour, texture)

    def period(self, share: float) -> float:
        """A texture's period in pixels, at least 4 so that it is to be seen."""
        return max(share * self.canvas.unit, 4)

    def legs(self) -> None:
        """Leg, sock, shoe, and what of the outfit covers the thigh."""
        for side, sign in SIDES:
            turn = self.rng.uniform(0.05, 0.3)
            direction = np.array([sign * math.sin(turn), math.cos(turn)])
            hip = np.array([sign * 0.075, 0.6])
            foot = hip + 0.34 * direction
            self.draw(f"{side}-leg", limb(hip, foot, 0.1), self.skin)
            if self.has["socks"]:
                self.draw("socks", limb(hip + 0.23 * direction, foot, 0.1))
            if self.outfit in ("pants", "jumpsuits"):
                texture = self.cloth(self.outfit)
                self.draw(self.outfit, limb(hip, hip + 0.15 * direction, 0.13), None, texture)
            shoe = ellipse(foot[0] + sign * 0.03, foot[1] + 0.01, 0.085, 0.05)
            self.draw(f"{side}-shoe", shoe, self.colours["shoe"])

    def cloth(self, name: str):
        """The texture of a garment."""
        textures = {
            "dress": checks(self.period(0.09), 18),
            "jumpsuits": stripes(self.period(0.09), 18, upright=True),
            "upper-clothes": stripes(self.period(0.09), 18, upright=False),
        }
        return textures.get(name)

    def body(self) -> None:
        top = self.outfit if self.outfit in ("dress", "jumpsuits") else "upper-clothes"
        self.draw(top, box(-0.15, 0.31, 0.15, 0.62), None, self.cloth(top))
        if self.outfit in ("pants", "jumpsuits"):
            self.draw(self.outfit, box(-0.15, 0.55, 0.15, 0.66), None, self.cloth(self.outfit))
        else:
            hem = [(-0.14, 0.54), (0.14, 0.54), (0.21, 0.74), (-0.21, 0.74)]
            self.draw(self.outfit, np.array(hem), None, self.cloth(self.outfit))
        if self.has["coat"]:
            for sign in (1, -1):
                flap = [(sign * 0.06, 0.31), (sign * 0.17, 0.31), (sign * 0.21, 0.66), (sign * 0.1, 0.66)]
                self.draw("coat", np.array(flap))

    def arms(self) -> None:
        """Lowered or raised, each for itself; a short sleeve of the outfit or the coat; perhaps gloves."""
        sleeve = self.outfit if self.outfit in ("dress", "jumpsuits") else "upper-clothes"
        sleeve = "coat" if self.has["coat"] else sleeve
        for side, sign in SIDES:
            turn = self.rng.uniform(0.35, 2.2)
            direction = np.array([sign * math.sin(turn), math.cos(turn)])
            shoulder = np.array([sign * 0.15, 0.36])
            hand = shoulder + 0.29 * direction
            self.draw(f"{side}-arm", limb(shoulder, hand, 0.09), self.skin)
            self.draw(f"{side}-arm", ellipse(*hand, 0.05, 0.05), self.skin)
            self.draw(sleeve, limb(shoulder - 0.03 * direction, shoulder + 0.09 * direction, 0.11), None,
                      self.cloth(sleeve))  # fmt: skip
            if self.has["glove"]:
                self.draw("glove", ellipse(*hand, 0.07, 0.07))

    def head(self) -> None:
        hair = ellipse(0, 0.15, 0.17, 0.15)
        self.draw("hair", hair)
        if self.rng.rand() < 0.5:  # long hair
            for sign in (1, -1):
                self.draw("hair", limb(np.array([sign * 0.13, 0.14]), np.array([sign * 0.14, 0.33]), 0.07))
        self.draw("face", ellipse(0, 0.185, 0.115, 0.125), self.skin)
        self.draw("face", box(-0.04, 0.25, 0.04, 0.26), (70, 70, 180))
        if self.has["sunglasses"]:
            self.draw("sunglasses", box(-0.125, 0.13, 0.125, 0.205), (25, 20, 20))
        else:
            for sign in (1, -1):
                self.draw("face", ellipse(sign * 0.045, 0.17, 0.018, 0.018), (30, 30, 30))
        if self.has["scarf"]:
            self.draw("scarf", box(-0.13, 0.29, 0.13, 0.37), None, stripes(self.period(0.06), 15, upright=True))
        if self.has["hat"]:
            self.draw("hat", np.array([(-0.15, 0.085), (-0.12, -0.02), (0.12, -0.02), (0.15, 0.085)]))
            self.draw("hat", box(-0.22, 0.06, 0.22, 0.105))
