"""The shell around every entry point: what is wrong becomes one line and an exit status."""

import errno
import functools
import os
import sys
import time
from collections.abc import Callable

from ..errors import UserError, one_line
from . import signals
from .environment import require_numbers
from .logs import quiet_logs

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
OTHER_RANKS_WAIT = 5.0  # seconds


def entry_point(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command's `main`: `UserError`, a file that cannot be used and too little memory become one line on stderr
    and exit status 2, Ctrl-C exit status 130; MindSpore's warnings, which are about its own interfaces, stay away.

    What is wrong on every rank of a distributed run is said once: the others let rank 0 speak, after which the launcher
    ends them; what is wrong on another rank alone is said by it a moment later, with its number.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> None:
        quiet_logs()
        try:
            _speak_any_name()
            require_numbers()
            try:
                main(*args, **kwargs)
            except SystemExit as end:
                _leave_if_stopped(end.code)
                raise
            finally:
                if sys.stdout:  # None where the shell has closed it
                    sys.stdout.flush()
            _end_with_ranks(0)
        except BrokenPipeError:  # `--help | head`: whoever read the output has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
            sys.exit(EXIT_INTERRUPTED)
        except (UserError, MemoryError, OSError) as error:
            if isinstance(error, OSError) and error.filename is None:
                if error.errno != errno.ENOSPC:
                    raise
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be printed
            _leave(_line(error))

    return wrapped


def _leave_if_stopped(status: object) -> None:
    """After a signal the process ends here: what is left of its data workers may never let go of it."""
    if isinstance(status, int) and signals.is_watched(status - 128):
        from . import runtime

        if runtime.launched_rank() is None:
            signals.leave(status)
        runtime.end_with_ranks(status)


def _end_with_ranks(status: int) -> None:
    runtime = sys.modules.get(f"{__package__}.runtime")  # NumPy, which it needs, would double the time of --help
    if runtime:
        runtime.end_with_ranks(status)


def _leave(line: str) -> None:
    from . import runtime  # only here: NumPy, which it needs, would double the time of --help

    rank = runtime.launched_rank()
    if rank:
        time.sleep(OTHER_RANKS_WAIT)
    print(f"error: {f'rank {rank}: ' if rank else ''}{line}", file=sys.stderr, flush=True)
    if rank is not None:
        runtime.leave_at_once(EXIT_BAD_INPUT)
    sys.exit(EXIT_BAD_INPUT)


def _line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {one_line(str(error)) or 'nothing says for what'}"
    if isinstance(error, OSError) and error.filename is None:
        return f"what is printed cannot be written: {error.strerror}"
    if isinstance(error, OSError):
        return f"{one_line(os.fsdecode(error.filename))}: {error.strerror}"
    return str(error)


def _speak_any_name() -> None:
    """File names that are no text in the terminal's encoding are shown escaped instead of ending the command."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
