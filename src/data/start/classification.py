"""A configuration to start from for a class of each image."""

from collections import Counter
from dataclasses import replace

import numpy as np

from ...config import Config
from ...errors import UserError
from ..formats.class_table import ClassTable
from ..formats.classified import Classified, open_classified
from ..formats.image_folder import ImageFolder
from ..formats.image_sizes import upright_size
from ..read_ahead import read_ahead
from .recipe import VAL_SPLIT, Base, Choice, Choices, Wish, count, rounded_up, schedule, start_weights, validation
from .told import Told, config_of

BASES = {  # GiB a million pixels were measured on a CPU, W48 under a segmenter
    "tiny": Base("demo/hrnet_cls_shapes.yaml", 64, 1.0, 64, (32, 64), 7000, (6, 60)),
    "small": Base("hrnet_w18_small_cls.yaml", 128, 2.0, 64, (64, 224), 300_000, (20, 300), 1.5),
    "published": Base("hrnet_w48_cls.yaml", 128, 7.5, 64, None, 1_200_000, (60, 300), 3.0),
}
LOOKED_AT = 2000  # images whose size is looked at
WORKERS = 8


def choices(told: Told, wish: Wish) -> Choices:
    """See `STARTS`. UserError for data that cannot be read."""
    cfg = replace(config_of(told, wish.overrides), task="classification")
    whole = ClassTable(told.train, (), cfg.allow_outside) if told.kind == "table" else ImageFolder(told.train)
    names = list(whole.classes)
    if len(names) < 2:
        raise UserError(f"{told.train} has one class, {names[0]}: nothing is to be told apart")
    cfg = replace(cfg, class_names=names, num_classes=len(names))
    train, val, held = _opened(cfg, told)
    base = BASES[wish.preset]
    own = base.load()
    counts = Counter(label for _, label in whole.images)
    few, many = (choose(range(len(names)), key=lambda k: counts[k]) for choose in (min, max))
    words = f"{told.why}, {counts[few]:,} ({names[few]}) to {counts[many]:,} images ({names[many]}) each"
    words = words if counts[few] < counts[many] else f"{told.why}, {counts[few]:,} each"
    found: Choices = {
        "_base_": Choice(base.file, f"{own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("classification", f"the data are {told.why}"),
        "train_dataset": Choice(told.train, f"{count(len(whole), 'image')}, {len(train):,} of them are learned from"),
    }
    found |= validation(val, held, held, len(whole))
    found["class_names"] = Choice(names, words)
    found["num_classes"] = Choice(len(names), "as many")
    size, of_size = _sizes(base, own, train)
    return found | of_size | start_weights(wish) | schedule(base, own, len(train), (size, size), wish)


def _opened(cfg: Config, told: Told) -> tuple[Classified, str, int]:
    """The training data, the place of validation data, and how many of these there are or are held out."""
    whole = open_classified(replace(cfg, val_dataset=""), "train")
    if told.val:
        return whole, told.val, len(open_classified(cfg, "val"))
    try:
        parted = replace(cfg, val_dataset="", val_split=VAL_SPLIT)
        return open_classified(parted, "train"), "", len(open_classified(parted, "val"))
    except UserError:  # too few images
        return whole, "", 0


def _sizes(base: Base, own: Config, train: Classified) -> tuple[int, Choices]:
    paths = [path for path, _ in train.images][:: -(-len(train) // LOOKED_AT)]
    sizes = [one for one in read_ahead(upright_size, paths, WORKERS, 4 * WORKERS) if one is not None]
    if not sizes:
        raise UserError(f"{train.folder}: none of its images can be read")
    short = float(np.median(np.min(sizes, axis=1)))
    if base.sides is None:
        side, words = own.img_width, "the published size"
    else:
        side = min(max(rounded_up(short), base.sides[0]), base.sides[1])
        words = f"as large, in multiples of 32, {base.sides[0]} to {base.sides[1]} px"
    resize = round(side * own.eval_resize / own.img_width)
    ratio = f"{own.eval_resize}/{own.img_width}"
    return side, {
        "input_size": Choice(side, f"the images' shorter side is {short:g} px at the median; {words}"),
        "eval_resize": Choice(resize, f"the shorter side before the central crop: {ratio} of it, as in the base"),
    }
