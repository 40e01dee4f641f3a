"""What the configurations of all tasks have alike: a published file that they stand on, and rules for its numbers."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...config import Config, load_config
from ...config.ready import CONFIGS
from ...errors import UserError

PRESETS = ("tiny", "small", "published")
LEAST_UPDATES = 8  # of an epoch, for a batch size to be taken
GPU_MEMORY = 16.0  # GiB that are taken for granted where nobody says more
EVALUATIONS = 12  # of a run
STEP = 32  # sides are multiples of it
MOST_WORKERS = 8
SAID = "as the command line says"


class Choice(NamedTuple):
    """A key's value, and why. warning: what the reader of the file must know of it, said on the screen too."""

    value: Any
    reason: str
    warning: str = ""


Choices = dict[str, Choice]  # by dotted name, in the order of the file


@dataclass(frozen=True)
class Wish:
    """What is asked for beside the data. memory: GiB, 0 for what there is; weights: a checkpoint for the backbone that
    can be read; overrides: keys as the command line has them.
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

    def load(self, overrides: Sequence[str] = ()) -> Config:
        """UserError where the files are not there."""
        path = CONFIGS / self.file
        if not path.is_file():
            raise UserError(f"{path} is not there: a configuration to start from stands on the files of configs/")
        return load_config(str(path), overrides)


def count(number: int, what: str, several: str = "") -> str:
    """`1 image`, `3 images`."""
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def rounded_up(side: float) -> int:
    return max(1, math.ceil(side / STEP - 1e-9)) * STEP


def schedule(base: Base, own: Config, images: int, size: tuple[int, int], wish: Wish) -> Choices:
    """Batch size, learning rate and epochs for so many training images at (w, h). own: the base's configuration with
    what is typed, which the rest follows from. UserError for a typed batch that is larger than the training set.
    """
    memory, whose = _memory(wish, own.device_target)
    each = base.gib * size[0] * size[1] / 1e6
    fitting, fair = max(0, int((memory - base.own_gib) / each)), images // (LEAST_UPDATES * own.device_num)
    is_typed = "batch_size" in own.typed
    batch = own.batch_size if is_typed else max(1, min(fitting, fair, base.most_batch))
    updates = images // (batch * own.device_num)
    if not updates:
        asked = f"--batch_size {batch}" + (f" on {own.device_num} devices" if own.device_num > 1 else "")
        raise UserError(f"{asked}: {count(images, 'training image')} make no batch of it")
    updates = max(1, updates // own.accumulate_step)
    learns = f"up to {fair:,} a batch" if fair else "no number of them a batch"
    limits = (
        f"the least of three, and 1 at least: an image of {size[0]}x{size[1]} takes about {each:.3g} GiB (an estimate),"
        f" and {memory:.4g} GiB ({whose}) less {base.own_gib:g} hold {fitting:,}; {count(images, 'training image')} "
        f"make at least {LEAST_UPDATES} updates an epoch with {learns}; more than {base.most_batch} are not usual"
    )
    tight = "" if batch <= fitting else (
        f"a batch of {batch} of {size[0]}x{size[1]} takes about {base.own_gib + batch * each:.3g} GiB (an estimate), "
        f"and there are {memory:.4g} ({whose})"
    )
    update = batch * own.accumulate_step * own.device_num
    plain = base.load().lr
    epochs = min(max(math.ceil(base.seen / images), base.epochs[0]), base.epochs[1])
    epochs = own.epoch_size if "epoch_size" in own.typed else epochs
    run = epochs * updates
    found: Choices = {
        "batch_size": Choice(batch, limits, tight),
        "lr": Choice(
            float(f"{plain * update / base.images:.4g}"),
            f"{plain:g} is for {count(base.images, 'image')} an update: {plain:g} x {update} / {base.images}",
        ),
        "epoch_size": Choice(
            epochs,
            f"{base.seen:,} images are to be learned from, {images:,} an epoch, in {base.epochs[0]} to "
            f"{base.epochs[1]} epochs; {count(updates, 'update')} an epoch make {run:,}",
        ),
    }
    if own.lr_type == "multistep":
        steps = [round(epochs * share) for share in (2 / 3, 11 / 12)]
        words = f"after 2/3 and 11/12 of {count(epochs, 'epoch')}, as 8 and 11 are of 12"
        found["lr_steps"] = Choice(steps, f"{words}, rounded" if epochs % 12 else words)
    if not own.warmup_epochs and own.warmup_step > max(1, run // 10):
        words = f"a tenth of the run's {count(run, 'update')}"
        found["warmup_step"] = Choice(max(1, run // 10), words if run >= 10 else f"{words}, and 1 at least")
    if own.warmup_epochs > epochs / 10:
        found["warmup_epochs"] = Choice(round(epochs / 10, 2), f"a tenth of {count(epochs, 'epoch')}")
    every = max(1, epochs // EVALUATIONS)
    words = f"{EVALUATIONS} evaluations are wanted: every {count(every, 'epoch')} of {epochs}"
    found["eval_every"] = Choice(every, f"{words} makes {epochs // every}")
    cores = os.cpu_count() or 1
    workers = min(cores, MOST_WORKERS)
    found["num_parallel_workers"] = Choice(workers, f"this machine has {count(cores, 'core')}; {MOST_WORKERS} do")
    return found


def start_weights(wish: Wish) -> Choices:
    """The backbone's. What goes without them belongs to the task."""
    if not wish.weights:
        return {}
    return {"backbone.pretrained": Choice(os.path.abspath(wish.weights), "the backbone starts from these weights")}


def _memory(wish: Wish, device: str) -> tuple[float, str]:
    """GiB, and whose they are."""
    if wish.memory:
        return wish.memory, "--memory"
    if device != "CPU":
        return GPU_MEMORY, "taken for granted; --memory says another"
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return whole / 2, "half of this machine's"
