"""What the configurations of all tasks have alike: a published file that they stand on, and rules for its numbers."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...config import Config, load_config
from ...errors import UserError

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = ("tiny", "small", "published")
LEAST_UPDATES = 8  # of an epoch, for a batch size to be taken
GPU_MEMORY = 16.0  # GiB that are taken for granted where nobody says more
VAL_SPLIT = 0.1
EVALUATIONS = 12  # of a run
STEP = 32  # sides are multiples of it
MOST_WORKERS = 8


class Choice(NamedTuple):
    """A key's value, and why."""

    value: Any
    reason: str


Choices = dict[str, Choice]  # by dotted name, in the order of the file


@dataclass(frozen=True)
class Wish:
    """What is asked for beside the data. memory: GiB, 0 for what there is; weights: a backbone's; overrides: keys as
    the command line has them.
    """

    preset: str = "small"
    memory: float = 0.0
    weights: str = ""
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Base:
    """A file of `configs/`. images: of the update that its learning rate is for; gib: that a million pixels of an image
    take in training, an estimate; most_batch: images; sides: the longer one of the network's input, at least and at
    most, none where the file's own size stays; seen: images that a run learns from, in these epochs at least and most;
    own_gib: that are taken whatever the batch.
    """

    file: str
    images: int
    gib: float
    most_batch: int
    sides: tuple[int, int] | None
    seen: int
    epochs: tuple[int, int]
    own_gib: float = 1.0

    def load(self) -> Config:
        """UserError where the files are not there: an installed package has none."""
        path = CONFIGS / self.file
        if not path.is_file():
            raise UserError(f"{path} is not there: a configuration to start from stands on the files of configs/")
        return load_config(str(path))


def count(number: int, what: str, several: str = "") -> str:
    """`1 image`, `3 images`."""
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def rounded_up(side: float) -> int:
    return max(1, math.ceil(side / STEP - 1e-9)) * STEP


def validation(val: str, images: int, held: int, total: int) -> Choices:
    """val: the place of a set of its own; images: in it; held: images of the training data, of their total, that are
    held out where there is none.
    """
    if val:
        return {"val_dataset": Choice(val, f"its own {count(images, 'image')} of validation")}
    if not held:
        words = f"there is no validation set, and {count(total, 'image')} cannot be parted: nothing is evaluated"
        return {"val_dataset": Choice("", words), "run_eval": Choice(False, "there is nothing to evaluate on")}
    return {
        "val_dataset": Choice("", "the folder has no validation set of its own"),
        "val_split": Choice(
            VAL_SPLIT, f"a tenth is held out by a hash of the files' names: {held:,} of {count(total, 'image')}"
        ),
    }


def schedule(base: Base, cfg: Config, images: int, size: tuple[int, int], wish: Wish) -> Choices:
    """Batch size, learning rate and epochs for so many training images at (w, h). cfg: of the base file."""
    memory, whose = _memory(wish, cfg.device_target)
    each = base.gib * size[0] * size[1] / 1e6
    fitting = max(1, int((memory - base.own_gib) / each))
    fair = max(1, images // LEAST_UPDATES)
    batch = min(fitting, fair, base.most_batch)
    limits = (
        f"the least of three: an image of {size[0]}x{size[1]} takes about {each:.3g} GiB (an estimate), and "
        f"{memory:.3g} GiB ({whose}) less {base.own_gib:g} hold {fitting:,}; {count(images, 'training image')} make "
        f"{LEAST_UPDATES} updates an epoch with {fair:,}; more than {base.most_batch} are not usual"
    )
    rate = float(f"{cfg.lr * batch / base.images:.4g}")
    updates = images // batch
    epochs = min(max(math.ceil(base.seen / images), base.epochs[0]), base.epochs[1])
    found: Choices = {
        "batch_size": Choice(batch, limits),
        "lr": Choice(
            rate, f"{cfg.lr:g} is for {count(base.images, 'image')} an update: {cfg.lr:g} x {batch} / {base.images}"
        ),
        "epoch_size": Choice(
            epochs,
            f"{base.seen:,} images are to be learned from, {images:,} an epoch, in {base.epochs[0]} to "
            f"{base.epochs[1]} epochs; {count(updates, 'update')} an epoch make {epochs * updates:,}",
        ),
    }
    if cfg.lr_type == "multistep":
        steps = [round(epochs * share) for share in (2 / 3, 11 / 12)]
        found["lr_steps"] = Choice(steps, f"after 2/3 and 11/12 of {epochs} epochs, as 8 and 11 are of 12")
    most_warmup = max(1, epochs * updates // 10)
    if not cfg.warmup_epochs and cfg.warmup_step > most_warmup:
        found["warmup_step"] = Choice(most_warmup, f"a tenth of the run's {epochs * updates:,} updates")
    if cfg.warmup_epochs > epochs / 10:
        found["warmup_epochs"] = Choice(round(epochs / 10, 2), f"a tenth of {epochs} epochs")
    every = max(1, epochs // EVALUATIONS)
    found["eval_every"] = Choice(every, f"about {EVALUATIONS} evaluations in {epochs} epochs")
    cores = os.cpu_count() or 1
    workers = min(cores, MOST_WORKERS)
    found["num_parallel_workers"] = Choice(workers, f"this machine has {count(cores, 'core')}; {MOST_WORKERS} do")
    return found


def start_weights(wish: Wish) -> Choices:
    """The backbone's. What goes without them belongs to the task."""
    if not wish.weights:
        return {}
    path = os.path.abspath(wish.weights)
    if not os.path.isfile(path):
        raise UserError(f"--pre_trained {wish.weights} is no file")
    return {"backbone.pretrained": Choice(path, "the backbone starts from these weights")}


def _memory(wish: Wish, device: str) -> tuple[float, str]:
    """GiB, and whose they are."""
    if wish.memory:
        return wish.memory, "--memory"
    if device != "CPU":
        return GPU_MEMORY, "taken for granted; --memory says another"
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return whole / 2, "half of this machine's"
