"""How fast a run goes: the time of its steps, how much of it they wait for data, and how long the rest will take."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DAY, HOUR, MINUTE = 86400, 3600, 60


@dataclass(frozen=True)
class Span:
    """Steps, the seconds that they took, and those of them in which they waited for their batches."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def __sub__(self, other: "Span") -> "Span":
        return Span(self.steps - other.steps, self.seconds - other.seconds, self.waited - other.waited)


class Pace:
    """Told by the loop what it is about. The first step, which compiles, and what follows an epoch are not counted.

    evaluation: seconds that the last one took, told by whoever does it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.evaluation = 0.0
        self._clock = clock
        self._asked = clock()
        self._started: float | None = None  # when the first step was over
        self._steps, self._asks = 0, 0
        self._waited, self._paused = 0.0, 0.0

    def asks_for_batch(self) -> None:
        """A step, but for the first one, is over; the next one begins with its batch."""
        self._asked = self._clock()
        self._asks += 1
        if self._asks == 2:
            self._started = self._asked

    def has_batch(self) -> None:
        """The batch is there: from here on the step counts among those that are done."""
        if self._started is not None:
            self._steps += 1
            self._waited += self._clock() - self._asked

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While active, the run does something else than steps: an epoch is told."""
        began = self._clock()
        yield
        if self._started is not None:
            self._paused += self._clock() - began

    @property
    def total(self) -> Span:
        """Since the first step was over."""
        if self._started is None:
            return Span()
        return Span(self._steps, self._clock() - self._started - self._paused, self._waited)

    def left(self, steps: int, evaluations: int) -> float | None:
        """Seconds that so many steps and evaluations will take; None before a step is timed, and evaluations cost
        nothing before one is.
        """
        total = self.total
        if not total.steps:
            return None
        return steps * total.seconds / total.steps + evaluations * self.evaluation


def duration(seconds: float) -> str:
    """`h:mm:ss`, from a day on `d:hh:mm:ss`."""
    whole = round(seconds)
    days, rest = divmod(whole, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    clock = f"{minutes:02d}:{rest:02d}"
    return f"{days}:{hours:02d}:{clock}" if days else f"{hours}:{clock}"
