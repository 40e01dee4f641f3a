"""MindSpore inside somebody else's program: a notebook, a server, a script that uses other networks too.

Its device is chosen once a process. Everything else that it changes for all of the process is put back: the execution
mode, and the handler that it has for Ctrl-C, which ends the process. One thread at a time is in it.
"""

import contextlib
import ctypes
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from ..errors import UserError
from .logs import quiet_logs
from .runtime import Runtime, set_device
from .signals import is_watched

HANDLERS = (signal.SIGINT,)  # that MindSpore takes for itself
MOMENT = 0.05  # seconds
STRUCT_SIZE = 256  # bytes, more than a `struct sigaction` has anywhere

_lock = threading.RLock()
_device: list[tuple[str, int]] = []  # the one of this process


def enter(cfg: Config) -> Runtime:
    """Choose the device. UserError where it is not there, or where this process has another one already."""
    wanted = cfg.device_target, cfg.device_id if cfg.device_target != "CPU" else 0
    with _lock:
        if _device and _device[0] != wanted:
            raise UserError(
                f"device_target is {_named(wanted)}, but this process runs its networks on {_named(_device[0])}: "
                "MindSpore has one device a process"
            )
        if not _device:
            quiet_logs()
            set_device(cfg)
            _device.append(wanted)
    return Runtime(device=cfg.device_target)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C is told to its handler afterwards, where Python has one, in the main thread.

    MindSpore that is half imported is of no use any more in this process, and aborts it at its end; a graph that is
    half compiled says so in fifty lines, and leaves a folder.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not callable(handler) or is_watched(signal.SIGINT):
        yield
        return
    came: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        handler(*came[0])


@contextlib.contextmanager
def alone(mode: str) -> Iterator[None]:
    """No other thread is in MindSpore meanwhile, whose execution mode is `mode`, "graph" or "pynative"."""
    import mindspore as ms

    wanted = ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE
    with _lock, uninterrupted(), _handlers_as_before():
        before = ms.get_context("mode")
        if before != wanted:
            ms.set_context(mode=wanted)
        try:
            yield
        finally:
            if before != wanted:
                ms.set_context(mode=before)


@contextlib.contextmanager
def randomness_as_before() -> Iterator[None]:
    """Random numbers that are drawn meanwhile are drawn again afterwards: the program's own stay as they were."""
    plain, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy)


@dataclass(frozen=True, eq=False)
class Output:
    """An array that asks nothing of MindSpore any more, with a tensor's method."""

    array: np.ndarray

    def asnumpy(self) -> np.ndarray:
        return self.array


class Guest:
    """A network that several threads may call."""

    def __init__(self, network: Callable, mode: str):
        self.network, self.mode = network, mode

    def __call__(self, *arguments: Any) -> tuple[Output, ...]:
        with alone(self.mode):  # to wait for an output is to be in MindSpore too
            outputs = self.network(*arguments)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return tuple(Output(output.asnumpy()) for output in outputs)


@contextlib.contextmanager
def _handlers_as_before() -> Iterator[None]:
    """Of signals, which Python cannot see where others set them, and cannot set outside of the main thread.

    Put back every moment too: while a graph is compiled or run, Ctrl-C waits for its end instead of ending the process.
    MindSpore's handler, which each graph sets anew, sends SIGTERM to this process: meanwhile that is Ctrl-C for Python.
    """
    libc = _libc()
    kept = {number: (ctypes.c_ubyte * STRUCT_SIZE)() for number in HANDLERS}
    found = [number for number, state in kept.items() if libc and libc.sigaction(int(number), None, state) == 0]
    ended = (ctypes.c_ubyte * STRUCT_SIZE)()
    is_told = bool(found) and callable(signal.getsignal(signal.SIGINT))
    is_told = is_told and libc.sigaction(int(signal.SIGTERM), None, ended) == 0
    if is_told:
        interrupt = (ctypes.c_ubyte * STRUCT_SIZE).from_buffer_copy(kept[signal.SIGINT])
        ctypes.c_void_p.from_buffer(interrupt).value = _address(ctypes.pythonapi.PyErr_SetInterrupt)
        libc.sigaction(int(signal.SIGTERM), interrupt, None)
    over = threading.Event()

    def put_back() -> None:
        for number in found:
            libc.sigaction(int(number), kept[number], None)

    def watch() -> None:
        while not over.wait(MOMENT):
            put_back()

    watcher = threading.Thread(target=watch, name="signal handlers", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        put_back()
        if is_told:
            libc.sigaction(int(signal.SIGTERM), ended, None)


def _libc() -> Any:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "sigaction") else None
    except (OSError, TypeError):  # no POSIX
        return None


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value


def _named(device: tuple[str, int]) -> str:
    name, number = device
    return name if name == "CPU" else f"{name} {number}"
