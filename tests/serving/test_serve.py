"""`python -m src.commands.serve` as a user has it: in a browser, under load, with what is no image."""

import base64
import gzip
import io
import json
import os
import signal
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.serve_load import Served, ask_all, expected, served
from tests.end_to_end.commands import ROOT, run_process
from tests.serving.chromium import PROGRAM, Tab, chromium

pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(
    PROGRAM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)
MUSEUM = ROOT / "tests" / "museum"
IMAGES = sorted((MUSEUM / "data" / "shapes" / "train" / "data").glob("*.jpg"))
LEAST, LESS, MORE = 0.3, 0.2, 0.39  # scores: of the slider at first, and where it is moved
LABELS = "[...document.querySelectorAll('#picture .legend-item')].map(one => one.innerText)"
# In a process of the server's: whoever wants to reach another machine is noted.
WATCHER = """
import socket
def noted(name, place_of):
    original = getattr(socket.socket, name) if hasattr(socket.socket, name) else None
    def call(self, address, *rest):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith("127."):
            open({log!r}, "a").write(f"{{name}} {{address}}\\n")
        return original(self, address, *rest)
    setattr(socket.socket, name, call)
noted("connect", 0)
noted("connect_ex", 0)
lookup = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in (None, "127.0.0.1", "localhost"):
        open({log!r}, "a").write(f"lookup {{host}}\\n")
    return lookup(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def weights(place) -> tuple[object, ...]:
    """An exported detector and its configuration: no graph is compiled."""
    model = place / "model & <b>.onnx"
    model.write_bytes(gzip.decompress((MUSEUM / "mask_rcnn_hrnet" / "model.onnx.gz").read_bytes()))
    config = next((MUSEUM / "mask_rcnn_hrnet").glob("run/*/config.yaml"))
    return "--checkpoint_path", model, "--config_path", config


@pytest.fixture(scope="module")
def wanted(weights, place) -> dict[str, dict]:
    """What infer.py writes."""
    found = expected((*weights, "--backend", "onnx"), IMAGES, place)
    assert len(found) == len(IMAGES) and any(one["score"] > LEAST for one in found[IMAGES[2].name]["predictions"])
    return found


@pytest.fixture(scope="module")
def server(weights, place):
    """Its caches are a folder of the tests'; whom it wants to reach is written into `reached`."""
    (place / "sitecustomize.py").write_text(WATCHER.format(log=str(place / "reached")))
    environment = {
        "XDG_CACHE_HOME": str(place / "caches"), "PYTHONPATH": str(place),
        "GRADIO_ALLOWED_PATHS": "/", "GRADIO_ANALYTICS_ENABLED": "True", "GRADIO_SHARE": "True",
    }  # fmt: skip
    with served(*weights, environment=environment) as one:
        yield one
    assert not (place / "reached").exists(), (place / "reached").read_text()
    assert not list((place / "caches" / "ms_vision_zoo").glob(".page*")), "files are left"


@pytest.fixture()
def tab(tmp_path):
    with chromium(tmp_path) as one:
        yield one


def labels_of(entry: dict, threshold: float, names: object = None) -> list[str]:
    """The labels that the page is to show, best first."""
    shown = sorted((one for one in entry["predictions"] if one["score"] >= threshold), key=lambda one: -one["score"])
    return [
        f"{one['class']['name']} {one['score']:.2f}" for one in shown if names is None or one["class"]["name"] in names
    ]


def drop(tab: Tab, image: Path) -> None:
    tab.wait_for("!!document.querySelector('#dropped input[type=file]')")
    tab.choose_file("#dropped input[type=file]", image)


def slide(tab: Tab, value: float) -> None:
    tab.run(
        "(() => {const one = document.querySelector('#threshold input[type=range]');"
        f"one.value = {value}; one.dispatchEvent(new Event('input', {{bubbles: true}}))}})()"
    )


def layer(tab: Tab, number: int) -> np.ndarray:
    """(h, w, 4) RGBA of a picture in the page, as the browser has decoded it; 0 is the image itself."""
    data = tab.wait_for(
        f"(() => {{const one = document.querySelectorAll('#picture img')[{number}];"
        "if (!one || !one.complete || !one.naturalWidth) return null;"
        "const canvas = document.createElement('canvas'); canvas.width = one.naturalWidth;"
        "canvas.height = one.naturalHeight; canvas.getContext('2d').drawImage(one, 0, 0);"
        "return canvas.toDataURL('image/png').split(',')[1]})()"
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


@needs_browser
def test_a_picture_is_dropped_the_slider_moved_and_what_is_drawn_looked_at(server, wanted, tab):
    image = IMAGES[2]
    entry = wanted[image.name]
    tab.open(server.address)
    drop(tab, image)
    tab.wait_for(f"{LABELS}.length > 0")
    assert tab.run(LABELS) == labels_of(entry, LEAST)
    best = max(entry["predictions"], key=lambda one: one["score"])
    shown, box = layer(tab, 0), layer(tab, 1)
    own = cv2.imread(str(image))
    zoom = shown.shape[0] // own.shape[0]
    assert shown.shape[:2] == box.shape[:2] == (own.shape[0] * zoom, own.shape[1] * zoom) and zoom == 6
    middle = own.shape[0] // 2, own.shape[1] // 2
    near = shown[middle[0] * zoom + 3, middle[1] * zoom + 3, :3].astype(int) - own[middle][::-1].astype(int)
    assert np.abs(near).max() < 40  # of a JPEG
    x, y, width, height = (round(best["bbox"][side] * zoom) for side in ("x_min", "y_min", "width", "height"))
    assert box[y + height // 2, min(x + 1, box.shape[1] - 1), 3] == 255  # its left edge
    rows, columns = np.nonzero(box[..., 3])
    assert abs(rows.min() - max(y, 0)) <= 2 and abs(columns.min() - max(x, 0)) <= 2

    slide(tab, LESS)
    tab.wait_for(f"{LABELS}.length == {len(labels_of(entry, LESS))}")
    assert tab.run(LABELS) == labels_of(entry, LESS) != labels_of(entry, LEAST)
    slide(tab, MORE)
    tab.wait_for(f"{LABELS}.length == {len(labels_of(entry, MORE))}")
    slide(tab, LESS)
    tab.wait_for(f"{LABELS}.length == {len(labels_of(entry, LESS))}")

    boxes = "[...document.querySelectorAll('#classes label')].filter(one => one.innerText)"
    names = list(dict.fromkeys(label.rpartition(" ")[0] for label in labels_of(entry, 0)))
    assert tab.run(f"{boxes}.map(one => one.innerText)") == names and len(names) > 1
    tab.run(f"{boxes}[0].querySelector('input').click()")
    rest = labels_of(entry, LESS, names[1:])
    tab.wait_for(f"{LABELS}.length == {len(rest)}")
    assert tab.run(LABELS) == rest

    tab.run("(() => {const old = URL.createObjectURL; URL.createObjectURL = blob => {"
            "blob.text().then(text => window.saved = text); return old(blob)}})()")  # fmt: skip
    tab.run("document.querySelector('#save').click()")
    assert json.loads(tab.wait_for("window.saved")) == {image.name: entry}
    assert {one.partition(":")[0] for one in tab.requests} <= {"http", "data", "blob"}
    asked = [one for one in tab.requests if one.startswith("http")]
    assert len(asked) > 20 and all(one.startswith(server.address) for one in asked)
    assert not tab.said  # neither errors of scripts nor refusals of the policy


@needs_browser
def test_what_is_refused_is_said_on_the_page(server, tab, tmp_path):
    (tmp_path / "photo.png").write_text("<img src=x onerror=alert(1)>")
    tab.open(server.address)
    drop(tab, IMAGES[0])
    tab.wait_for("document.querySelectorAll('#picture img').length > 0")
    tab.run("document.querySelector('#dropped button[aria-label=\"Clear\"]').click()")
    tab.wait_for("document.querySelectorAll('#picture img').length == 0")
    drop(tab, tmp_path / "photo.png")
    tab.wait_for("document.body.innerText.includes('this file is no image, or cut off')")
    assert tab.run("document.querySelectorAll('#picture img').length") == 0


def png_of(side: int) -> bytes:
    """A black picture with so many pixels a side, of a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, packer = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_is_no_image_or_too_large_is_refused_and_the_page_goes_on(server: Served, wanted, tmp_path):
    import httpx
    from gradio_client import Client, handle_file

    files = {
        "large.png": (png_of(20_000), "20,000 x 20,000 pixels"),
        "text.txt": (b"hello", "no image"),
        "cut.jpg": (IMAGES[0].read_bytes()[:900], "no image, or cut off"),
    }
    client = Client(server.address, verbose=False)
    before = server.memory()
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Exception, match=words):
            client.predict(handle_file(str(tmp_path / name)), api_name="/predict")
    (tmp_path / "huge.jpg").touch()
    os.truncate(tmp_path / "huge.jpg", 200 * 10**6)
    with pytest.raises(ValueError, match="exceeds the maximum file size"):  # which the page's script says too
        client.predict(handle_file(str(tmp_path / "huge.jpg")), api_name="/predict")
    with open(tmp_path / "huge.jpg", "rb") as file:
        answer = httpx.post(f"{server.address}gradio_api/upload", files=[("files", ("huge.jpg", file))], timeout=60)
    assert (answer.status_code, answer.json()) == (413, {"detail": "a file may have 20 MB"})
    assert client.predict(handle_file(str(IMAGES[0])), api_name="/predict") == wanted[IMAGES[0].name]
    assert server.memory() < before + 150
    client.close()


def test_files_of_the_server_are_not_read(server):
    import httpx

    file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    for path, body in (("call/predict", {"data": [file]}), ("queue/join", {"data": [file], "fn_index": 0})):
        answer = httpx.post(f"{server.address}gradio_api/{path}", json=body | {"session_hash": "x"}, timeout=60)
        assert answer.status_code == 403
    for path in ("gradio_api/file=/etc/hostname", "monitoring", "docs", "openapi.json", "gradio_api/runs", "runs"):
        assert httpx.get(f"{server.address}{path}", timeout=60).status_code == 404


def test_eight_clients_at_once_get_right_answers_and_the_memory_stays(server, wanted, place):
    answers = ask_all(server, IMAGES, wanted, clients=8, seconds=10)
    assert not answers.wrong and answers.right >= 16, (answers.wrong[:3], answers.right)
    assert not answers.refused  # eight requests fit into the queue
    assert answers.memory[-1] < answers.memory[2] + 60, answers.memory
    (folder,) = (place / "caches" / "ms_vision_zoo").glob(".page*")
    assert folder.stat().st_mode & 0o777 == 0o700
    left = [path for path in folder.rglob("*") if path.suffix == ".jpg" and path.name != "image.jpg"]
    assert len(left) <= len(IMAGES)  # of uploads that came while others were on their way; a minute later they go


def test_a_full_queue_is_said_a_killed_page_is_tidied_up_after_and_ctrl_c_ends_one(weights, wanted, tmp_path):
    environment, caches = {"XDG_CACHE_HOME": str(tmp_path)}, tmp_path / "ms_vision_zoo"
    with served(*weights, "--max_waiting", 1, environment=environment) as one:
        answers = ask_all(one, IMAGES[:2], wanted, clients=6, seconds=4)
        one.process.kill()
        one.process.wait()
    assert not answers.wrong and answers.right and sum(answers.refused.values()), answers
    assert all("Queue is full" in words for words in answers.refused)
    assert len(list(caches.glob(".page*"))) == 1
    with served(*weights, environment=environment) as one:
        (folder,) = caches.glob(".page*")
        assert str(one.process.pid) in folder.name
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(30) == 130
    assert not list(caches.glob(".page*"))


def test_a_run_is_served_and_a_taken_port_is_said(place, tmp_path):
    run_folder = next((MUSEUM / "hrnet_cls").glob("run/*"))
    copy = tmp_path / "run" / run_folder.name
    for path in run_folder.rglob("*.*"):
        target = copy / path.relative_to(run_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = path.suffix == ".gz"
        (target.with_suffix("") if packed else target).write_bytes(
            gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        )
    from gradio_client import Client, handle_file

    with served("--run", copy) as one:
        client = Client(one.address, verbose=False)
        image, entry = next(iter(json.loads((MUSEUM / "hrnet_cls" / "inference.json").read_text()).items()))
        found = client.predict(handle_file(str(MUSEUM / image)), api_name="/predict")["predictions"]
        assert [one["label"] for one in found] == [one["label"] for one in entry["predictions"]]
        client.close()
        port = one.address.rstrip("/").rpartition(":")[2]
        said = run_process("-m", "src.commands.serve", "--run", copy, "--port", port, status=2)
        assert said == f"error: --port {port} of 127.0.0.1 cannot be had: another program has it\n"
