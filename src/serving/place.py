"""Where a page is reached."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

from ..errors import UserError, plain


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at this place, where nobody is listened to yet. UserError where it cannot be had."""
    if not host:
        raise UserError("--host is empty; 0.0.0.0 means every network")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UserError(f"--host {plain(host)}: there is no such place") from None
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(place)
        except OSError as error:
            what = "another program has it" if error.errno == errno.EADDRINUSE else os.strerror(error.errno)
            raise UserError(f"--port {port} of {plain(host)} cannot be had: {what}") from None
        yield one


def is_loopback(one: socket.socket) -> bool:
    """Whether this machine alone reaches the socket."""
    return one.getsockname()[0].startswith("127.") or one.getsockname()[0] == "::1"


def address(one: socket.socket) -> str:
    """What a browser on this machine is given."""
    host, port = one.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
