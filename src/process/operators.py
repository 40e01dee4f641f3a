"""Compiled operators that are missing are built when they are first needed, once for all processes.

Into the package's own folder where that can be written, else into the user's caches, in a folder that is named by
version, sources and machine.
"""

import contextlib
import fcntl
import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import short
from ..ops import library
from ..ops.build import CPU, GPU, BuildError, build, fingerprint
from .caches import is_switched_off, user_caches
from .graph_store import make_private

logger = logging.getLogger(__name__)

SWITCH = "MS_VISION_ZOO_BUILD"  # a word for "no": nothing is built, what is missing is said
VARIABLES = {GPU: "NVCC"}  # the others' compiler is named by CXX
USUAL = ("g++", "c++", "clang++")
SECONDS = {CPU: 20}  # about, on one core; the others take longer

_done: dict[Path, Path] = {}  # usual path -> where it is, or was not to be had: nothing is tried twice


def build_at_first_use() -> None:
    """From now on operators that are missing are built."""
    library.build_with(obtain)


def folders() -> list[Path]:
    """Where operators are, beside the package's own folder."""
    return sorted({place.parent for usual, place in _done.items() if place != usual})


def obtain(name: str, usual: Path) -> Path:
    """Where the library `name` is, which is to be at `usual`: there, or in the caches; built if it is in neither.

    `usual` too where it cannot be built, which is said once.
    """
    if usual not in _done:
        _done[usual] = usual if is_switched_off(SWITCH) else _obtained(name, usual)
    return _done[usual]


def _obtained(name: str, usual: Path) -> Path:
    place = usual
    try:
        usual.parent.mkdir(exist_ok=True)
        can_write = os.access(usual.parent, os.W_OK)
    except OSError:
        can_write = False
    if not can_write:
        place = user_caches() / "ops" / f"{library.VERSION}-{fingerprint()}" / name
        if reason := make_private(place.parent):
            logger.warning("%s is not built: %s cannot be used, %s", name, place.parent, reason)
            return usual
    compiler = _compiler(name)
    is_current = place.is_file() and not library.is_old(place)
    if not compiler and not is_current:
        if named := os.environ.get(VARIABLES.get(name, "CXX")):
            logger.warning("%s is not built: no command is called %s", name, short(named))
        return usual
    try:
        with _alone(place):
            if not place.is_file() or library.is_old(place):  # another process may have built it meanwhile
                how = f"about {SECONDS.get(name, 40)} s, {compiler[0]}"
                logger.warning("building the operators, once: %s (%s)", place, how)
                build(name, place, compiler)
    except BuildError as error:
        logger.warning("%s cannot be built: %s", name, error)
        return usual
    return place


def _compiler(name: str) -> list[str]:
    """The command that compiles it; empty where there is none."""
    named = os.environ.get(VARIABLES.get(name, "CXX"), "")
    usual = ("nvcc",) if name == GPU else USUAL
    try:
        commands = [shlex.split(named)] if named else [[one] for one in usual]
    except ValueError:  # a quotation mark that is never closed
        return []
    return next((command for command in commands if command and shutil.which(command[0])), [])


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process at a time; a file system without locks keeps nobody out, and only the same is done twice."""
    try:
        lock = os.open(place.with_name(f".{place.name}.lock"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BuildError(f"{place.parent} cannot be written ({error.strerror})") from None
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
