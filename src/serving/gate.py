"""What is let through to Gradio: the requests that the page and its clients make, of bounded size, and nothing else."""

import json
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from ..errors import plain
from ..reading import parse_json
from .uploads import Uploads

logger = logging.getLogger(__name__)

LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
MEGABYTE = 2**20
AROUND_A_FILE = 2**16  # bytes of an upload beside the file
MOST_WORDS = 2**20  # bytes of any other request: names of classes
MOST_DRAINED = 2**30  # bytes of a request that is refused are taken, so that its sender reads why

API = "/gradio_api"
UPLOAD, FILE = f"{API}/upload", f"{API}/file="
PAGES = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", f"{API}/info", f"{API}/queue/data",
         f"{API}/upload_progress")  # fmt: skip
CALL = f"{API}/call/predict"  # the one function that has a name
BELOW = ("/assets/", "/static/", f"{API}/heartbeat/", f"{CALL}/", FILE)
POSTS = (UPLOAD, CALL, f"{API}/queue/join", f"{API}/cancel")
ELSEWHERE = (b"x-forwarded-host", b"x-gradio-server")  # headers by which Gradio would name another server in the page

GONE = {"type": "http.disconnect"}
NO_FILE = 'this is not {"data": [{"path": "...", "meta": {"_type": "gradio.FileData"}}]}, the path from an upload'

# The page's scripts are its own, and reach this server alone.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Gate:
    """An ASGI application in front of another one.

    names: hosts that a request may be for (another name that leads here is refused), None for any; most_bytes:
    of a file.
    """

    def __init__(self, app, uploads: Uploads, names: Collection[str] | None, most_bytes: int):
        self.app, self.uploads, self.names, self.most_bytes = app, uploads, names, most_bytes

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))

    async def _answer(self, scope, receive, send) -> None:
        scope = scope | {"headers": [item for item in scope["headers"] if item[0] not in ELSEWHERE]}
        path, headers = scope["path"], dict(scope["headers"])
        body = _Body(receive, self._most(path))
        refusal = self._refusal(scope["method"], path, headers)
        if refusal:
            await body.refuse(send, *refusal)
        elif scope["method"] != "POST":
            await self._ask(scope, receive, send)
        elif path == UPLOAD:
            await self._upload(scope, body, send)
        else:
            await self._call(scope, body, send)

    def _refusal(self, method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Status and reason, as far as the first lines of a request tell."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.names is not None and re.sub(r":\d*$", "", host) not in self.names:
            return 403, "this page is for its own machine: --host lets others in"
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin.partition("://")[2] != host:
            return 403, "another page may not ask here"
        is_known = path in PAGES or path.startswith(BELOW)
        if method == "POST":
            is_known = path in POSTS
        elif method not in ("GET", "HEAD"):
            return 405, "not here"
        if path.startswith(FILE) and not path.startswith(f"{FILE}{self.uploads.folder}/"):
            is_known = False
        if not is_known or ".." in path:
            return 404, "there is nothing here"
        length = headers.get(b"content-length", b"0")
        if not re.fullmatch(rb"[0-9]{1,18}", length):
            return 400, "no length"
        if method == "POST" and int(length) > self._most(path):
            return 413, self._too_large(path)
        if path == UPLOAD and not self.uploads.make_room():
            return 503, "too many images are waiting: try again in a moment"
        return None

    def _most(self, path: str) -> int:
        return self.most_bytes + AROUND_A_FILE if path == UPLOAD else MOST_WORDS

    def _too_large(self, path: str) -> str:
        return f"a file may have {self.most_bytes / MEGABYTE:g} MB" if path == UPLOAD else "the request is too long"

    async def _upload(self, scope, body: "_Body", send) -> None:
        """The paths that it gives are noted before they are known to anybody."""
        scope = scope | {"headers": [item for item in scope["headers"] if item[0] != b"accept-encoding"]}
        answer = _Answer(send)
        with self.uploads.arriving() as note:
            try:
                await self.app(scope, body.receive, answer.hold)
            except Exception:
                if not body.is_too_long:
                    raise
            paths = []
            if answer.status == 200 and not body.is_too_long:
                paths = [path for path in parse_json(answer.body) if isinstance(path, str)]
            if len(paths) == 1:
                note(paths)
        if len(paths) > 1:
            self.uploads.discard(paths)
            await body.refuse(send, 413, "one file at a time")
        elif body.is_too_long:
            await body.refuse(send, 413, self._too_large(UPLOAD))
        else:
            await answer.release()

    async def _call(self, scope, body: "_Body", send) -> None:
        """What is sent names files that were uploaded, or none."""
        content = await body.all()
        if body.is_too_long:
            await body.refuse(send, 413, self._too_large(scope["path"]))
            return
        try:
            words = parse_json(content)
        except ValueError as error:
            await body.refuse(send, 400, f"this is not JSON: {error}")
            return
        paths = list(_paths(words))
        if not all(path in self.uploads for path in paths):
            await body.refuse(send, 403, "this image is not here: upload it again")
            return
        if scope["path"] == CALL and not _is_one_file(words):
            await body.refuse(send, 400, NO_FILE)
            return
        content = json.dumps(words).encode()  # as it was understood here
        headers = [item for item in scope["headers"] if item[0] not in (b"content-length", b"transfer-encoding")]
        scope = scope | {"headers": [*headers, (b"content-length", b"%d" % len(content))]}

        async def note(message: dict) -> None:
            if message.get("status") == 200:
                self.uploads.ask(paths)
            await send(message)

        await self._ask(scope, body.replaying(content), note)

    async def _ask(self, scope, receive, send) -> None:
        """What Gradio fails at, for want of a function or event of that number, is said in one line."""
        answer = _Failing(send)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            reason = plain(str(error), 200) or type(error).__name__
            logger.warning("%s %s: %s", scope["method"], plain(scope["path"]), reason)
        await answer.end()


def _is_one_file(words: object) -> bool:
    data = words.get("data") if isinstance(words, dict) else None
    return isinstance(data, list) and len(data) == 1 and (
        data[0] is None or isinstance(data[0], dict) and isinstance(data[0].get("path"), str)
    )


def _paths(words: object):
    """Whatever stands for a file in what a client sends."""
    left = [words]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "path" in one:
                yield one["path"]
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


class _Body:
    """A request's body, up to `most` bytes; after them the sender seems to have gone."""

    def __init__(self, receive, most: int):
        self._receive, self._left, self._has_more = receive, most, True

    @property
    def is_too_long(self) -> bool:
        return self._left < 0

    async def receive(self) -> dict:
        message = GONE if self.is_too_long else await self._take()
        self._left -= len(message.get("body", b""))
        return GONE if self.is_too_long else message

    async def all(self) -> bytes:
        parts = []
        while self._has_more and not self.is_too_long:
            parts.append((await self.receive()).get("body", b""))
        return b"".join(parts)

    def replaying(self, content: bytes):
        """What gives `content` as the body that has been taken, and after it what comes."""
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict:
            return messages.pop() if messages else await self._receive()

        return receive

    async def refuse(self, send, status: int, reason: str) -> None:
        """Answer in words, once the sender has sent all of it: it would not read them before."""
        drained = 0
        while self._has_more and drained < MOST_DRAINED:
            drained += len((await self._take()).get("body", b""))
        await _say(send, status, reason)

    async def _take(self) -> dict:
        message = await self._receive()
        self._has_more = message.get("more_body", False)
        return message


@dataclass
class _Answer:
    """A short answer that is held back."""

    send: object
    messages: list[dict] = field(default_factory=list)

    @property
    def status(self) -> int:
        return next((message["status"] for message in self.messages if "status" in message), 0)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def hold(self, message: dict) -> None:
        self.messages.append(message)

    async def release(self) -> None:
        for message in self.messages:
            await self.send(message)


class _Failing:
    """An answer of which a failure becomes words."""

    def __init__(self, send):
        self._send, self._has_failed, self._has_begun, self._has_ended = send, False, False, False

    async def send(self, message: dict) -> None:
        self._has_failed = self._has_failed or message.get("status") == 500
        if not self._has_failed:
            self._has_begun = True
            self._has_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await self._send(message)

    async def end(self) -> None:
        """Whatever has been left out."""
        if self._has_failed or not self._has_begun:
            await _say(self._send, 400, "this is not known here")
        elif not self._has_ended:  # of events, that never come
            content = b'event: error\ndata: {"error": "this is not known here"}\n\n'
            await self._send({"type": "http.response.body", "body": content})


async def _say(send, status: int, reason: str) -> None:
    content = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _with_headers(send):
    async def send_more(message: dict) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return send_more
