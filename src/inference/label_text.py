"""The text of a label in a picture: OpenCV's own letters for plain English, a font's for every other script."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .fonts import Face, FontBook

HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
PIXELS, LEAST_PIXELS = 30, 16  # of a font's size, at scale 1 and at least
Style = tuple[float, int]  # OpenCV's scale and stroke width


@dataclass(frozen=True)
class EnglishText:
    """Printable ASCII."""

    text: str
    style: Style

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the plate."""
        (width, height), baseline = cv2.getTextSize(self.text, HERSHEY, *self.style)
        return width + 4, height + baseline + 2

    def draw(self, canvas: np.ndarray, left: int, top: int, ink: int) -> None:
        """Grey value `ink`, on a plate whose corner is (left, top)."""
        (_, height), _ = cv2.getTextSize(self.text, HERSHEY, *self.style)
        scale, stroke = self.style
        cv2.putText(canvas, self.text, (left + 2, top + height + 1), HERSHEY, scale, (ink,) * 3, stroke, cv2.LINE_AA)


@dataclass(frozen=True)
class FontText:
    """Pieces of a text, each with a font that has its characters."""

    runs: Sequence[tuple[str, Face]]
    style: Style

    @property
    def _fonts(self) -> list:
        pixels = max(LEAST_PIXELS, round(PIXELS * self.style[0]))
        return [face.of_size(pixels) for _, face in self.runs]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the plate."""
        width = sum(font.getlength(text) for (text, _), font in zip(self.runs, self._fonts))
        above, below = (max(one) for one in zip(*(font.getmetrics() for font in self._fonts)))
        return round(width) + 5, above + below + 2

    def draw(self, canvas: np.ndarray, left: int, top: int, ink: int) -> None:
        """Grey value `ink`, on a plate whose corner is (left, top)."""
        width, height = self.size
        plate = canvas[top : top + height, left : left + width]
        picture = Image.fromarray(np.ascontiguousarray(plate))
        pen = ImageDraw.Draw(picture)
        place, base = 2.0, max(font.getmetrics()[0] for font in self._fonts) + 1
        for (text, _), font in zip(self.runs, self._fonts):
            pen.text((place, base), text, font=font, fill=(ink,) * 3, anchor="ls")
            place += font.getlength(text)
        plate[...] = np.asarray(picture)


def label_text(name: str, number: str, after: str, style: Style, fonts: FontBook) -> EnglishText | FontText:
    """The text of a class's `name`, of its `number` where no font has its characters, and what stands `after` it."""
    if _is_english(name):
        return EnglishText(name + after, style)
    runs = fonts.runs(name)
    if runs is None:
        return EnglishText(number + after, style)
    return FontText([*runs, *(fonts.runs(after) or ())], style)


def _is_english(text: str) -> bool:
    return text.isascii() and text.isprintable()
