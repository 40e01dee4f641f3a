"""RandAugment in timm's words: `rand-m9-mstd0.5-inc1`, its `--aa`, as of timm 1.0."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..errors import UserError, short

LEVELS = 10  # the magnitude at which an operation is as strong as it was meant to be
# Operations of each set; those with weights are drawn without replacement.
PLAIN = (
    "AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast",
    "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel",
)  # fmt: skip
WITH_DIRECTION = ("Posterize", "Solarize", "Color", "Contrast", "Brightness", "Sharpness")
INCREASING = tuple(f"{name}Increasing" if name in WITH_DIRECTION else name for name in PLAIN)
THREE = ("SolarizeIncreasing", "Desaturate", "GaussianBlur")
WEIGHTED = {
    "Rotate": 3, "ShearX": 2, "ShearY": 2, "TranslateXRel": 1, "TranslateYRel": 1, "ColorIncreasing": 0.25,
    "SharpnessIncreasing": 0.25, "AutoContrast": 0.25, "SolarizeIncreasing": 0.05, "SolarizeAdd": 0.05,
    "ContrastIncreasing": 0.05, "BrightnessIncreasing": 0.05, "Equalize": 0.05, "PosterizeIncreasing": 0.05,
    "Invert": 0.05,
}  # fmt: skip
WEIGHTED_THREE = {
    "SolarizeIncreasing": 6, "Desaturate": 6, "GaussianBlur": 6, "Rotate": 3, "ShearX": 2, "ShearY": 2,
    "PosterizeIncreasing": 1, "AutoContrast": 1, "ColorIncreasing": 1, "SharpnessIncreasing": 1,
    "ContrastIncreasing": 1, "BrightnessIncreasing": 1, "Equalize": 1, "Invert": 1,
}  # fmt: skip
SETS: dict[str, tuple[str, ...] | Mapping[str, float]] = {
    "weights": WEIGHTED, "3a": THREE, "3aw": WEIGHTED_THREE,
}  # fmt: skip
MOST_STD = 100  # above it, the magnitude is uniform


@dataclass(frozen=True)
class Policy:
    """names: of the operations; weights: their shares, which sum up to 1, or None; count: operations an image, each
    carried out with probability `share`; magnitude, std, most: mean, deviation (inf: uniform from 0) and bound.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] | None
    count: int = 2
    magnitude: int = LEVELS
    share: float = 0.5
    std: float = 0.0
    most: int = LEVELS


NUMBERS = {"m": ("magnitude", int), "n": ("count", int), "p": ("share", float), "mmax": ("most", int),
           "mstd": ("std", float), "inc": ("increasing", int)}  # fmt: skip


@lru_cache
def parse(text: str) -> Policy:
    """The policy that `auto_augment` names. Raises UserError for what is none."""
    first, *words = text.split("-")
    if first != "rand":
        raise UserError(f"auto_augment is {short(text)}; it must be RandAugment in timm's words, rand-m9-mstd0.5-inc1")
    values, operations = {}, None
    for word in words:
        if word[:1] == "t":
            if word[1:] not in SETS:
                raise UserError(f"auto_augment has {short(word)}; the sets of operations are t{', t'.join(SETS)}")
            operations = SETS[word[1:]]
            continue
        found = re.fullmatch(r"([a-z]+)(\d+|\d*\.\d+|\d+\.\d*)", word)
        name, kind = NUMBERS.get(found[1] if found else "", ("", int))
        if not name or (kind is int and not found[2].isdecimal()):
            known = "m9, n2, p0.5, mstd0.5, mmax10, inc1 and tweights"
            raise UserError(f"auto_augment has {short(word)}; its words are such as {known}")
        values[name] = kind(found[2])
    usual = INCREASING if values.pop("increasing", 0) else PLAIN
    if values.get("std", 0.0) > MOST_STD:
        values["std"] = math.inf
    operations = usual if operations is None else operations
    weights = tuple(operations.values()) if isinstance(operations, Mapping) else None
    policy = Policy(tuple(operations), weights and tuple(weight / sum(weights) for weight in weights), **values)
    _check(text, policy)
    return policy


def _check(text: str, policy: Policy) -> None:
    most = len(policy.names) if policy.weights else 100
    bounds = ("n", policy.count, 1, most), ("p", policy.share, 0, 1), ("mmax", policy.most, 1, 30)
    for word, value, low, high in bounds:
        if not low <= value <= high:
            raise UserError(f"auto_augment is {short(text)}; {word} must be from {low} to {high}")
