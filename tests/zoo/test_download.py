"""Downloads: what breaks off goes on only with the same file, and whatever a server does otherwise is one line."""

import hashlib
import json
import socket

import pytest

from src.errors import UserError
from src.zoo import download as room
from src.zoo.download import download
from tests.zoo.weights_server import serve

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
BY_HAND = "put it at HERE"


@pytest.fixture()
def server():
    with serve() as one:
        one.files["/w.pth"] = CONTENT
        yield one


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(room, "PAUSE", 0.0)


@pytest.fixture()
def get(server, tmp_path):
    said: list[str] = []

    def run(path: str = "/w.pth"):
        part, in_pieces = download(server.address + path, tmp_path / "w.pth", BY_HAND, said.append)
        assert part == tmp_path / "w.pth.part"
        return part.read_bytes(), in_pieces

    run.said, run.folder = said, tmp_path
    return run


def test_a_file_comes_as_it_is(get, server):
    assert get() == (CONTENT, False) and server.asked == [("/w.pth", "")]
    assert get.said == [f"{server.address}/w.pth, 1.0 MB"]
    assert get() == (CONTENT, True) and len(server.asked) == 1  # it is all there, nothing is asked


def test_what_breaks_off_goes_on_where_it_broke_off(get, server):
    server.cuts = [300_000, 1000]
    content, in_pieces = get()
    assert hashlib.sha256(content).digest() == hashlib.sha256(CONTENT).digest() and in_pieces
    assert [wanted for _, wanted in server.asked] == ["", "bytes=300000-", "bytes=301000-"]
    assert "broke off after 0.3 of 1.0 MB (the connection was closed), it goes on" in get.said[1]


def test_another_process_goes_on_with_what_the_first_one_left(get, server, monkeypatch):
    monkeypatch.setattr(room, "BREAKS", 0)
    server.cuts = [500_000]
    with pytest.raises(UserError, match=r"broke off after 0\.5 of 1\.0 MB .*: the same command goes on from there"):
        get()
    assert (get.folder / "w.pth.part").stat().st_size == 500_000
    assert get() == (CONTENT, True) and server.asked[-1] == ("/w.pth", "bytes=500000-")


@pytest.mark.parametrize("change", ["mark", "size", "start", "note", "address", "no mark"])
def test_a_part_of_another_file_is_not_gone_on_with(get, server, monkeypatch, change):
    """The first half of one file and the second of another are none."""
    monkeypatch.setattr(room, "BREAKS", 0)
    server.cuts, server.files["/w.pth"] = [500_000], b"x" * len(CONTENT)
    if change == "no mark":
        server.headers = {}
    with pytest.raises(UserError, match="broke off"):
        get()
    monkeypatch.setattr(room, "BREAKS", 5)
    server.files["/w.pth"] = CONTENT
    if change == "mark":
        server.headers = {"ETag": '"two"'}
    elif change == "size":
        server.files["/w.pth"] = CONTENT + b"more"
    elif change == "start":
        server.starts_at = 499_999
    elif change == "note":
        (get.folder / "w.pth.part.json").write_text('{"address": [')
    elif change == "address":
        server.files["/v/w.pth"] = CONTENT
    path = "/v/w.pth" if change == "address" else "/w.pth"
    if change == "start":
        server.files["/w.pth"] = b"x" * len(CONTENT)
    assert get(path)[0] == server.files[path]


def test_a_server_that_knows_no_ranges_begins_anew(get, server):
    server.cuts, server.knows_ranges = [300_000], False
    assert get() == (CONTENT, True)
    assert server.asked == [("/w.pth", ""), ("/w.pth", "bytes=300000-")]


def test_last_modified_marks_a_file_too(get, server):
    server.headers = {"ETag": 'W/"weak"', "Last-Modified": "Fri, 27 Nov 2026 05:00:00 GMT"}
    server.cuts = [300_000]
    get()
    note = json.loads((get.folder / "w.pth.part.json").read_text())
    assert note == {
        "address": f"{server.address}/w.pth", "mark": "Fri, 27 Nov 2026 05:00:00 GMT", "size": 1_024_000,
    }  # fmt: skip


def test_a_file_that_is_not_there_and_a_page_in_its_place(get, server):
    with pytest.raises(UserError, match=r"^http://127\S+/no\.pth answers 404 Not Found: put it at HERE$"):
        get("/no.pth")
    server.files["/w.pth"], server.headers = b"<html>", {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(UserError, match="w.pth gives a page and no file: put it at HERE"):
        get()
    assert not list(get.folder.iterdir())


def test_without_a_net_it_is_one_line(get, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/w.pth"
    with pytest.raises(UserError, match=r"w\.pth cannot be reached \(Connection refused\): put it at HERE"):
        download(address, tmp_path / "w.pth", BY_HAND, print)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/w.pth", "data:,x", "gopher://x/"])
def test_nothing_but_web_addresses_is_opened_or_followed(get, server, place):
    server.leads["/lead"] = place
    with pytest.raises(UserError, match="(which is not followed|answers 302 )"):
        get("/lead")
    with pytest.raises(UserError, match="is no http or https address of a file: put it at HERE"):
        download(place, get.folder / "w.pth", BY_HAND, print)
    assert not list(get.folder.iterdir())


def test_web_addresses_are_followed_and_circles_end(get, server):
    server.leads = {"/a": "/w.pth", "/b": "/b"}
    assert get("/a") == (CONTENT, False)
    with pytest.raises(UserError, match=r"/b leads on and on, round or too far: put it at HERE$"):
        get("/b")


def test_no_lead_goes_from_https_to_http():
    request = room.urllib.request.Request("https://a.example/w.pth")
    with pytest.raises(UserError, match="//a.example/w.pth leads to http://a.example/w.pth, which is not followed"):
        room._Redirects().redirect_request(request, None, 302, "", {}, "http://a.example/w.pth")


def test_sizes_are_bounded_and_said(get, server, monkeypatch):
    monkeypatch.setattr(room, "MOST_BYTES", 1_000_000)
    with pytest.raises(UserError, match="has 1,024,000 bytes, at most 1,000,000 are taken"):
        get()
    monkeypatch.setattr(room, "MOST_BYTES", 2**34)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda folder: room.shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match="0 MB are free, .* has 1"):
        get()
    server.says_length = False
    with pytest.raises(UserError, match="does not say how long the file is"):
        get()


def test_an_address_with_any_letters_is_asked_for_as_servers_want_it(get, server):
    server.files["/a%20%C3%BC/w%2523.pth"] = CONTENT
    assert get("/a%20ü/w%2523.pth")[0] == CONTENT


def test_a_disk_that_is_full_is_one_line(get, server, monkeypatch):
    class Full:
        def __call__(self, *args, **keys):
            raise OSError(28, "No space left on device", "w.pth.part")

    monkeypatch.setattr("builtins.open", Full())
    with pytest.raises(UserError, match="w.pth.part.*: cannot be written .*No space left on device"):
        get()
