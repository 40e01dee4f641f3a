"""A configuration to start from for a class of each pixel."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...config import Config
from ...errors import UserError, listed
from ...reading import is_file
from ..formats.image_sizes import upright_size
from ..formats.label_files import WHITE, read_colours, read_indices
from ..formats.segmentation_list import SegmentationDataset, open_segmentation
from ..formats.text_lines import read_lines
from ..read_ahead import read_ahead
from .parting import Parting, part, validation
from .recipe import Base, Choice, Choices, Wish, count, rounded_up, schedule, start_weights
from .told import Told
from .typed import changed, merged, network, reading, typed_size

BASES = {  # GiB a million pixels were measured on a CPU, of one and four images of 256 x 256
    "tiny": Base("demo/hrnet_seg_{data}_shapes.yaml", 8, 3.0, 8, (64, 256), 1600, (6, 60)),
    "small": Base("hrnet_w18_small_seg_{data}.yaml", 4, 2.5, 8, (256, 512), 120_000, (20, 300)),
    "published": Base("hrnet_w48_seg_{data}.yaml", 4, 7.5, 8, None, 600_000, (50, 600), 3.0),
}
OFFICIAL = {"cityscapes": 19, "lip": 20, "ade20k": 150, "voc": 21, "pascal_context": 60}  # classes
NAME_LISTS = ("classes.txt", "labels.txt")
LOOKED_AT = 2000  # label pictures and images
MOST_COLOURS = 64
WORKERS = 8


def choices(told: Told, wish: Wish) -> Choices:
    """See `STARTS`. UserError for data that cannot be read."""
    cfg = reading(told, wish.overrides)
    told = replace(told, kind=cfg.dataset) if "dataset" in cfg.typed else told
    data = changed(cfg, task="segmentation", dataset=told.kind)
    names, of_labels = _classes(data, told)
    data = changed(data, num_classes=len(names) or OFFICIAL[told.kind], class_names=names)
    if "label_colours" in of_labels:
        data = changed(data, label_colours=of_labels["label_colours"].value)
    train, own_images, parting, total = _opened(data, told)
    base = BASES[wish.preset]
    base = replace(base, file=base.file.format(data="lip" if told.kind == "lip" else "cityscapes"))
    own, number = network(base, wish.overrides), len(train) - _gone(train)
    found: Choices = {
        "_base_": Choice(base.file, f"{own.segmenter} with {own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("segmentation", f"the folder holds label pictures ({told.why})"),
        "dataset": Choice(told.kind, "what the labels' values mean" + ("" if names else ", told by the folders")),
        "train_dataset": Choice(told.train, f"{count(total, 'image')}, {number:,} of them are learned from"),
    }
    found |= validation(told.val, own_images, parting, total, cfg) | of_labels
    if told.kind not in ("cityscapes", "lip") and own.class_weights:
        found["class_weights"] = Choice([], "the base's are of other classes")
    size, of_size = _sizes(base, own, train)
    return merged(found | of_size | start_weights(wish) | schedule(base, own, number, size, wish), cfg, own)


def _opened(cfg: Config, told: Told) -> tuple[SegmentationDataset, int, Parting | None, int]:
    """The images that are learned from, how many a validation set of its own has, how they are parted where there is
    none, and how many there are before that.
    """
    whole = open_segmentation(changed(cfg, val_dataset="", val_split=0.0), told.train, "train")
    if told.val:
        val = open_segmentation(changed(cfg, val_split=0.0), told.val, "val")
        return whole, len(val), None, len(whole)
    shown = [{0}] * len(whole)  # every label picture shows classes: which, is not read
    parting = part([image.name for image, _ in whole.samples], shown, cfg, whole.list_file)
    return whole.part(parting.train) if parting else whole, 0, parting, len(whole)


def _gone(dataset: SegmentationDataset) -> int:
    missing = set(dataset.missing)
    return sum(bool(missing.intersection(pair)) for pair in dataset.samples)


def _classes(cfg: Config, told: Told) -> tuple[list[str], Choices]:
    """The names, none of a set that has its own, and what the file says of them. UserError for typed names or colours
    that are fewer than the label pictures hold.
    """
    if told.kind != "custom":
        if told.kind not in OFFICIAL:
            raise UserError(f"--dataset {told.kind}: {listed(['custom', *OFFICIAL])} can be started from")
        number = OFFICIAL[told.kind]
        return [], {"num_classes": Choice(number, f"{told.kind} has {number} classes")}
    open_cfg = replace(
        cfg, class_names=["a", "b", "c"], num_classes=3, val_dataset="", val_split=0.0, label_colours=[]
    )
    paths = [label for _, label in open_segmentation(open_cfg, told.train, "train").samples]
    some = paths[:: -(-len(paths) // LOOKED_AT)]
    values: Counter = Counter()
    for found in read_ahead(lambda path: _values(path, cfg.max_image_pixels), some, WORKERS, 4 * WORKERS):
        values.update(found)
    if not values:
        raise UserError(f"{told.train}: none of {count(len(some), 'label picture')} can be read")
    colours = sorted(value for value in values if isinstance(value, tuple))
    looked = f"{count(len(some), 'label picture')} of {len(paths):,}"
    if colours:
        if len(colours) > MOST_COLOURS:
            words = f"{len(colours)} colours in {looked}, more than classes have: are they photographs, or JPEG?"
            raise UserError(f"{told.train}: its label pictures hold {words}")
        number, words = max(len(colours), 2), f"{looked} hold {count(len(colours), 'colour')}"
        if len(colours) < 2:
            raise UserError(f"{told.train}: its label pictures hold one colour alone, and two classes are the least")
    else:
        plain = {value for value in values if value != WHITE}
        is_white = values.keys() == {0, WHITE}
        number = 2 if is_white else max(max(plain, default=0) + 1, 2)
        shown = "0 and 255 alone" if is_white else f"values up to {max(plain, default=0)}"
        ignored = f", and {WHITE}, which does not count" if WHITE in values and not is_white else ""
        words = f"{looked} hold {shown}{ignored}"
    for key in ("class_names", "label_colours"):
        typed = getattr(cfg, key)
        if key in cfg.typed and typed and len(typed) < number:
            raise UserError(f"--{key} has {len(typed)}, too few: {words}, {count(number, 'class', 'classes')}")
        number = len(typed) if key in cfg.typed and typed else number
    names, whose = _names(Path(told.train), number)
    names = cfg.class_names if "class_names" in cfg.typed and cfg.class_names else names
    found = {
        "class_names": Choice(names, f"{words}; {whose}"),
        "num_classes": Choice(number, "as many"),
    }
    if colours:
        found["label_colours"] = Choice([list(one) for one in colours], "RGB of each class, in this order")
    return names, found


def _values(path: Path, max_pixels: int) -> list:
    """What a label picture holds: numbers, or colours (r, g, b)."""
    found = read_indices(path, max_pixels)
    if found is not None:
        return np.unique(found).tolist()
    colours = read_colours(path, max_pixels)
    if colours is None:
        return []
    codes = np.unique(colours.reshape(-1, 3).astype(np.uint32) @ np.uint32([2**16, 2**8, 1]))
    return [(int(code >> 16), int(code >> 8 & 255), int(code & 255)) for code in codes[: MOST_COLOURS + 1]]


def _names(folder: Path, number: int) -> tuple[list[str], str]:
    for name in NAME_LISTS:
        if is_file(folder / name):
            lines = [line for _, line in read_lines(folder / name)]
            if len(lines) == number and len(set(lines)) == number:
                return lines, f"named by {name}"
    return [f"class_{k}" for k in range(number)], f"nothing names them: change the names, or write {NAME_LISTS[0]}"


def _sizes(base: Base, own: Config, train: SegmentationDataset) -> tuple[tuple[int, int], Choices]:
    """(w, h) of the crops that are learned from, and the keys of sizes."""
    paths = [image for image, _ in train.samples]
    paths = paths[:: -(-len(paths) // LOOKED_AT)]
    sizes = [one for one in read_ahead(upright_size, paths, WORKERS, 4 * WORKERS) if one is not None]
    if not sizes:
        raise UserError(f"{train.list_file}: none of its images can be read")
    width, height = (float(side) for side in np.median(sizes, axis=0))
    longer = max(width, height)
    images = f"the images are {width:g}x{height:g} at the median"
    if (given := typed_size(own, width, height)) is not None:
        size, words = given[0], f"{images}; {given[1]}"
    elif base.sides is None:
        size, words = (own.img_width, own.img_height), f"{images}; the published size of the crops"
    else:
        scale = min(max(1.0, base.sides[0] / longer), base.sides[1] / longer)
        size = rounded_up(width * scale), rounded_up(height * scale)
        limits = f"a longer side of {base.sides[0]} to {base.sides[1]} px"
        words = f"{images}: as large, with {limits}, in multiples of 32: {scale:.2g} times as large"
    scale_one = round(longer) if base.sides is None else max(size)
    of_sides = ("as above", words) if "img_width" in own.typed else (words, "as above")
    found = {
        "img_width": Choice(size[0], of_sides[0]),
        "img_height": Choice(size[1], of_sides[1]),
        "base_size": Choice(
            scale_one, f"the longer side of an image at scale 1: {scale_one / longer:.2g} times its own"
        ),
    }
    for name in ("eval_width", "eval_height"):
        if getattr(own, name):
            found[name] = Choice(0, "an exported network takes images of the size above")
    return size, found
