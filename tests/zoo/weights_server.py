"""A web server on this machine for weights, with every way to misbehave that a test asks for."""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """files: content by path; cuts: of the next answers, the bytes after which the connection is closed. headers: of
    every answer, beside its length; leads: addresses that paths lead on to; asked: (path, Range or "") of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    leads: dict[str, str] = field(default_factory=dict)
    stalls_after: int | None = None  # bytes of the next answer, which then waits for `goes_on`
    goes_on: threading.Event = field(default_factory=threading.Event)
    knows_ranges: bool = True
    says_length: bool = True
    starts_at: int | None = None  # a lie about where a partial answer begins
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words) -> None:
            pass

        def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
            wanted = self.headers.get("Range", "")
            server.asked.append((self.path, wanted))
            if self.path in server.leads:
                self.send_response(302)
                self.send_header("Location", server.leads[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path not in server.files:
                self.send_error(404)
                return
            content = server.files[self.path]
            found = re.fullmatch(r"bytes=(\d+)-", wanted) if server.knows_ranges else None
            is_same = self.headers.get("If-Range") in (None, server.headers.get("ETag"))
            start = int(found[1]) if found and is_same else 0
            self.send_response(206 if start else 200)
            for name, value in server.headers.items():
                self.send_header(name, value)
            if start:
                said = start if server.starts_at is None else server.starts_at
                self.send_header("Content-Range", f"bytes {said}-{len(content) - 1}/{len(content)}")
            if server.says_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cut = server.cuts.pop(0) if server.cuts else len(content)
            with contextlib.suppress(OSError):
                if server.stalls_after is not None:
                    self.wfile.write(content[start : start + server.stalls_after])
                    start, server.stalls_after = start + server.stalls_after, None
                    server.goes_on.wait(60)
                self.wfile.write(content[start : start + cut])
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.address = f"http://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.goes_on.set()
            listener.shutdown()
