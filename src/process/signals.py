"""Signals that end a program, from its first line on: taken by a thread that does nothing else.

MindSpore puts a handler of its own on SIGINT whenever it runs a graph (it sends SIGTERM to this process), and Python's
handlers wait until a graph is compiled or run. So the signals are blocked in every thread, whichever handler they have,
and one thread waits for them (sigwait); it may end the process whatever the others do.
"""

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

TAKEN = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
TIDY_WAIT = 3.0  # seconds

Taker = Callable[[int], None]

_watched: set[int] = set()  # signals that the thread takes
_takers: list[Taker] = []  # the last one is told of them
_last_words: list[Callable[[], None]] = []  # what tells something before the process leaves
_is_leaving = False


def watch() -> None:
    """From now on SIGINT ends this program with one line and status 130, SIGTERM with 143, wherever it is just then.

    To be called before anything else is imported: threads that there are already would take signals too. What is
    ignored stays so (nohup, jobs in the background). Nothing happens inside another program, whose signals these are.
    Standard streams that are closed are opened, so that no file gets their numbers and with them what others print;
    letters that the terminal does not have are escaped.
    """
    if _watched:
        return
    if "numpy" in sys.modules or threading.active_count() > 1:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return
    _prepare_streams()
    _watched.update(number for number in TAKEN if signal.getsignal(number) != signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, _watched)
    os.register_at_fork(after_in_child=_leave_to_child)
    atexit.register(_stay_while_leaving)
    threading.Thread(target=_take, name="signals", daemon=True).start()


@contextlib.contextmanager
def told_to(taker: Taker) -> Iterator[Callable[[], None]]:
    """While active, signals are told to `taker` and do nothing else: by the thread that watches, at once.

    Those that nobody watches are told by handlers, in the main thread, when no graph runs; MindSpore puts its own in
    their place, so that what is yielded is to be called after each graph.
    """
    before = {number: signal.getsignal(number) for number in TAKEN if number not in _watched}
    if before.get(getattr(signal, "SIGHUP", None)) == signal.SIG_IGN:  # nohup
        del before[signal.SIGHUP]

    def listen() -> None:
        for number in before:
            signal.signal(number, lambda number, frame: taker(number))

    listen()
    _takers.append(taker)
    try:
        yield listen
    finally:
        _takers.remove(taker)
        for number, handler in before.items():
            signal.signal(number, handler)


def is_watched(number: int) -> bool:
    """Whether the thread takes this signal."""
    return number in _watched


@contextlib.contextmanager
def last_words(tell: Callable[[], None]) -> Iterator[None]:
    """While active, `tell` is called when the process leaves (`leave`), after which nobody is heard."""
    _last_words.append(tell)
    try:
        yield
    finally:
        _last_words.remove(tell)


def leave(status: int, line: str = "", first: Callable[[], None] | None = None) -> None:
    """End this process now, whatever its threads do, with a line on standard error.

    `first`, each of the `last_words` and the removal of temporary folders have `TIDY_WAIT`, after which nobody waits
    for them. What other threads say then is heard by nobody (that what they work in is gone, say); no end of theirs
    changes `status`.
    """
    global _is_leaving
    _is_leaving = True
    try:
        if line:
            with contextlib.suppress(OSError):  # the terminal may have gone
                above = "\n" if os.isatty(2) else ""  # a terminal shows ^C, behind a bar perhaps
                os.write(2, f"{above}{line}\n".encode())
        for task in filter(None, (first, *_last_words, _flush)):
            _within_wait(task)
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        _within_wait(_tidy)
    finally:
        os._exit(status)


def _within_wait(task: Callable[[], None]) -> None:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    thread.join(TIDY_WAIT)


def _take() -> None:
    while True:
        number = signal.sigwait(_watched)
        handler = signal.getsignal(number)
        if _takers:
            try:
                _takers[-1](number)
            except Exception as error:  # no memory, no more threads
                leave(128 + number, f"ended by signal {int(number)} ({error})")
        elif callable(handler) and handler is not signal.default_int_handler:
            _thread.interrupt_main(number)
        else:
            leave(128 + number, "interrupted" if number == signal.SIGINT else f"ended by signal {int(number)}")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _tidy() -> None:
    with contextlib.suppress(Exception):
        weakref.finalize._exitfunc()  # what the interpreter does at its end: temporary folders go


def _stay_while_leaving() -> None:
    """At the interpreter's end: one that comes while `leave` is at work, over an error of its making, waits."""
    while _is_leaving:
        time.sleep(TIDY_WAIT)


def _leave_to_child() -> None:
    """A forked process (a worker of the data pipeline) has no thread that watches; it is ended by its parent."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched)
    global _is_leaving
    _is_leaving = False
    _watched.clear()
    _takers.clear()


def _prepare_streams() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the lowest free number is this one
            os.open(os.devnull, os.O_RDWR)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
