"""The size of a detector's input by that of the objects, and what bounds it."""

from collections.abc import Sequence

import numpy as np

from ...config import Config
from ..formats.index import ImageRecord
from .recipe import STEP, Base, Choice, Choices, rounded_up
from .typed import typed_size

QUARTER = 0.25  # of the objects, at most, are to be smaller than the smallest anchor
MOST_ZOOM = 2.0  # images are made larger by no more
ODD_SHARE = 0.1  # of images that stand among lying ones, or the other way round, for which there must be room
LEAST_SIDE = 64  # px of the shorter side
TOO_SMALL = 8  # px: of smaller objects a detector sees little


def choices(base: Base, own: Config, records: Sequence[ImageRecord]) -> tuple[tuple[int, int], Choices]:
    """(w, h), and the keys that say so. own: the base's configuration with what is typed: of one typed side the other
    follows by the images' shape.
    """
    sides = np.array([side for record in records for side in _sides(record)])
    smallest = round(min(own.rpn.anchor_generator.scales) * min(own.rpn.anchor_generator.strides))
    size, rule = _size(base, own, records, sides, smallest)
    width, height = (np.median([getattr(one, side) for one in records]) for side in ("width", "height"))
    told, warning = f"the images are {width:g}x{height:g} at the median", ""
    if len(sides):
        fits = [min(size[0] / one.width, size[1] / one.height) for one in records]
        scaled = np.array([side * fit for one, fit in zip(records, fits) for side in _sides(one)])
        median, tiny = px(np.median(scaled)), (scaled < TOO_SMALL - 1e-6).mean()
        told = (
            f"{told}, the objects' sides {px(np.median(sides))} px (root of the box's area); at {size[0]}x{size[1]} "
            f"they become {median} px, and {(scaled < smallest - 1e-6).mean():.0%} are below {smallest} px, the "
            "smallest anchor's side"
        )
        if tiny >= QUARTER:
            warning = (
                f"{tiny:.0%} of the objects are smaller than {TOO_SMALL} px at {size[0]}x{size[1]} (median {median} "
                "px), too small to be found well: take larger images (--img_width, a larger preset), or cut them into "
                "tiles"
            )
    first, other = ("img_height", "img_width") if "img_width" in own.typed else ("img_width", "img_height")
    values = dict(zip(("img_width", "img_height"), size))
    found = {first: Choice(values[first], f"{told}. {rule[0].upper()}{rule[1:]}", warning)}
    found[other] = Choice(values[other], "as above")
    found = {name: found[name] for name in ("img_width", "img_height")}
    plain = base.load()
    if size != (plain.img_width, plain.img_height):  # for which the base evaluates at another
        words = "images are evaluated at the size above, as they are learned from; {} in the base"
        sides = {name: getattr(plain, name) for name in ("eval_width", "eval_height")}
        found |= {name: Choice(0, words.format(side)) for name, side in sides.items() if side}
    return size, found


def _size(base: Base, own: Config, records, sides: np.ndarray, smallest: int) -> tuple[tuple[int, int], str]:
    """(w, h), and by which rule."""
    width, height = (float(np.median([getattr(one, side) for one in records])) for side in ("width", "height"))
    longer = max(width, height)
    standing = sum(one.height > one.width for one in records) / len(records)
    lying = sum(one.width > one.height for one in records) / len(records)
    square = ""
    if min(standing, lying) >= ODD_SHARE:
        width = height = longer
        square = f"; square, for {standing:.0%} of the images stand and {lying:.0%} lie"
    if (given := typed_size(own, width, height)) is not None:
        (width, height), rule = given
        return (max(LEAST_SIDE, width), max(LEAST_SIDE, height)), rule
    if base.sides is None:
        return (own.img_width, own.img_height), "the published size"
    scale, rule = 1.0, "as large as the images"
    if len(sides):  # of which a quarter at most is below this one
        scale = smallest / max(float(np.quantile(sides, QUARTER, method="lower")), 1e-6)
        rule = f"so large that a quarter of the objects at most is below {smallest} px in images of the median size"
    if scale > MOST_ZOOM:
        scale, rule = MOST_ZOOM, f"{MOST_ZOOM:g} times as large as the images, the most there is"
    least, most = (side / longer for side in base.sides)
    if scale > most:
        scale, rule = most, f"no larger, for a longer side of {base.sides[1]} px is the most with this preset"
    elif scale < least:
        scale, rule = least, f"no smaller, for a longer side of {base.sides[0]} px is the least with this preset"
    return (_side(width * scale), _side(height * scale)), f"{rule}{square}; in multiples of {STEP}"


def _side(wanted: float) -> int:
    return max(LEAST_SIDE, rounded_up(wanted))


def _sides(record: ImageRecord) -> list[float]:
    boxes = [item.box for item in record.objects if not item.crowd]
    return [((x2 - x1) * (y2 - y1)) ** 0.5 for x1, y1, x2, y2 in boxes]


def px(side: float) -> str:
    """Pixels: whole ones, and two digits of few."""
    return f"{side:.0f}" if side >= 10 else f"{side:.2g}"
