"""What is let through to Gradio, without Gradio."""

import asyncio
import json

import pytest

from src.serving.gate import API, AROUND_A_FILE, CALL, LOCAL_NAMES, MOST_WORDS, Gate
from src.serving.uploads import MOST_WAITING, Uploads

LIMIT = 1000  # bytes of a file
UPLOADED = "/page/abc/photo.jpg"


class Behind:
    """An application that tells what came through. uploads: paths that it answers an upload with."""

    def __init__(self, paths=()):
        self.paths, self.came = list(paths), []

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client has gone")
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.came.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(self.paths).encode()})


@pytest.fixture()
def uploads(tmp_path):
    uploads = Uploads(tmp_path)
    with uploads.arriving() as note:
        note([UPLOADED])
    return uploads


def ask(gate: Gate, method: str, path: str, parts=(b"",), host: str = "127.0.0.1:8000", **headers: str):
    """(status, body, headers) of the answer, and how many parts of the request were taken."""
    left = [{"type": "http.request", "body": part, "more_body": k + 1 < len(parts)} for k, part in enumerate(parts)]
    answer, taken = [], []

    async def receive() -> dict:
        taken.append(left.pop(0))  # an IndexError where more is asked for than there is
        return taken[-1]

    async def send(message: dict) -> None:
        answer.append(message)

    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(gate(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in answer)
    return answer[0]["status"], body.decode(), dict(answer[0]["headers"]), len(taken)


def gate_before(behind: Behind, uploads: Uploads, names=LOCAL_NAMES) -> Gate:
    return Gate(behind, uploads, names, LIMIT)


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/index.js", "/static/fonts/a.woff2", f"{API}/queue/data", f"{API}/heartbeat/x1"]
)
def test_what_the_page_asks_for_is_let_through_with_a_policy(path, uploads):
    behind = Behind()
    status, _, headers, _ = ask(gate_before(behind, uploads), "GET", path)
    assert status == 200 and [came[1] for came in behind.came] == [path]
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert b"http" not in headers[b"content-security-policy"]  # no other server at all


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/monitoring", 404),
        ("GET", f"{API}/deep_link", 404),
        ("GET", f"{API}/vibe-code", 404),
        ("GET", f"{API}/proxy=http://elsewhere.example/", 404),
        ("GET", f"{API}/file=http://elsewhere.example/a.png", 404),
        ("GET", f"{API}/file=/etc/hostname", 404),
        ("GET", "/assets/../../secret", 404),
        ("POST", f"{API}/run/predict", 404),
        ("POST", f"{API}/call/other", 404),
        ("GET", f"{API}/call/other/abc", 404),
        ("POST", f"{API}/component_server", 404),
        ("POST", "/config", 404),
        ("PUT", "/", 405),
        ("DELETE", f"{API}/upload", 405),
    ],
)
def test_nothing_else_is(method, path, status, uploads):
    behind = Behind()
    assert ask(gate_before(behind, uploads), method, path)[0] == status
    assert not behind.came


def test_files_of_the_pages_own_folder_alone_are_given(uploads, tmp_path):
    behind = Behind()
    assert ask(gate_before(behind, uploads), "GET", f"{API}/file={tmp_path}/token/image.jpg")[0] == 200
    assert ask(gate_before(behind, uploads), "GET", f"{API}/file={tmp_path}/../x")[0] == 404
    assert ask(gate_before(behind, uploads), "GET", f"{API}/file={tmp_path}x/y")[0] == 404


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:8000", "127.0.0.1.elsewhere.example", ""])
def test_a_name_that_only_leads_here_is_refused(host, uploads):
    assert ask(gate_before(Behind(), uploads), "GET", "/", host=host)[0] == 403
    assert ask(gate_before(Behind(), uploads, None), "GET", "/", host=host)[0] == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000"])
def test_names_of_this_machine_are_not(host, uploads):
    assert ask(gate_before(Behind(), uploads), "GET", "/", host=host)[0] == 200


def test_another_page_may_not_ask(uploads):
    gate = gate_before(Behind(), uploads)
    for origin in ("http://elsewhere.example", "null", "http://127.0.0.1:9999"):
        assert ask(gate, "POST", f"{API}/upload", origin=origin)[0] == 403
    assert ask(gate, "POST", f"{API}/upload", origin="http://127.0.0.1:8000")[0] == 200


def test_a_large_file_is_refused_by_its_length_once_it_was_sent(uploads):
    behind, parts = Behind(), [bytes(300)] * 300
    length = str(LIMIT + AROUND_A_FILE + 1)
    status, body, _, taken = ask(gate_before(behind, uploads), "POST", f"{API}/upload", parts, content_length=length)
    assert (status, taken) == (413, 300) and "0.000953674 MB" in body and not behind.came


def test_a_large_file_of_unknown_length_is_refused_as_it_comes(uploads):
    behind, parts = Behind(), [bytes(300)] * 300  # 90,000 bytes
    status, body, _, taken = ask(gate_before(behind, uploads), "POST", f"{API}/upload", parts)
    assert (status, taken) == (413, 300) and "MB" in body and not behind.came


def test_paths_of_uploads_are_known_before_they_are_told(uploads):
    behind = Behind(["/page/def/other.jpg"])
    assert ask(gate_before(behind, uploads), "POST", f"{API}/upload", [bytes(LIMIT)])[:2] == (
        200,
        '["/page/def/other.jpg"]',
    )
    assert "/page/def/other.jpg" in uploads and len(uploads) == 2


def test_no_more_files_wait_than_there_is_room_for(uploads):
    """Of files that the network is to look at; others make room."""
    paths = [UPLOADED, *(f"/page/{k}.jpg" for k in range(MOST_WAITING - 1))]
    with uploads.arriving() as note:
        note(paths[1:])
    gate = gate_before(Behind(["/page/new.jpg"]), uploads)
    assert ask(gate, "POST", f"{API}/upload")[0] == 200 and UPLOADED not in uploads and len(uploads) == MOST_WAITING
    paths[0] = "/page/new.jpg"
    for path in paths:
        assert ask(gate, "POST", f"{API}/queue/join", [json.dumps({"data": [{"path": path}]}).encode()])[0] == 200
    status, body, _, _ = ask(gate, "POST", f"{API}/upload")
    assert status == 503 and "try again" in body and len(uploads) == MOST_WAITING


def test_a_request_uploads_one_file(uploads, tmp_path):
    """A hundred in one would be all that may wait, and nobody would ask about them."""
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        path.write_bytes(b"x")
    status, body, _, _ = ask(gate_before(Behind(map(str, paths)), uploads), "POST", f"{API}/upload")
    assert status == 413 and "one file at a time" in body
    assert len(uploads) == 1 and not any(path.exists() for path in paths)


@pytest.mark.parametrize("path,before", [(f"{API}/queue/join", [0.3, None]), (CALL, [])])
def test_a_call_names_uploaded_files_alone(path, before, uploads):
    behind = Behind()
    gate = gate_before(behind, uploads)

    def call(file: object) -> int:
        data = {"data": [*before, file], "fn_index": 0}
        return ask(gate, "POST", path, [json.dumps(data).encode()])[0]

    assert call({"path": UPLOADED, "url": "http://127.0.0.1:8000/x"}) == 200
    assert json.loads(behind.came[0][2])["data"][-1]["path"] == UPLOADED
    for bad in ("/etc/hostname", "http://elsewhere.example/a.png", "", None, 3, [UPLOADED], {"path": UPLOADED}):
        assert call({"path": bad, "meta": {"_type": "gradio.FileData"}}) == 403
    assert len(behind.came) == 1


def test_what_comes_through_is_what_was_looked_at(uploads):
    """Of a key that is there twice, one reader may take the first and another one the last."""
    behind = Behind()
    body = b'{"path": "/etc/hostname", "path": "%s"}' % UPLOADED.encode()
    assert ask(gate_before(behind, uploads), "POST", f"{API}/queue/join", [body])[0] == 200
    assert behind.came[0][2] == b'{"path": "%s"}' % UPLOADED.encode()


@pytest.mark.parametrize(
    "parts,status",
    [([b"{"], 400), ([b"[" * 100_000], 400), ([b"\xff"], 400), ([b" " * (MOST_WORDS // 2)] * 3, 413)],
)
def test_what_is_no_call_is_refused(parts, status, uploads):
    behind = Behind()
    assert ask(gate_before(behind, uploads), "POST", f"{API}/queue/join", parts)[0] == status and not behind.came


@pytest.mark.parametrize("words", [3, [], {}, {"data": {}}, {"data": []}, {"data": ["x"]}, {"data": [{}]},
                                   {"data": [{"path": UPLOADED}] * 2}])  # fmt: skip
def test_a_call_of_a_program_has_one_file_or_none(words, uploads):
    behind = Behind()
    status, body, _, _ = ask(gate_before(behind, uploads), "POST", CALL, [json.dumps(words).encode()])
    assert status == 400 and "the path from an upload" in body and not behind.came
    assert ask(gate_before(behind, uploads), "POST", CALL, [b'{"data": [null]}'])[0] == 200


class Failing:
    """Begins an answer with `status`, if it is given, and fails as Gradio does."""

    def __init__(self, status: int | None):
        self.status = status

    async def __call__(self, scope, receive, send) -> None:
        if self.status is not None:
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b"begun ", "more_body": self.status == 200})
        raise KeyError("number 999")


@pytest.mark.parametrize("method,path", [("POST", f"{API}/queue/join"), ("GET", f"{CALL}/abc")])
def test_what_gradio_fails_at_is_one_line(method, path, uploads, caplog):
    for status in (None, 500):
        got, body, headers, _ = ask(gate_before(Failing(status), uploads), method, path, [b"{}"])
        assert (got, body) == (400, '{"detail": "this is not known here"}') and b"content-security-policy" in headers
    got, body, _, _ = ask(gate_before(Failing(200), uploads), method, path, [b"{}"])
    assert got == 200 and body == 'begun event: error\ndata: {"error": "this is not known here"}\n\n'
    assert [record.getMessage() for record in caplog.records] == [f"{method} {path}: 'number 999'"] * 3
    assert not any(record.exc_info for record in caplog.records)


def test_no_header_names_another_server(uploads):
    seen = []

    async def behind(scope, receive, send) -> None:
        seen.append(dict(scope["headers"]))
        await Behind()(scope, receive, send)

    ask(gate_before(behind, uploads), "GET", "/", x_forwarded_host="elsewhere.example", x_gradio_server="http://a.b")
    assert seen == [{b"host": b"127.0.0.1:8000"}]


def test_a_length_that_is_none_is_refused(uploads):
    for length in ("-1", "1e3", "x", "9" * 30):
        assert ask(gate_before(Behind(), uploads), "POST", f"{API}/upload", content_length=length)[0] == 400
