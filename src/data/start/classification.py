"""A configuration to start from for a class of each image."""

from collections import Counter
from pathlib import Path

import numpy as np

from ...config import Config
from ...errors import UserError
from ..formats.class_table import ClassTable
from ..formats.classified import Classified, open_classified
from ..formats.image_folder import ImageFolder
from ..formats.image_sizes import upright_size
from ..read_ahead import read_ahead
from .parting import Parting, lacking, part, validation
from .recipe import SAID, Base, Choice, Choices, Wish, count, rounded_up, schedule, start_weights
from .told import Told
from .typed import changed, merged, network, reading

BASES = {  # GiB a million pixels were measured on a CPU, W48 under a segmenter
    "tiny": Base("demo/hrnet_cls_shapes.yaml", 64, 1.0, 64, (32, 64), 7000, (6, 60)),
    "small": Base("hrnet_w18_small_cls.yaml", 128, 2.0, 64, (64, 224), 300_000, (20, 300), 1.5),
    "published": Base("hrnet_w48_cls.yaml", 128, 7.5, 64, None, 1_200_000, (60, 300), 3.0),
}
LOOKED_AT = 2000  # images whose size is looked at
WORKERS = 8


def choices(told: Told, wish: Wish) -> Choices:
    """See `STARTS`. UserError for data that cannot be read."""
    cfg = reading(told, wish.overrides)
    named = cfg.class_names
    whole = ClassTable(told.train, named, cfg.allow_outside) if told.kind == "table" else ImageFolder(told.train, named)
    names = list(whole.classes)
    if len(names) < 2:
        raise UserError(f"{told.train} has one class, {names[0]}: nothing is to be told apart")
    data = changed(cfg, task="classification", class_names=names, num_classes=len(names))
    train, own_images, parting, warning = _opened(data, told)
    base = BASES[wish.preset]
    own = network(base, wish.overrides)
    counts = Counter(label for _, label in whole.images)
    few, many = (choose(range(len(names)), key=lambda k: counts[k]) for choose in (min, max))
    words = f"{told.why}, {counts[few]:,} ({names[few]}) to {counts[many]:,} images ({names[many]}) each"
    words = words if counts[few] < counts[many] else f"{told.why}, {counts[few]:,} each"
    found: Choices = {
        "_base_": Choice(base.file, f"{own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("classification", f"the data are {told.why}"),
        "train_dataset": Choice(told.train, f"{count(len(whole), 'image')}, {len(train):,} of them are learned from"),
    }
    found |= validation(told.val, own_images, parting, len(whole), cfg, warning)
    found["class_names"] = Choice(names, words)
    found["num_classes"] = Choice(len(names), "as many")
    size, of_size = _sizes(base, own, train)
    return merged(found | of_size | start_weights(wish) | schedule(base, own, len(train), (size, size), wish), cfg, own)


def _opened(cfg: Config, told: Told) -> tuple[Classified, int, Parting | None, str]:
    """The images that are learned from, how many a validation set of its own has, how they are parted where there is
    none, and a warning of classes that one side alone shows.
    """
    whole = open_classified(changed(cfg, val_dataset="", val_split=0.0), "train")
    shown = [{label} for _, label in whole.images]
    if told.val:
        val = open_classified(changed(cfg, val_split=0.0), "val")
        own_shown = [{label} for _, label in val.images]
        return whole, len(val), None, lacking(shown, own_shown, whole.classes, "image", "of validation")
    parting = part([Path(path).name for path, _ in whole.images], shown, cfg, whole.folder)
    if parting is None:
        return whole, 0, None, ""
    sides = ([shown[index] for index in side] for side in (parting.train, parting.held))
    train = open_classified(changed(cfg, val_dataset="", val_split=parting.share), "train")
    return train, 0, parting, lacking(*sides, whole.classes, "image")


def _sizes(base: Base, own: Config, train: Classified) -> tuple[int, Choices]:
    paths = [path for path, _ in train.images][:: -(-len(train) // LOOKED_AT)]
    sizes = [one for one in read_ahead(upright_size, paths, WORKERS, 4 * WORKERS) if one is not None]
    if not sizes:
        raise UserError(f"{train.folder}: none of its images can be read")
    short, plain = float(np.median(np.min(sizes, axis=1))), base.load()
    given = {getattr(own, name) for name in ("img_width", "img_height") if {name, "input_size"} & own.typed}
    if len(given) > 1:
        raise UserError("--img_width, --img_height: a classifier's images are square here; --input_size says both")
    if given:
        side, words = given.pop(), SAID
    elif base.sides is None:
        side, words = plain.img_width, "the published size"
    else:
        side = min(max(rounded_up(short), base.sides[0]), base.sides[1])
        words = f"as large, in multiples of 32, {base.sides[0]} to {base.sides[1]} px"
    resize = round(side * plain.eval_resize / plain.img_width)
    ratio = f"{plain.eval_resize}/{plain.img_width}"
    return side, {
        "input_size": Choice(side, f"the images' shorter side is {short:g} px at the median; {words}"),
        "eval_resize": Choice(resize, f"the shorter side before the central crop: {ratio} of it, as in the base"),
    }
