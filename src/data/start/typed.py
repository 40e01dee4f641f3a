"""Keys that the command line says: they are given, and all the rest follows from them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...config import Config, default_config, has_open_classes, with_typed
from ...config.choices import NUM_CLASSES
from ...config.fill import Source
from ...config.overrides import override, parse_overrides
from ...errors import UserError
from .recipe import SAID, Base, Choice, Choices, rounded_up
from .told import Told

OF_CLASSES = ("coco_classes", "class_names", "num_classes", "label_colours", "class_weights", "dataset")
FOLLOWS = {  # keys that only what is there decides, and what else would
    "num_classes": "--coco_classes or --class_names name others",
    "run_eval": "--val_dataset or --val_split give some",
}
PATHS = ("val_dataset", "train_annotations", "train_images", "val_annotations", "val_images", "mindrecord_dir")


def reading(told: Told, overrides: Sequence[str]) -> Config:
    """The configuration by which the data are read: what is typed, as far as no network is needed for it. The whole
    is checked when it is written.
    """
    cfg, source, names = default_config(), Source("command line"), []
    for dotted, text in parse_overrides(overrides):
        if dotted == "train_dataset":
            raise UserError("--train_dataset: the training data are --data here")
        if "." not in dotted:
            cfg = override(cfg, dotted, text, source)
            names.append(dotted)
    if "coco_classes" in names and "num_classes" not in names:
        number = NUM_CLASSES if has_open_classes(replace(cfg, num_classes=NUM_CLASSES)) else len(cfg.coco_classes)
        cfg = replace(cfg, num_classes=number)
    cfg = replace(cfg, train_dataset=told.train, val_dataset=told.val)
    return with_typed(cfg, names)


def changed(cfg: Config, **values: Any) -> Config:
    """With other values, and the same keys typed."""
    return with_typed(replace(cfg, **values), cfg.typed)


def network(base: Base, overrides: Sequence[str]) -> Config:
    """The base's configuration with what is typed, but for the classes, which are the data's."""
    kept = []
    for dotted, text in parse_overrides(overrides):
        if dotted not in OF_CLASSES:
            kept += [f"--{dotted}={text}"]
    return base.load(kept)


def typed_size(own: Config, width: float, height: float) -> tuple[tuple[int, int], str] | None:
    """(w, h) of the network's input where a side is typed, and why; None where none is. The other side follows by the
    images' shape, width x height. own: of `network`.
    """
    if "input_size" in own.typed or own.typed >= {"img_width", "img_height"}:
        return (own.img_width, own.img_height), SAID
    if "img_width" in own.typed:
        return (own.img_width, rounded_up(own.img_width * height / width)), "by img_width and the images' shape"
    if "img_height" in own.typed:
        return (rounded_up(own.img_height * width / height), own.img_height), "by img_height and the images' shape"
    return None


def merged(choices: Choices, cfg: Config, own: Config) -> Choices:
    """The choices with what is typed in its place. cfg: of `reading`, own: of `network`. UserError for a typed key that
    the data decide otherwise.
    """
    found = {}
    for name in sorted(cfg.typed | own.typed):
        value: Any = cfg if name in OF_CLASSES else own
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is None:  # a key without effect
            continue
        usual = choices.get(name)
        if name in FOLLOWS and usual is not None and usual.value != value:
            raise UserError(f"--{name} {value}: it is {usual.value} here ({usual.reason}); {FOLLOWS[name]}")
        if name in PATHS and isinstance(value, str) and os.path.exists(value):  # the file works from anywhere
            value = os.path.abspath(value)
        found[name] = Choice(value, SAID, usual.warning if usual else "")
    return choices | found
