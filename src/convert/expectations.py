"""What the source's weights were trained with, against what the configuration does."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..config import Config
from ..config.definition import DETECTION, differences, other_fusion, typed, usual_definition
from .read import ForeignFile
from .table import Expects, Source

TOLERANCE = 0.02  # of means and deviations: projects round them differently
LONGEST = 200  # characters of three numbers
NUMBERS = r"[\[(]([\d.,\s]+)[\])]"


@dataclass(frozen=True)
class Known:
    """What the weights expect, where it is known from, and the classes they were trained on (empty if not known)."""

    expects: Expects
    origin: str
    classes: tuple[str, ...] = ()


def known_of(source: Source, foreign: ForeignFile) -> Known:
    """From the file itself as far as it says, otherwise what the source's published weights have in common."""
    expects, origin = source.expects, f"usual for {source.name}"
    if foreign.metadata.get("__author__") == "torchvision":  # torchvision's ResNet under Detectron2's names
        expects, origin = Expects(style="pytorch"), "usual for torchvision"
    for name, value in foreign.tensors.items():
        plain = name.rpartition(".")[2]
        if plain in ("pixel_mean", "pixel_std") and value.size == 3 and value.dtype.kind in "fiu":
            numbers = tuple(float(number) for number in value.reshape(-1))
            key = "img_mean" if plain == "pixel_mean" else "img_std"
            expects, origin = replace(expects, **{key: numbers}), "the file's pixel_mean and pixel_std"
    meta = foreign.metadata.get("meta")
    if not isinstance(meta, Mapping):
        return Known(expects, origin)
    texts = [meta[key] for key in ("config", "cfg") if isinstance(meta.get(key), str)]
    if texts:
        expects, origin = replace(expects, **_of_mmdet_config(texts[0]), resnet_note=""), "the file's own configuration"
    return Known(expects, origin, _classes(meta))


def _of_mmdet_config(text: str) -> dict[str, Any]:
    """Normalisation and ResNet style that an MMDetection configuration file names."""
    found: dict[str, Any] = {}
    for word, key in (("mean", "img_mean"), ("std", "img_std")):
        match = re.search(rf"\b{word}\s*=\s*{NUMBERS}", text)
        numbers = re.findall(r"\d+\.?\d*|\.\d+", match[1][:LONGEST]) if match else []
        if len(numbers) == 3:
            found[key] = tuple(float(number) for number in numbers)
    match = re.search(r"\b(?:to_rgb|bgr_to_rgb)\s*=\s*(True|False)", text)
    if match:
        found["to_rgb"] = bool(ast.literal_eval(match[1]))
    match = re.search(r"\bstyle\s*=\s*['\"](pytorch|caffe)['\"]", text)
    if match:
        found["style"] = match[1]
    return found


def _classes(meta: Mapping) -> tuple[str, ...]:
    """Class names of MMDetection 2.x (CLASSES) and 3.x (dataset_meta)."""
    places = [meta, *(meta[key] for key in ("dataset_meta", "dataset") if isinstance(meta.get(key), Mapping))]
    for place in places:
        for key in ("CLASSES", "classes"):
            names = place.get(key)
            if isinstance(names, tuple | list) and names and all(isinstance(name, str) for name in names):
                return tuple(names)
    return ()


def compare(known: Known, cfg: Config, class_names: Sequence[str]) -> tuple[str, list[str]]:
    """One line on what the source expects, and a warning for each thing that the configuration does otherwise.

    class_names: the configuration's classes, which must be the source's; empty where it names none, or where the class
        layers are not converted.
    """
    expects = known.expects
    mean, std = _numbers(expects.img_mean), _numbers(expects.img_std)
    is_resnet = cfg.backbone.type == "resnet"
    style = f", backbone.style {expects.style}" if is_resnet and expects.style else ""
    note = "".join(f"; {text}" for text in (expects.note, expects.resnet_note if is_resnet else "") if text)
    rgb = int(expects.to_rgb)
    line = f"the source expects img_mean {mean}, img_std {std}, to_rgb {rgb}{style} ({known.origin}){note}"
    pairs = []
    for key in ("img_mean", "img_std"):
        ours, theirs = getattr(cfg, key), getattr(expects, key)
        if np.abs(np.subtract(ours, theirs)).max() > TOLERANCE:
            pairs.append((key, _numbers(ours), _numbers(theirs)))
    if cfg.to_rgb != expects.to_rgb:
        pairs.append(("to_rgb", int(cfg.to_rgb), int(expects.to_rgb)))
    if style and cfg.backbone.style != expects.style and cfg.backbone.depth >= 50:  # basic blocks have no style
        pairs.append(("backbone.style", cfg.backbone.style, expects.style))
    warnings = [f"{key} is {ours} in the configuration, the source expects {theirs}" for key, ours, theirs in pairs]
    ours = tuple(class_names)
    if known.classes and ours and known.classes != ours:
        warnings.append(f"the source's classes are not the configuration's: {_difference(known.classes, ours)}")
    return line, warnings


def definition_of(source: Source, without_heads: bool = False) -> dict[str, Any]:
    """What the source's networks compute from their weights, by the keys that say it here.

    without_heads: the configured network has another kind of head, so that what the source does after its own says
    nothing.
    """
    sections = ("backbone", *("seg_head",) * source.segments, *DETECTION * source.detects)
    found = usual_definition(sections) | dict(source.definition)
    return {key: value for key, value in found.items() if not (without_heads and key.startswith("test_cfg."))}


def compare_definition(source: Source, cfg: Config, sections: Sequence[str], without_heads: bool = False) -> list[str]:
    """A warning where the configured network computes something else from these weights than the source's does.

    sections: of the configuration, of which its task builds networks. without_heads: see `definition_of`.
    """
    theirs = definition_of(source, without_heads)
    if fusion := other_fusion(theirs, cfg, sections):
        return [f"{source.name} is of a segmentation network: {fusion}; the outputs differ much"]
    found = differences(theirs, cfg, sections)
    if not found:
        return []
    shown = ", ".join(f"{key} is {ours}, there {theirs}" for key, ours, theirs in found)
    keys = " ".join(f"--{key} {typed(theirs)}" for key, _, theirs in found)
    verb = "has" if len(source.ready) == 1 else "have"
    ready = f", as {' and '.join(source.ready)} {verb}" if source.ready else ""
    return [f"the configured network is another one than {source.name}'s: {shown}; run with {keys}{ready}"]


def _difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    if len(theirs) != len(ours):
        return f"{len(theirs)} against {len(ours)}"
    k = next(k for k, pair in enumerate(zip(theirs, ours)) if pair[0] != pair[1])
    return f"class {k} is '{theirs[k]}' there and '{ours[k]}' here"


def _numbers(values) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
