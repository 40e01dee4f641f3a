"""The one way a command says that its input is wrong."""

import functools
import sys
from collections.abc import Callable

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Wrong input from the user: one line that names the file, the key or the shape, and what would be right."""


def entry_point(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command's `main`: `UserError` becomes one line on stderr and exit status 2, Ctrl-C exit status 130."""

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> None:
        try:
            main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(EXIT_BAD_INPUT)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
            sys.exit(EXIT_INTERRUPTED)

    return wrapped
