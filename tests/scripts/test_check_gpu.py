"""check_gpu.sh and its reader of device code: which requirements file a card needs, from what the libraries hold."""

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.gpu import fat_binaries
from tests.scripts.stand_ins import run, stand_in

ROOT = Path(__file__).parents[2]
PLUGIN = Path(importlib.util.find_spec("mindspore").submodule_search_locations[0]) / "lib" / "plugin"
LIBRARIES = (
    "cublas.so.11", "cublasLt.so.11", "cudart.so.11.0", "cudnn.so.8", "cufft.so.10", "curand.so.10", "cusolver.so.11",
    "cusparse.so.11", "nvrtc.so.11.2", *(f"cudnn_{part}.so.8" for part in (
        "ops_infer", "ops_train", "cnn_infer", "cnn_train", "adv_infer", "adv_train")),
)  # fmt: skip
CARD = 'case "$*" in *name*) echo "H100, 535.1, 9.0" ;; *compute_cap*) echo "{0}" ;; esac'


def container(*entries: tuple[int, int]) -> bytes:
    """One container of device code with entries of (kind, architecture), 24 bytes of code each."""
    heads = b"".join(struct.pack("<HHIQIIHHI32x", kind, 0x101, 64, 24, 0, 0, 0, 8, number) + bytes(24)
                     for kind, number in entries)  # fmt: skip
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(heads)) + heads


def compile_library(path: Path, code: bytes) -> Path:
    """A shared object that has nothing but a section of device code."""
    words = ",".join(map(str, code))
    source = f'__attribute__((used, section(".nv_fatbin"))) static const unsigned char code[] = {{{words}}};'
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Two containers with 8 bytes between them: sm_70, sm_80 twice, PTX 80."""
    code = container((2, 70), (2, 80)) + bytes(8) + container((2, 80), (1, 80))
    return compile_library(tmp_path_factory.mktemp("library") / "code.so", code)


@pytest.fixture(scope="module")
def ampere(tmp_path_factory, library):
    """A folder with such a library under every name that the plug-in asks for."""
    folder = tmp_path_factory.mktemp("ampere")
    for name in LIBRARIES:
        shutil.copy(library, folder / f"lib{name}")
    return folder


def test_device_code_is_read_from_every_container(library):
    code = fat_binaries.read(library)
    assert code.machine == {70: 1, 80: 2} and code.ptx == {80: 1}
    assert str(code) == "sm_70 sm_80 PTX 80"


def test_nccl_of_mindspores_wheel_holds_what_nvidias_own_tool_said():
    assert str(fat_binaries.read(PLUGIN / "gpu11.6" / "libnccl.so.2")) == "sm_60 PTX 60"
    assert str(fat_binaries.read(PLUGIN / "libmindspore_gpu.so.11.6")) == "no device code"


@pytest.mark.parametrize(
    "card,way",
    [(70, "machine code"), (75, "machine code"), (80, "machine code"), (86, "machine code"), (90, "PTX"), (61, "none")],
)
def test_machine_code_runs_on_its_major_number_and_ptx_on_all_later_cards(library, card, way):
    assert fat_binaries.read(library).way_on(card) == way


@pytest.mark.parametrize("harm", ["text", "empty", "cut", "magic", "head"])
def test_a_file_that_is_no_library_is_said(library, tmp_path, harm, monkeypatch, capsys):
    bad = tmp_path / "bad.so"
    data = library.read_bytes()
    at = data.index(struct.pack("<I", 0xBA55ED50))
    second = data.index(struct.pack("<I", 0xBA55ED50), at + 4)
    bad.write_bytes({
        "text": b"hello" * 100,
        "empty": b"",
        "cut": data[: len(data) // 2],
        "magic": data[:second] + b"oops" + data[second + 4 :],
        "head": data[: at + 20] + bytes(4) + data[at + 24 :],
    }[harm])  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["fat_binaries", str(bad)])
    assert fat_binaries.main() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {bad}: ") and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "card,file",
    [("8.9", "requirements-gpu.txt"), ("9.0", "requirements-gpu-hopper.txt")],
)
def test_the_card_says_which_requirements_it_needs(place, card, file):
    stand_in(place, "nvidia-smi", CARD.format(card))
    done = run(place, "check_gpu.sh", PYTHON=sys.executable)
    assert f"a card of compute capability {card} needs {file}\n" in done.stdout
    if "MISSING" in done.stdout:
        assert done.returncode == 1 and done.stderr.endswith(f"libraries are missing: pip install -r {file}\n")


@pytest.mark.parametrize(
    "card,status,words", [("5.2", 1, "kernels begin with 6.0"), ("9", 2, "written like 8.6, not '9'")]
)
def test_a_card_that_cannot_be_served_is_said(place, card, status, words):
    done = run(place, "check_gpu.sh", PYTHON=sys.executable, CARD=card)
    assert done.returncode == status and words in done.stderr.splitlines()[-1]


def test_a_library_of_ours_without_code_for_the_card_is_named(tmp_path, ampere, library):
    """sm_75 alone, as CUDA 13's nvcc has no less, beside others that serve a V100: another build helps, not pip."""
    copy = tmp_path / "repository"
    shutil.copytree(ROOT / "scripts", copy / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "src" / "ops" / "bin").mkdir(parents=True)
    compile_library(copy / "src" / "ops" / "bin" / "custom_ops_gpu.so", container((2, 75), (1, 75)))
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "LD_LIBRARY_PATH": str(ampere), "CARD": "7.0"}
    line = ["bash", str(copy / "scripts" / "check_gpu.sh")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: src/ops/bin/custom_ops_gpu.so has no code for compute capability 7.0; ")
    done = subprocess.run(line, env=environment | {"CARD": "7.5"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_libraries_of_another_generation_are_seen_through(place, ampere):
    """cuBLAS and cuDNN with code for 7.0 and 8.0 serve an A100, and would have to be compiled for an H100."""
    found = {"PYTHON": sys.executable, "LD_LIBRARY_PATH": str(ampere)}
    done = run(place, "check_gpu.sh", CARD="8.6", **found)
    assert done.returncode == 0, done.stderr
    assert "  libcudnn_cnn_infer.so.8      sm_70 sm_80 PTX 80: machine code\n" in done.stdout
    done = run(place, "check_gpu.sh", CARD="9.0", **found)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == (
        "error: cuBLAS or cuDNN has no machine code for compute capability 9.0: "
        "pip install -r requirements-gpu-hopper.txt"
    )
    done = run(place, "check_gpu.sh", CARD="6.1", **found)
    assert done.returncode == 1 and "a library has no code for compute capability 6.1" in done.stderr


def test_without_a_card_it_says_what_the_libraries_hold(place):
    stand_in(place, "nvidia-smi", "exit 9")
    done = run(place, "check_gpu.sh", PYTHON=sys.executable)
    assert "  libnccl.so.2                 sm_60 PTX 60\n" in done.stdout
    assert "requirements-gpu-hopper.txt for 9.0 and later" in done.stdout


def test_the_first_gpu_run_goes_up_to_the_driver_here(place):
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here: bash scripts/first_gpu_run.sh")
    done = run(place, "first_gpu_run.sh", "out", PYTHON=sys.executable)
    assert done.returncode == 2 and "libcuda_ops.so.11" in done.stdout
    assert done.stderr.startswith("error: no GPU found on this machine (nvidia-smi -L); ")
    assert len(done.stderr.splitlines()) == 1 and ("besides: " in done.stderr) == ("MISSING" in done.stdout)
    assert not (place / "out").exists()


@pytest.mark.parametrize("name", ["NVCC", "CXX"])
def test_a_compiler_that_is_not_there_is_said(place, name):
    stand_in(place, "python", f'case "$*" in *first_run*|*build.py*) exit 9 ;; *) exec {sys.executable} "$@" ;; esac')
    done = run(place, "first_gpu_run.sh", "out", DEVICE="cpu", **{name: "bin/none"})
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == f"error: there is no {name} at bin/none"


@pytest.mark.parametrize("count", ["two", "0", "-1", "1 2"])
def test_a_count_of_cards_that_is_none_is_said(place, count):
    done = run(place, "first_gpu_run.sh", "out", PYTHON=sys.executable, DEVICE="cpu", DEVICE_COUNT=count)
    assert done.returncode == 2 and not (place / "out").exists()
    assert done.stderr == f"error: DEVICE_COUNT must be a number from 1 to 9999, not '{count}'\n"


TWO_CARDS = """case "$*" in
    -L) echo "GPU 0"; echo "GPU 1" ;;
    *name*) echo "H100, 535.1, 8.0"; echo "H100, 535.1, 8.0" ;;
    *compute_cap*) echo 8.0; echo 8.0 ;;
esac"""


def test_the_first_gpu_run_counts_and_names_the_cards(place, ampere):
    """With a Python that stands for this one and prints what the first run is asked."""
    stand_in(place, "nvidia-smi", TWO_CARDS)
    stand_in(place, "python", f'case "$*" in *first_run*) printf "%s\\n" "$@" ;; *build.py*) exit ;; '
                              f'*) exec {sys.executable} "$@" ;; esac')  # fmt: skip
    done = run(place, "first_gpu_run.sh", "out", LD_LIBRARY_PATH=str(ampere), ONLY="hrnet*")
    words = done.stdout[done.stdout.index("scripts.first_run") :].split("\n")
    asked = dict(zip(words[1::2], words[2::2]))
    assert done.returncode == 0, done.stderr
    assert asked["--device"] == "GPU" and asked["--count"] == "2" and asked["--machine"] == " 2 H100, 535.1, 8.0 "
    assert asked["--out"] == str(place / "out") and asked["--only"] == "hrnet*"
