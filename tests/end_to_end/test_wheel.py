"""The wheel, installed into an environment of its own: a checkpoint and a picture are enough."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from src.checkpoint import read_checkpoint, save_arrays
from src.config import load_config
from src.config.ready import ready
from src.tasks import TASKS
from tests.end_to_end.commands import ROOT, run

pytestmark = pytest.mark.slow

FAMILY = ROOT / "tests" / "museum" / "mask_rcnn_hrnet"
FIVE_LINES = """
from ms_vision_zoo import load
model = load("model.ckpt")
result = model.predict("photo.jpg")
import json
print(json.dumps(result.to_json()))
"""
QUIET = """
import sys
import ms_vision_zoo, ms_vision_zoo.errors
assert not {"mindspore", "numpy", "cv2"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", place, ROOT]
    done = subprocess.run(line, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment with the wheel; what it needs comes from this one."""
    place = tmp_path_factory.mktemp("environment") / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=120)
    line = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--no-deps", "--no-index"]
    done = subprocess.run([*line, wheel], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    (packages,) = place.glob("lib/python3*/site-packages")
    (packages / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "bin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkpoint, which carries its configuration, and a picture; nothing else."""
    place = tmp_path_factory.mktemp("empty folder")
    (packed,) = FAMILY.glob("run/*/best_ckpt/*.gz")
    unpacked = tmp_path_factory.mktemp("unpacked") / "weights.ckpt"
    unpacked.write_bytes(gzip.decompress(packed.read_bytes()))
    cfg = load_config(str(packed.parents[1] / "config.yaml"))
    save_arrays(read_checkpoint(unpacked), place / "model.ckpt", TASKS[cfg.task].facts(cfg))
    picture = next((ROOT / "tests" / "museum" / "data" / "shapes").rglob("*.jpg"))
    shutil.copy(picture, place / "photo.jpg")
    return place


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CXX")}
    return kept | {"XDG_CACHE_HOME": str(tmp_path / "caches")}


def test_it_has_one_package_with_everything_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ms_vision_zoo"}
    assert wheel.name.endswith("-py3-none-any.whl") and not [name for name in names if name.endswith(".so")]
    configurations = [name for name in names if "/configs/" in name and "/_base_/" not in name]
    assert len(configurations) == len(list(ready()))


def test_a_checkpoint_and_a_picture_are_enough(installed, folder, tmp_path):
    wanted, output = tmp_path / "wanted.json", folder / "out.json"
    run("infer.py", "--checkpoint_path", folder / "model.ckpt", "--pred_input", folder / "photo.jpg", "--pred_output",
        wanted)  # fmt: skip
    (entry,) = json.loads(wanted.read_text()).values()
    assert entry["predictions"]

    def done(*words: object, status: int = 0) -> str:
        line = [installed / words[0], *words[1:]]
        found = subprocess.run(
            line, cwd=folder, env=environment(tmp_path), capture_output=True, text=True, timeout=280
        )
        assert found.returncode == status, found.stdout[-2000:] + found.stderr[-2000:]
        return found.stdout + found.stderr

    names = "--checkpoint_path", "model.ckpt", "--pred_input", "photo.jpg", "--pred_output", "out.json"
    said = done("vision-zoo", "infer", *names)
    assert said.count("building the operators, once: ") == 2  # our own, and oneDNN's convolutions
    assert json.loads(output.read_text()) == {"photo.jpg": entry}
    found = done("python", "-c", FIVE_LINES)
    assert json.loads(found.splitlines()[-1]) == entry and "building" not in found
    assert done("python", "-c", QUIET) == ""
    assert "vision-zoo COMMAND" in done("vision-zoo") and "did you mean infer?" in done("vision-zoo", "infr", status=2)
    assert "parameters" in done("vision-zoo", "summary", "--config_path", "hrnet_cls_shapes").lower()
    assert "did you mean hrnet_w18_cls?" in done("vision-zoo", "summary", "--config_path", "hrnet_w18_cl", status=2)
    assert "usage: " in done("python", "-m", "ms_vision_zoo")
    assert sorted(path.name for path in folder.iterdir()) == ["model.ckpt", "out.json", "photo.jpg"]
