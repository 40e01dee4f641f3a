"""A configuration to start from for a class of each pixel."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...config import Config
from ...errors import UserError
from ...reading import is_file
from ..formats.image_sizes import upright_size
from ..formats.label_files import WHITE, read_colours, read_indices
from ..formats.segmentation_list import SegmentationDataset, open_segmentation
from ..formats.text_lines import read_lines
from ..read_ahead import read_ahead
from .recipe import VAL_SPLIT, Base, Choice, Choices, Wish, count, rounded_up, schedule, start_weights, validation
from .told import Told, config_of

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
    cfg = replace(config_of(told, wish.overrides), task="segmentation", dataset=told.kind)
    names, of_labels = _classes(cfg, told)
    cfg = replace(cfg, num_classes=len(names) or OFFICIAL[told.kind], class_names=names)
    if "label_colours" in of_labels:
        cfg = replace(cfg, label_colours=of_labels["label_colours"].value)
    train, val, held, total = _opened(cfg, told)
    base = BASES[wish.preset]
    base = replace(base, file=base.file.format(data="lip" if told.kind == "lip" else "cityscapes"))
    own, number = base.load(), len(train) - _gone(train)
    found: Choices = {
        "_base_": Choice(base.file, f"{own.segmenter} with {own.backbone.type}, the {wish.preset} preset"),
        "task": Choice("segmentation", f"the folder holds label pictures ({told.why})"),
        "dataset": Choice(told.kind, "what the labels' values mean" + ("" if names else ", told by the folders")),
        "train_dataset": Choice(told.train, f"{count(total, 'image')}, {number:,} of them are learned from"),
    }
    found |= validation(val, held, held, total) | of_labels
    if told.kind not in ("cityscapes", "lip") and own.class_weights:
        found["class_weights"] = Choice([], "the base's are of other classes")
    size, of_size = _sizes(base, own, train)
    return found | of_size | start_weights(wish) | schedule(base, own, number, size, wish)


def _opened(cfg: Config, told: Told) -> tuple[SegmentationDataset, str, int, int]:
    """The training data, the place of validation data, how many of these there are or are held out, and the total."""
    train = open_segmentation(replace(cfg, val_dataset=""), told.train, "train")
    if told.val:
        return train, told.val, len(open_segmentation(cfg, told.val, "val")), len(train)
    try:
        parted = replace(cfg, val_dataset="", val_split=VAL_SPLIT)
        part, held = (open_segmentation(parted, "", split) for split in ("train", "val"))
        return part, "", len(held), len(train)
    except UserError:  # too few images
        return train, "", 0, len(train)


def _gone(dataset: SegmentationDataset) -> int:
    missing = set(dataset.missing)
    return sum(bool(missing.intersection(pair)) for pair in dataset.samples)


def _classes(cfg: Config, told: Told) -> tuple[list[str], Choices]:
    """The names, none of a set that has its own, and what the file says of them."""
    if told.kind != "custom":
        number = OFFICIAL[told.kind]
        return [], {"num_classes": Choice(number, f"{told.kind} has {number} classes")}
    open_cfg = replace(cfg, class_names=["a", "b", "c"], num_classes=3, val_dataset="", val_split=0.0)
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
    names, whose = _names(Path(told.train), number)
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
    if base.sides is None:
        size = own.img_width, own.img_height
        words, scale_one = f"{images}; the published size of the crops", round(longer)
    else:
        scale = min(max(1.0, base.sides[0] / longer), base.sides[1] / longer)
        size = rounded_up(width * scale), rounded_up(height * scale)
        limits = f"a longer side of {base.sides[0]} to {base.sides[1]} px"
        words = f"{images}: as large, with {limits}, in multiples of 32: {scale:.2g} times as large"
        scale_one = max(size)
    found = {
        "img_width": Choice(size[0], words),
        "img_height": Choice(size[1], "as above"),
        "base_size": Choice(
            scale_one, f"the longer side of an image at scale 1: {scale_one / longer:.2g} times its own"
        ),
    }
    for name in ("eval_width", "eval_height"):
        if getattr(own, name):
            found[name] = Choice(0, "an exported network takes images of the size above")
    return size, found
