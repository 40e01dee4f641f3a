"""Who else hears of a run: optional services, each brought in by its key."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..config import Config
from .curves import Row
from .experiment import Experiment


class Observer(Protocol):
    """Told by the training loop; must return at once and never raise."""

    def on_steps(self, rows: Sequence[Row]) -> None:
        """Rows of losses.csv that were just written."""

    def on_epoch(self, row: Row, best: Path | None) -> None:
        """The row of metrics.csv that was just written, and the best checkpoint so far."""

    def on_end(self, error: BaseException | None) -> None:
        """The run is over; `error` is what ended it early."""


@contextlib.contextmanager
def observing(cfg: Config, experiment: Experiment) -> Iterator[list[Observer]]:
    """The observers that the configuration asks for, on the main rank; told of the end whatever it is."""
    observers: list[Observer] = []
    if cfg.mlflow and experiment.is_main:
        from ..integrations.mlflow import MlflowObserver

        observers.append(MlflowObserver(cfg, experiment.folder))
    error: BaseException | None = None
    try:
        yield observers
    except BaseException as raised:
        error = raised
        raise
    finally:
        for observer in observers:
            observer.on_end(error)
