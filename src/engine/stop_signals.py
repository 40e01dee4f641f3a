"""Signals that end a run after its current step."""

import signal

STOP_SIGNALS = {  # signal: as which it counts
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGUSR1: signal.SIGTERM,
}


class StopSignals:
    """While active, SIGINT and SIGTERM only set `received`; the loop ends after its step. A second one ends at once.

    SIGUSR1 counts as SIGTERM: mpirun passes it on to its ranks, whereas it kills them soon after a SIGTERM of its own.
    MindSpore puts a handler of its own on SIGINT whenever it runs a graph, which sends SIGTERM to this process: hence
    `listen` after every step, and a Ctrl-C that falls into a step arrives as SIGTERM.
    """

    def __enter__(self) -> "StopSignals":
        self.received = 0
        self._previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self.listen()
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Put the handlers (back) in place."""
        for number in self._previous:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = STOP_SIGNALS[number]
