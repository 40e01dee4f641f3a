"""The folders of a run's checkpoints: the last training states, and the best weights."""

import contextlib
import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mindspore import nn

from ..checkpoint import Facts, load_training_state, save_training_state, save_weights
from ..errors import UserError

logger = logging.getLogger(__name__)

BEST_NAME = re.compile(r"[^.].*_(-?\d+\.\d+)_epoch_(\d+)\.ckpt")
DAMAGED = ".damaged"
States = dict[str, np.ndarray]  # what hooks keep, by HOOK/KEY


class CheckpointFolder:
    """`ckpt/` of an experiment: the last `keep` training states, named by epoch and step (both from 1)."""

    def __init__(self, folder: Path, keep: int, facts: Facts | None = None):
        self.folder, self.keep, self.facts = folder, keep, facts

    def save(self, step: nn.Cell, model: nn.Cell, position: tuple[int, int], hook_states: States | None = None) -> Path:
        """Write the state at (epoch, step of it), and delete the oldest ones above `keep`."""
        path = self.folder / "epoch_{:04d}_step_{:07d}.ckpt".format(*position)
        save_training_state(step, model, path, hook_states, self.facts)
        for old in self.newest_first()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def newest_first(self) -> list[Path]:
        """Whole checkpoints, the latest step first; temporary files of a killed run do not count."""
        found = [path for path in self.folder.glob("*.ckpt") if re.fullmatch(r"epoch_\d+_step_\d+", path.stem)]
        return sorted(found, key=self.position, reverse=True)

    @staticmethod
    def position(path: Path) -> tuple[int, int]:
        """(epoch, step of it) of a checkpoint, by its name."""
        return tuple(map(int, re.findall(r"\d+", path.stem)))

    def load_newest(self, step: nn.Cell, model: nn.Cell) -> tuple[Path, States] | None:
        """Restore the newest readable state: its file and the hooks' states. None if there is none.

        Damaged ones are named, passed over, and from now on called `NAME.ckpt.damaged`: they are not among the `keep`
        last ones.
        """
        for path in self.newest_first():
            try:
                return path, self.load(path, step, model)
            except UserError as error:
                if "cannot be read" not in str(error):
                    raise
                logger.warning("%s; trying the one before", error)
                with contextlib.suppress(OSError):
                    path.rename(path.with_name(path.name + DAMAGED))
        return None

    def load(self, path: Path, step: nn.Cell, model: nn.Cell) -> States:
        """Restore this state of the folder; the hooks' states are returned. UserError if it cannot be read."""
        _require_open(path)
        return load_training_state(step, model, path)

    def damaged(self) -> list[Path]:
        """The files that `load_newest` could not read, of this run and of those before."""
        return sorted(self.folder.glob(f"*.ckpt{DAMAGED}"))


def _require_open(path: Path) -> None:
    """UserError where it is not the file's content that is wrong: another state must not take its place."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be opened: {error.strerror}") from None


class BestFolder:
    """`best_ckpt/` of an experiment: weights of the `keep` best evaluations, the metric first in the name."""

    def __init__(self, folder: Path, keep: int, facts: Facts | None = None):
        self.folder, self.keep, self.facts = folder, keep, facts

    def save(self, model: nn.Cell, metric: str, value: float, epoch: int) -> Path | None:
        """Write the weights if they are among the best so far; a metric that is no number is no candidate."""
        if not math.isfinite(value):
            logger.warning("%s is %s after epoch %d: no candidate for the best", metric, value, epoch)
            return None
        path = self.folder / f"{metric}_{value:.4f}_epoch_{epoch:04d}.ckpt"
        ranked = sorted({*self._entries(), path}, key=_metric_of, reverse=True)
        if path not in ranked[: self.keep]:
            return None
        save_weights(model, path, facts=self.facts)
        for old in ranked[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def top(self) -> Path | None:
        """The best weights so far."""
        return max(self._entries(), key=_metric_of, default=None)

    def best_first(self) -> list[Path]:
        """All weights that are kept."""
        return sorted(self._entries(), key=_metric_of, reverse=True)

    def after(self, epoch: int) -> list[Path]:
        """The weights of evaluations after this epoch."""
        return [path for path in self._entries() if self.epoch(path) > epoch]

    @staticmethod
    def epoch(path: Path) -> int:
        """After which epoch these weights were evaluated, by the file's name."""
        return _metric_of(path)[1]

    def _entries(self) -> Iterable[Path]:
        return [path for path in self.folder.glob("*.ckpt") if BEST_NAME.fullmatch(path.name)]


def _metric_of(path: Path) -> tuple[float, int]:
    value, epoch = BEST_NAME.fullmatch(path.name).groups()
    return float(value), int(epoch)
