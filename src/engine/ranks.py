"""A run that goes on with another number of ranks: on the same global batches, or not at all."""

import logging
from pathlib import Path

from ..config import Config
from ..errors import UserError

logger = logging.getLogger(__name__)

SHARING = ("batch_size", "run_distribute", "device_num")  # keys that say how a global batch is shared out


def ranks_of(cfg: Config) -> int:
    """How many processes train."""
    return cfg.device_num if cfg.run_distribute else 1


def has_same_batches(then: Config, now: Config, where: Path) -> bool:
    """Whether a step of both takes the same images. UserError, with the `batch_size` that would fit, where it does not
    since the number of ranks is another one. where: what says `then`, for messages.

    Each global batch is a slice of the epoch's permutation, whose samples depend on nothing but seed, epoch and image;
    so steps an epoch, learning rates, gradients and moving averages stay what they are. What a rank works out over its
    own part does not: batch normalisations, mixup and cutmix.
    """
    before, ranks = ranks_of(then), ranks_of(now)
    images = then.batch_size * before
    if images == now.batch_size * ranks:
        if ranks != before:
            _check_curve(now, where, before, ranks)
            logger.info(
                "The run goes on with %d ranks of batch_size %d (%d of %d before): the same %d images a step; batch "
                "normalisations that are neither frozen nor synchronised take their statistics over a rank's part",
                ranks, now.batch_size, before, then.batch_size, images,
            )  # fmt: skip
        return True
    if ranks == before:
        return False
    shared = f"with {ranks} ranks it goes on by --batch_size {images // ranks}"
    if images % ranks:
        shared = f"{ranks} ranks cannot share them out evenly"
    raise UserError(
        f"{where}: the run to resume takes {images} images a step, batch_size {then.batch_size} on {before} ranks; "
        f"{shared}"
    )


def _check_curve(now: Config, where: Path, before: int, ranks: int) -> None:
    if now.lr_base_step and now.lr_type != "multistep":
        raise UserError(
            f"{where}: lr_base_step makes the rates depend on the number of ranks, {before} then, {ranks} now; "
            "the run goes on with as many as before, or with --lr_base_step 0"
        )
