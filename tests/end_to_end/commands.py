"""Run the project's commands: each in a process of its own, or, much sooner, in this one."""

import contextlib
import csv
import io
import logging
import os
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms

ROOT = Path(__file__).parents[2]


def command_line(*arguments: object) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def run_process(*arguments: object, status: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run a command in the repository's root as a user does; its output. For what only a process can show."""
    variables = os.environ | (environment or {})
    line = command_line(*arguments)
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=280, env=variables)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def run(*arguments: object, status: int = 0, folder: Path = ROOT) -> str:
    """Run a script of the root, or '-m' and a module, as a command in this process, in `folder`; what it printed."""
    arguments = [str(argument) for argument in arguments]
    is_module = arguments[0] == "-m"
    name, before, printed = arguments[is_module], sys.argv, io.StringIO()
    sys.argv = arguments[is_module:]
    code = 0
    try:
        with _working_directory(folder), _state_as_before(), _both_streams(printed), warnings.catch_warnings():
            if is_module:
                warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)  # a test imports it too
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(ROOT / name), run_name="__main__")
    except SystemExit as left:
        code = left.code or 0
    finally:
        sys.argv = before
    assert code == status, printed.getvalue()[-2000:]
    return printed.getvalue()


@contextlib.contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    """`contextlib.chdir`, which Python 3.10 lacks."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _both_streams(to: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(to), contextlib.redirect_stderr(to):
        yield


@contextlib.contextmanager
def _state_as_before() -> Iterator[None]:
    """Commands set the execution mode and send the project's log lines to what they print to."""
    logger = logging.getLogger("src")
    handlers, propagate, level = list(logger.handlers), logger.propagate, logger.level
    try:
        yield
    finally:
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers[:] = handlers
        logger.propagate, logger.level = propagate, level
        ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")


def table(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[dict]:
    return table(folder / "losses.csv")
