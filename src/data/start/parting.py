"""The images that are held out where data have no validation set, and what neither side shows."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ...config import Config
from ...errors import UserError, listed
from ..held_out import split_part
from .recipe import SAID, Choice, Choices, count

SHARES = (0.1, 0.15, 0.2, 0.3)
ENOUGH = 50  # images that are held out: for more of them nothing is taken from training

Shown = Sequence[Collection[int]]  # the classes that each image shows


class Parting(NamedTuple):
    """share: the value of val_split; train, held: indices of the images."""

    share: float
    train: list[int]
    held: list[int]


def part(names: Sequence[str], shown: Shown, cfg: Config, source: object) -> Parting | None:
    """The typed share, or the least of `SHARES` with which each class that two images show is on both sides; where none
    does that, the one with most such classes. None where the images cannot be parted, or nothing would be learned from.

    names: of the files, without folders; source: what has them, for messages.
    """
    is_typed = "val_split" in cfg.typed
    if is_typed and not cfg.val_split:
        return None
    possible = sum(number > 1 for number in Counter(label for labels in shown for label in set(labels)).values())
    best, most = None, -1
    for share in (cfg.val_split,) if is_typed else SHARES:
        try:
            train, held = (split_part(names, split, share, source) for split in ("train", "val"))
        except UserError:
            if is_typed:
                raise
            return None
        on_both = len(_labels(shown, train) & _labels(shown, held))
        if _labels(shown, train) and on_both > most:
            best, most = Parting(share, train, held), on_both
        if on_both == possible > 0 or len(held) >= ENOUGH:
            break
    if best is None and is_typed:
        raise UserError(f"--val_split {cfg.val_split:g}: no image that shows an object would be left to learn from")
    return best


def lacking(train: Shown, held: Shown, classes: Sequence[str], what: str = "object", where: str = "held out") -> str:
    """A warning of the classes that one side alone shows, or none. where: of the images that are measured on."""
    learned, measured = (set().union(*side) for side in (train, held))
    if not measured:
        return f"no image of those {where} shows an {what}: nothing can be measured, and mAP will be -1"
    lines = []
    if gone := [classes[label] for label in sorted(learned - measured)]:
        lines.append(f"{_classes(gone, classes)} no {what} among the images {where}: nothing is measured of them")
    if gone := [classes[label] for label in sorted(measured - learned)]:
        lines.append(f"{_classes(gone, classes)} no {what} among the images learned from: nothing is learned of them")
    return "; ".join(lines)


def validation(val: str, images: int, parting: Parting | None, total: int, cfg: Config, warning: str = "") -> Choices:
    """val: the place of a set of its own; images: in it; parting: of the training data, of `total` images, where there
    is none.
    """
    if val and cfg.val_split and "val_split" in cfg.typed:
        raise UserError(
            f"--val_split {cfg.val_split:g}: there is a validation set, {val}; --val_dataset '' leaves it out"
        )
    if val:
        return {"val_dataset": Choice(val, f"its own {count(images, 'image')} of validation", warning)}
    if parting is None:
        why = "nothing is held out" if "val_split" in cfg.typed else f"{count(total, 'image')} cannot be parted"
        words = f"there is no validation set, and {why}: nothing is evaluated"
        return {"val_dataset": Choice("", words, words), "run_eval": Choice(False, "there is nothing to evaluate on")}
    held, first = len(parting.held), SHARES[0]
    why = f"{parting.share:g} is held out by a hash of the files' names: {held:,} of {count(total, 'image')}"
    if parting.share > first and "val_split" not in cfg.typed:
        why = f"{why}; with {first:g} fewer of the classes would be on both sides"
    return {
        "val_dataset": Choice("", SAID if "val_dataset" in cfg.typed else "there is no validation set of its own"),
        "val_split": Choice(parting.share, why, warning),
    }


def _labels(shown: Shown, indices: Sequence[int]) -> set[int]:
    return {label for index in indices for label in shown[index]}


def _classes(gone: Sequence[str], classes: Sequence[str]) -> str:
    """`1 of 3 classes (star) has`."""
    return f"{len(gone)} of {len(classes)} classes ({listed(gone)}) {'has' if len(gone) == 1 else 'have'}"
