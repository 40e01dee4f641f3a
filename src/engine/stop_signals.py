"""Signals that end a run after its current step."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..process import signals

logger = logging.getLogger(__name__)

COUNTS_AS = {signal.SIGUSR1: signal.SIGTERM}  # mpirun passes it on to its ranks; it kills them soon after a SIGTERM
ECHO = 10.0  # seconds in which a SIGTERM after another signal is no second wish to end
DATA_WAIT = 3.0  # seconds that a run which is to end waits for its next batch
DATA_WAIT_OF_RANKS = 60.0  # of several ranks only those end in good order that end together

Item = TypeVar("Item")


class StopSignals:
    """While active, SIGINT, SIGTERM and SIGHUP only set `received`; the loop ends after its step.

    A second one ends the process at once. But a SIGTERM soon after another signal is passed over: where all processes
    of a job get a signal its data workers end, which MindSpore answers with a SIGTERM to this process.

    save: keeps the state after the last step, for a run that cannot end after its next one because no batch comes
    (its workers are gone): it ends after `data_wait` seconds. One without a step of its own yet, which may compile for
    minutes, has nothing to save and ends at once.
    """

    def __init__(self, save: Callable[[], None] = lambda: None, data_wait: float = DATA_WAIT):
        self.received = 0
        self._save, self._data_wait = save, data_wait
        self._first_at = 0.0
        self._has_stepped = self._waits_for_data = self._is_between_epochs = False
        self._between_steps = threading.Lock()  # held by whoever goes on: the loop with its batch, or the end
        self._kept: list[Iterator] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "StopSignals":
        self._listen = self._stack.enter_context(signals.told_to(self._note))
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def batches(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The batches, while it is known whether the loop waits for one.

        Their iterator outlives a run that is stopped, since its end may never come: it waits for a lock that a worker
        may have taken along, which the same signal ended.
        """
        iterator = iter(batches)
        self._kept.append(iterator)
        while True:
            self._waits_for_data = True
            batch = next(iterator, None)
            with self._between_steps:
                self._waits_for_data = False
            if batch is None:
                break
            yield batch
        self._kept.remove(iterator)

    @contextlib.contextmanager
    def between_epochs(self) -> Iterator[None]:
        """While active, an epoch's end is seen to, which may take long: a signal gets a line that says so at once."""
        self._is_between_epochs = True
        try:
            yield
        finally:
            self._is_between_epochs = False

    def step_is_done(self) -> None:
        """After every step: handlers are put back in place where nobody watches."""
        self._has_stepped = True
        self._listen()

    def _note(self, number: int) -> None:
        now = time.monotonic()
        if self.received:
            if number == signal.SIGTERM and now - self._first_at < ECHO:
                return
            if not signals.is_watched(number):
                raise KeyboardInterrupt
            signals.leave(128 + number, "interrupted")
        self.received, self._first_at = COUNTS_AS.get(number, number), now
        if self._is_between_epochs:  # by a thread: a handler may interrupt whoever is about to write to the log
            threading.Thread(target=_tell_wait, args=(self.received,), name="wait", daemon=True).start()
        if signals.is_watched(number):
            threading.Thread(target=self._end_where_it_stands, name="stop", daemon=True).start()

    def _end_where_it_stands(self) -> None:
        """In a thread: end the process unless the loop gets to a step, whose end ends it in good order."""
        if not self._has_stepped:
            signals.leave(128 + self.received, first=lambda: tell_stop(self.received))
        while True:
            time.sleep(self._data_wait)
            with self._between_steps:
                if self._waits_for_data:
                    self._save_and_leave()

    def _save_and_leave(self) -> None:
        status = 128 + self.received
        try:
            self._save()
        except Exception as error:  # a full disk
            signals.leave(status, f"error: {error}")
        signals.leave(status, first=lambda: tell_stop(self.received))


def _tell_wait(number: int) -> None:
    logger.info("Signal %d: the run ends after this evaluation; a second one ends it at once", number)


def tell_stop(number: int) -> None:
    """The run's last line in the log."""
    logger.info("Stopped by signal %d; the same command with --resume 1 goes on", number)
