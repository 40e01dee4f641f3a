"""The MindX SDK driver and scripts with stand-ins for the SDK and for ATC.

The stand-in stream does to an image what AIPP is told to do in hrnetw48seg_aipp.cfg.
"""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.mindx.main import label_maps, require_one_view
from deploy.mindx.stream import Stream, read_pipeline
from src.config import load_config
from src.data.formats.segmentation_list import open_segmentation
from src.data.label_sets import CITYSCAPES
from src.data.synthetic.cityscapes import write_cityscapes
from src.errors import UserError
from src.inference.segment import make_segmenter

ROOT = Path(__file__).parents[2]
MINDX = ROOT / "deploy" / "mindx"
CONFIG = ROOT / "configs/hrnet_w48_seg_cityscapes.yaml"
SIZE = ("--eval_width", "64", "--eval_height", "32")

SDK = '''
import json, re
import cv2, numpy as np

PLAN = dict(re.findall(r"^ *(\\w+): ([\\w.]+)", open(AIPP).read(), re.MULTILINE))

def channels(key):
    return np.float32([PLAN[f"{key}_chn_{k}"] for k in range(3)])

class MxDataInput: data = b""

class StringVector(list): push_back = list.append

class Answers(list): size = list.__len__

class Answer:
    errorCode = 0
    def __init__(self, content): self.messageBuf = content

class StreamManagerApi:
    def InitManager(self): return 0
    def CreateMultipleStreams(self, text):
        (name,) = json.loads(text)
        self.name = name.encode()
        return 0
    def SendData(self, name, plugin, data):
        assert (name, plugin) == (self.name, 0)
        self.image = cv2.imdecode(np.frombuffer(data.data, np.uint8), cv2.IMREAD_COLOR)
        return 0
    def GetProtobuf(self, name, plugin, keys):
        assert keys == [b"mxpi_tensorinfer0"]
        image = self.image[..., ::-1] if PLAN["rbuv_swap_switch"] == "true" else self.image
        image = (image.astype(np.float32) - channels("mean") - channels("min")) * channels("var_reci")
        return Answers([Answer(network(image.transpose(2, 0, 1)[None])[0].tobytes())])
    def DestroyAllStreams(self): print("streams destroyed")
'''
MESSAGES = '''
from types import SimpleNamespace

class MxpiTensorPackageList:
    def ParseFromString(self, content):
        tensor = SimpleNamespace(dataStr=content)
        self.tensorPackageVec = [SimpleNamespace(tensorVec=[tensor])]
'''


def network(batch):
    """(B, 3, h, w) -> (B, 19, h / 4, w / 4): class k looks at one channel's distance from a level of its own."""
    return np.stack([-np.abs(batch[:, k % 3, ::4, ::4] - (k - 9) / 6) for k in range(19)], 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, a stand-in SDK, and the pipeline beside a model."""
    folder = tmp_path_factory.mktemp("mindx")
    write_cityscapes(folder / "data", 1, 3, 64, 1)
    (folder / "sdk").mkdir()
    aipp = f"AIPP = {str(MINDX / 'hrnetw48seg_aipp.cfg')!r}"
    (folder / "sdk" / "StreamManagerApi.py").write_text(f"{aipp}\n{SDK}\n{inspect.getsource(network)}")
    (folder / "sdk" / "MxpiDataType_pb2.py").write_text(MESSAGES)
    (folder / "model").mkdir()
    (folder / "model" / "hrnetw48seg.om").touch()
    (folder / "net.pipeline").write_bytes((MINDX / "hrnetw48seg.pipeline").read_bytes())
    return folder


def run(script: str, *arguments, cwd: Path, **environment: str):
    settings = {**os.environ, **environment}
    command = ["bash", MINDX / script, *arguments]
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=100)


def infer(place: Path):
    environment = {"PYTHON": sys.executable, "PYTHONPATH": str(place / "sdk"), "OUTPUT_PATH": "out"}
    keys = ("--pipeline", "net.pipeline", *SIZE)
    return run("do_infer.sh", "data", "data/val.lst", *keys, cwd=place, **environment)


@pytest.fixture(scope="module")
def opened(place):
    cfg = load_config(str(CONFIG), SIZE)
    return cfg, open_segmentation(cfg, str(place / "data"), "val")


def test_miou_and_pictures_are_those_of_the_same_network_under_our_own_normalisation(place, opened):
    done = infer(place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SDK Inference Result" in done.stdout and "streams destroyed" in done.stdout
    assert (place / "out" / "infer.log").read_text() in done.stdout
    cfg, dataset = opened
    segmenter = make_segmenter(cfg, None, dataset.labels)
    segmenter.network = network
    confusion, same = np.zeros((19, 19), np.int64), []
    for index, (image, _) in enumerate(dataset.samples):
        predicted = segmenter.scores(dataset.read_image(index)).label_map((32, 64))
        picture = cv2.imread(str(place / "out" / "pictures" / f"{image.stem}_color.png"))[..., ::-1]
        same.append((picture == dataset.labels.palette[predicted]).all(-1).mean())
        label = dataset.read_label(index)
        np.add.at(confusion, (label[label != 255], predicted[label != 255]), 1)
    assert np.mean(same) > 0.999 and len(np.unique(predicted)) > 5  # rounded means and deviations may turn a tie
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    expected = (np.diag(confusion) / np.maximum(union, 1)).mean()
    printed = float(re.search(r"^miou: (\S+)", done.stdout, re.MULTILINE).group(1))
    assert printed == pytest.approx(expected, abs=1e-3) and expected > 0.005


def test_an_unreadable_image_has_no_prediction_and_sizes_must_fit(opened, tmp_path):
    cfg, dataset = opened
    dataset = open_segmentation(cfg, dataset.list_file, "val")
    (tmp_path / "broken.png").write_bytes(b"no image")
    dataset.samples[1] = (tmp_path / "broken.png", dataset.samples[1][1])
    maps = list(label_maps(cfg, dataset, lambda content: np.zeros(19 * 8 * 16, np.float32), tmp_path))
    assert [predicted is None for _, _, predicted in maps] == [False, True, False]
    assert [label.shape for _, label, _ in maps] == [(32, 64)] * 3 and len(list(tmp_path.glob("*_color.png"))) == 2
    with pytest.raises(UserError, match=r"gives 7 numbers, not the 2432 of \[19, 8, 16\]"):
        next(label_maps(cfg, dataset, lambda content: np.zeros(7, np.float32), tmp_path))
    whole = load_config(str(CONFIG))
    with pytest.raises(UserError, match="has 64x32 pixels, but the network takes 2048x1024"):
        next(label_maps(whole, dataset, lambda content: pytest.fail("was run"), tmp_path))


def test_labels_are_stretched_as_the_images_are_where_that_is_asked_for(opened, tmp_path):
    _, dataset = opened
    keys = ("--keep_ratio=0", "--eval_label_size=input", "--img_width=96", "--img_height=64")
    cfg = load_config(str(CONFIG), [*SIZE, *keys])
    logits = np.random.RandomState(0).randn(19, 8, 16).astype(np.float32)
    maps = list(label_maps(cfg, dataset, lambda content: logits.reshape(-1), tmp_path))
    assert len(maps) == len(dataset)
    for index, label, predicted in maps:
        assert label.shape == predicted.shape == (64, 96)
        expected = cv2.resize(dataset.read_label(index), (96, 64), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize("keys", [("--eval_flip", "1"), ("--eval_scales", "1.0,2.0"), ("--eval_mode", "slide")])
def test_what_a_stream_cannot_do_is_refused(keys):
    require_one_view(load_config(str(CONFIG)))
    with pytest.raises(UserError, match=keys[0][2:]):
        require_one_view(load_config(str(CONFIG), keys))


def test_a_pipeline_is_checked_and_its_model_found_beside_it(place, tmp_path):
    name, text = read_pipeline(place / "net.pipeline")
    stream = json.loads(text)[name]
    assert stream["mxpi_tensorinfer0"]["props"]["modelPath"] == str(place / "model" / "hrnetw48seg.om")
    chain = ["appsrc0"]
    while "next" in stream[chain[-1]]:
        chain.append(stream[chain[-1]]["next"])
    assert chain[-1] == "appsink0" and set(chain) == set(stream) - {"stream_config"}
    for content in (b"{}", b"[", b'{"one": {}}'):
        (tmp_path / "other.pipeline").write_bytes(content)
        with pytest.raises(UserError, match="is no pipeline of one stream|is not JSON"):
            read_pipeline(tmp_path / "other.pipeline")
    with pytest.raises(UserError, match="hrnetw48seg.om does not exist; deploy/mindx/convert.sh makes it"):
        read_pipeline(MINDX / "hrnetw48seg.pipeline")
    with pytest.raises(UserError, match="source its set_env.sh"):
        Stream(place / "net.pipeline")


def test_names_are_those_of_the_labels():
    assert (MINDX / "hrnetw48seg.names").read_text().splitlines() == list(CITYSCAPES)


def test_the_scripts_check_their_arguments(place):
    assert run("convert.sh", cwd=place).stderr.startswith("usage: bash deploy/mindx/convert.sh AIR_MODEL_PATH AIPP_")
    assert run("do_infer.sh", "data", cwd=place).stderr.startswith("usage: bash deploy/mindx/do_infer.sh DATA_PATH ")
    missing = run("do_infer.sh", "data", "data/none.lst", cwd=place)
    assert missing.returncode == 2 and missing.stderr == f"error: {place / 'data' / 'none.lst'} is no file\n"
    elsewhere = run("do_infer.sh", "model", "data/val.lst", cwd=place)
    assert elsewhere.returncode == 2 and "put it into" in elsewhere.stderr


def test_conversion_calls_atc_and_overwrites_nothing(place, tmp_path):
    (tmp_path / "atc").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "net.air").touch()
    arguments = ("net.air", MINDX / "hrnetw48seg_aipp.cfg", "models/net")
    without = run("convert.sh", *arguments, cwd=tmp_path)
    assert without.returncode == 2 and without.stderr.startswith("error: atc not found")
    (tmp_path / "atc").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run("convert.sh", *arguments, cwd=tmp_path, PATH=path)
    assert done.returncode == 0 and done.stdout.splitlines() == [
        "--framework=1", f"--model={tmp_path / 'net.air'}", f"--output={tmp_path / 'models' / 'net'}",
        "--input_format=NCHW", "--soc_version=Ascend310", f"--insert_op_conf={arguments[1]}", "--log=error",
    ]  # fmt: skip
    (tmp_path / "models" / "net.om").touch()
    again = run("convert.sh", *arguments, cwd=tmp_path, PATH=path)
    assert again.returncode == 2 and "nothing is written over" in again.stderr
