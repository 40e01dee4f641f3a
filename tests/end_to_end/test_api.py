"""`load(...).predict(...)` gives what infer.py writes, bit for bit: of old runs, checkpoints and exported files."""

import ctypes
import gzip
import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from src import api
from src.errors import UserError
from src.process import guest
from tests.end_to_end.commands import ROOT, run, run_process

MUSEUM = ROOT / "tests" / "museum"
DATA = {"hrnet_cls": "classes", "hrnet_seg_lip": "persons"}

pytestmark = pytest.mark.usefixtures("networks_are_kept")


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """unpacked(family) -> its folder, a copy."""
    place = tmp_path_factory.mktemp("museum")

    def unpacked(family: str) -> Path:
        if not (place / family).exists():
            shutil.copytree(MUSEUM / family, place / family)
            for packed in list((place / family).rglob("*.gz")):
                packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
                packed.unlink()
        return place / family

    return unpacked


def run_folder(family: Path) -> Path:
    return next(family.glob("run/*"))


def images(family: str, count: int = 3) -> list[str]:
    found = (MUSEUM / "data" / DATA.get(family, "shapes")).rglob("*.*")
    named = {path.name: str(path) for path in sorted(found) if path.suffix in (".jpg", ".png")}
    return list(named.values())[:count]


def written(tmp_path: Path, folder: Path, weights: Path, pictures: list[str], *more: object) -> list[dict]:
    """The entries of infer.py's file, in the images' order."""
    place = tmp_path / "pictures"
    place.mkdir()
    for picture in pictures:
        shutil.copy(picture, place)
    output = tmp_path / "out.json"
    run("infer.py", "--config_path", folder / "config.yaml", "--checkpoint_path", weights, "--pred_input", place,
        "--pred_output", output, *more)  # fmt: skip
    entries = json.loads(output.read_text())
    return [entries[str(place / Path(picture).name)] for picture in pictures]


def best(folder: Path) -> Path:
    return next(folder.glob("best_ckpt/*.ckpt"))


@pytest.mark.parametrize(
    "family,suffix",
    [
        ("mask_rcnn_hrnet", "onnx"),
        ("hrnet_cls", "onnx"),
        ("hrnet_cls", ""),
        pytest.param("mask_rcnn_hrnet", "", marks=pytest.mark.slow),
        pytest.param("hrnet_cls", "mindir", marks=pytest.mark.slow),
    ],
)
def test_it_gives_what_infer_writes(family, suffix, museum, tmp_path, monkeypatch):
    folder, pictures = run_folder(museum(family)), images(family)
    weights = museum(family) / f"model.{suffix}" if suffix else best(folder)
    backend = ("--backend", suffix) if suffix else ()
    wanted = written(tmp_path, folder, weights, pictures, *backend)
    monkeypatch.chdir(tmp_path)  # nothing depends on the working folder
    model = api.load(weights, config_path=folder / "config.yaml") if suffix else api.load(folder)
    assert model.path == weights
    found = model.predict(pictures)
    assert [json.loads(json.dumps(one.to_json())) for one in found] == wanted
    assert [entry["predictions"] for entry in wanted] and any(entry["predictions"] for entry in wanted)
    assert set(model.names) >= {name for one in found for name in one.names}
    bgr = cv2.imread(pictures[0])
    for same in (pictures[0], Path(pictures[0]), bgr[..., ::-1], Image.fromarray(bgr[..., ::-1])):
        assert model.predict(same).to_json() == wanted[0]
    assert model.predict(bgr, channels="bgr").to_json() == wanted[0]
    assert found[0].draw().dtype == np.uint8 and np.array_equal(found[0].image(), bgr[..., ::-1])


def handler_of(number: int) -> bytes:
    """What the system has for a signal, whoever set it."""
    libc, state = ctypes.CDLL(None), (ctypes.c_ubyte * 256)()
    assert libc.sigaction(int(number), None, state) == 0
    return bytes(state[:8])


def test_of_a_segmenter_it_gives_the_pictures_that_infer_writes(museum, tmp_path):
    folder, (picture,) = run_folder(museum("hrnet_seg_lip")), images("hrnet_seg_lip", 1)
    weights = museum("hrnet_seg_lip") / "model.onnx"
    keys = "--config_path", folder / "config.yaml", "--checkpoint_path", weights, "--backend", "onnx"
    run("infer.py", *keys, "--pred_input", picture, "--pred_output", tmp_path / "out")
    found = api.load(weights, config_path=folder / "config.yaml").predict(picture)
    stem = Path(picture).stem
    index, overlay = (cv2.imread(str(tmp_path / "out" / f"{stem}_{kind}.png"), -1) for kind in ("index", "overlay"))
    assert np.array_equal(found.label_map, index) and np.array_equal(found.draw()[..., ::-1], overlay)
    entry = found.to_json()
    assert sum(one["pixels"] for one in entry["classes"]) == index.size == entry["height"] * entry["width"]
    assert [one["name"] for one in entry["classes"]] == [found.names[k] for k in np.unique(index)]
    with pytest.raises(UserError, match="score_thr is of objects"):
        api.load(weights, config_path=folder / "config.yaml").predict(picture, score_thr=0.5)


def test_four_threads_and_two_models_at_once(museum):
    detector, classifier = museum("mask_rcnn_hrnet"), museum("hrnet_cls")
    exported = api.load(detector / "model.onnx", config_path=run_folder(detector) / "config.yaml")
    before = handler_of(signal.SIGINT)
    models = [
        (exported, images("mask_rcnn_hrnet")),
        (api.load(run_folder(classifier)), images("hrnet_cls")),
    ]
    alone = [[one.to_json() for one in model.predict(pictures)] for model, pictures in models]
    answers: dict[int, list] = {}

    def work(number: int) -> None:
        model, pictures = models[number % 2]
        answers[number] = [model.predict(picture).to_json() for picture in pictures for _ in range(2)][::2]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[number] for number in range(4)] == alone * 2
    assert handler_of(signal.SIGINT) == before


def test_a_handler_that_a_graph_sets_is_put_back_while_it_runs(monkeypatch):
    """MindSpore's ends the process at Ctrl-C, and a graph may take a minute to compile."""
    seen = []

    def compiles_long():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        deadline = time.monotonic() + 20
        while handler_of(signal.SIGINT) != before and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(handler_of(signal.SIGINT))
        return ms.Tensor(1)

    python, before = signal.getsignal(signal.SIGINT), handler_of(signal.SIGINT)
    try:
        guest.Guest(compiles_long, "graph")()
        assert seen == [before] == [handler_of(signal.SIGINT)]
    finally:
        signal.signal(signal.SIGINT, python)


def test_what_a_graph_does_at_ctrl_c_is_an_interrupt():
    """It sends SIGTERM to its own process, from a handler that each graph sets anew."""
    ends, interrupts, seen = handler_of(signal.SIGTERM), handler_of(signal.SIGINT), []

    def runs():
        if handler_of(signal.SIGTERM) != ends:  # which would be the end of the tests
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            seen.append("goes on")
        return ms.Tensor(1)

    with pytest.raises(KeyboardInterrupt):
        guest.Guest(runs, "graph")()
    assert seen == ["goes on"]
    assert (handler_of(signal.SIGTERM), handler_of(signal.SIGINT)) == (ends, interrupts)


@pytest.mark.slow
def test_ctrl_c_never_ends_the_program_while_graphs_run(museum):
    text = f"""
import os, signal, threading, time
from src.api import load
model, found = load({str(run_folder(museum("hrnet_cls")))!r}), []
first = model.predict({images("hrnet_cls")[0]!r}).to_json()
for number in range(8):
    threading.Timer(0.1 + 0.023 * number, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            model.predict({images("hrnet_cls")[0]!r})
    except KeyboardInterrupt:
        found.append(number)
print(found, model.predict({images("hrnet_cls")[0]!r}).to_json() == first)
"""
    assert f"{list(range(8))} True" in run_process("-c", text)


def test_an_interrupt_waits_while_mindspore_is_imported():
    done, handler = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), guest.uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("imported")
    assert done == ["imported"] and signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(UserError, match="wrong"), guest.uninterrupted():
        raise UserError("wrong")
    assert signal.getsignal(signal.SIGINT) is handler

    def work() -> str:
        with guest.uninterrupted():
            return "done"

    with ThreadPoolExecutor(1) as pool:  # signals are the main thread's
        assert pool.submit(work).result() == "done"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["mindspore.common.dtype", "mindspore.nn"])
def test_a_first_load_that_was_interrupted_leaves_a_second_one_possible(museum, module):
    folder = museum("mask_rcnn_hrnet")
    weights, config = folder / "model.onnx", run_folder(folder) / "config.yaml"
    text = f"""
import os, signal, sys, threading, time
from src.api import load
def interrupt():
    while {module!r} not in sys.modules:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    load({str(weights)!r}, config_path={str(config)!r})
    time.sleep(9)
except KeyboardInterrupt:
    print("interrupted")
print(load({str(weights)!r}, config_path={str(config)!r}).task)
"""
    said = run_process("-c", text)  # which ends with status 0
    assert "interrupted" in said and "detection" in said
