"""The MxBase program with stand-ins for the SDK's and OpenCV's classes, compiled here."""

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.label_sets import CITYSCAPES
from src.inference.segment import Piece
from tests.deploy.test_mindx import network

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "mindx" / "mxbase"
HEADERS = (
    "MxBase/DeviceManager/DeviceManager.h", "MxBase/ModelInfer/ModelInferenceProcessor.h",
    "MxBase/Tensor/TensorContext/TensorContext.h", "opencv2/opencv.hpp",
)  # fmt: skip
HEIGHT, WIDTH = 36, 61


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mxbase")
    for name in HEADERS:
        (folder / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "include" / name).write_text(f'#include "{Path(__file__).parent / "mxbase" / "stand_in.h"}"\n')
    warnings = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unused-parameter")
    command = ["g++", "-std=c++14", *warnings, f"-I{UNIT}", "-isystem", folder / "include"]
    subprocess.run([*command, UNIT / "main.cc", UNIT / "segmentation.cc", "-o", folder / "hrnetw48seg"], check=True)
    (folder / "model").mkdir()
    (folder / "model" / "hrnetw48seg.om").write_text(f"{HEIGHT} {WIDTH} 19")
    (folder / "work").mkdir()
    return folder


@pytest.fixture()
def image(place):
    """A picture in the working folder: RGB values."""
    pixels = np.random.RandomState(5).randint(0, 256, (HEIGHT // 4, WIDTH // 4 + 1, 3)).astype(np.uint8)
    pixels = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(place / "work" / "test.ppm"), pixels[..., ::-1])
    yield pixels
    for path in (place / "work").iterdir():
        path.unlink()


def run(place: Path, *arguments: str, **environment: str):
    settings = {**os.environ, **environment}
    command = [place / "hrnetw48seg", *arguments]
    return subprocess.run(command, cwd=place / "work", env=settings, capture_output=True, text=True, timeout=60)


def refused(done, message: str) -> bool:
    return (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and done.stderr.count("\n") == 1
        and message in done.stderr
    )


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
def test_the_picture_is_that_of_our_own_enlarging(place, image, coordinates):
    more = () if coordinates == "half_pixel" else ("../model/hrnetw48seg.om", "asymmetric")
    done = run(place, "test.ppm", *more)
    assert done.returncode == 0 and done.stdout == "test_infer.png\nmodel closed\ndevices closed\n", done.stderr
    content = (place / "work" / "test_infer.png").read_bytes()  # the stand-in writes PPM under any name
    assert content.startswith(f"P6\n{WIDTH} {HEIGHT}\n255\n".encode())
    picture = np.frombuffer(content[-HEIGHT * WIDTH * 3 :], np.uint8).reshape(HEIGHT, WIDTH, 3)
    normalised = (image - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    logits = network(normalised.transpose(2, 0, 1)[None].astype(np.float32))[0]
    expected = Piece((0, 0), (HEIGHT, WIDTH), logits, coordinates=coordinates).enlarged().argmax(0)
    palette = np.uint8([colour for _, colour in CITYSCAPES.values()])
    assert len(np.unique(expected)) > 5
    assert (picture == palette[expected]).all(-1).mean() > 0.995  # rounding may turn a tie


def test_what_cannot_be_taken_is_one_line(place, image):
    assert refused(run(place), "usage: hrnetw48seg IMAGE [MODEL.om] [half_pixel | asymmetric]")
    assert refused(run(place, "test.ppm", "../model/hrnetw48seg.om", "nearest"), "not 'nearest'")
    assert refused(run(place, "none.png"), "none.png cannot be read as an image")
    assert refused(run(place, "test.ppm", "none.om"), "none.om does not exist; deploy/mindx/convert.sh makes it")
    (place / "work" / "text.om").write_text("no model")
    assert refused(run(place, "test.ppm", "text.om"), "text.om cannot be loaded (error 1001)")
    (place / "work" / "large.om").write_text("64 128 19")
    assert refused(run(place, "test.ppm", "large.om"), "test.ppm has 61x36 pixels, which large.om does not take")
    (place / "work" / "many.om").write_text(f"{HEIGHT} {WIDTH} 40")
    assert refused(run(place, "test.ppm", "many.om"), "is none of Cityscapes' 19")
    assert refused(run(place, "test.ppm", NO_DEVICE="1"), "the devices cannot be opened (error 1001)")
    assert not (place / "work" / "test_infer.png").exists()


def test_nothing_is_written_over(place, image):
    (place / "work" / "test_infer.png").write_text("mine")
    assert refused(run(place, "test.ppm"), "test_infer.png is there already: nothing is written over")
    assert (place / "work" / "test_infer.png").read_text() == "mine"


def test_the_build_names_what_is_missing(tmp_path):
    def build(**environment):
        settings = {name: text for name, text in os.environ.items() if name != "MX_SDK_HOME"} | environment
        return subprocess.run(["bash", UNIT / "build.sh"], env=settings, capture_output=True, text=True, timeout=60)

    assert refused(build(), "MX_SDK_HOME is not set")
    assert refused(build(MX_SDK_HOME=str(tmp_path)), "is no MindX SDK: include/MxBase is missing")
    assert not (UNIT / "build").exists()
