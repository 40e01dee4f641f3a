"""The comparison of kernels with PyTorch: on the CPU's library, which takes the same calls, and with what is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.gpu import fat_binaries
from scripts.kernels import __main__ as program
from scripts.kernels import library as calls
from scripts.kernels.draw import Sizes, apart_boxes, boxes_in
from scripts.kernels.jobs import OPERATORS, Bench, relative, share
from scripts.kernels.library import KernelError, Library, Output
from src.ops import build
from tests.scripts import plain_vision
from tests.scripts.stand_ins import run, stand_in

ROOT = Path(__file__).parents[2]
CPU = ROOT / "src" / "ops" / "bin" / build.CPU
TINY = Sizes(256, 24, 2, ((6, 7),), (1, 120), 60, (3, 11), (301, 5))


def bench(library) -> Bench:
    return Bench(library, plain_vision, torch.device("cpu"), TINY)


class Harmed(Library):
    """A library whose operators do it wrong after, or instead of, doing it right."""

    def __init__(self, harm: str):
        super().__init__(CPU)
        self.harm = harm

    def prepare(self, name, inputs, outputs):
        call = super().prepare(name, inputs, outputs)
        if self.harm == "does nothing":
            call.function = lambda *_: 0
        elif self.harm == "fails":
            call.function = lambda *_: 7
        else:
            right = call.function

            def wrong(*words):
                status = right(*words)
                first = call.outputs[0].view(-1)
                first[0] = first[0] + 1
                return status

            call.function = wrong
        return call


def test_the_cpus_operators_agree_with_pytorch_and_torchvision():
    rows = list(program.rows(bench(Library(CPU)), has_times=False))
    assert [row[3] for row in rows] == ["ok"] * 10, rows  # of float32
    assert {row[0].split(",")[0] for row in rows} >= {"RoIAlign forward", "RoIAlign backward", "NMS", "mask crop"}


def test_the_inputs_reach_every_branch():
    """RoIs of more than one level, boxes that are suppressed and of several groups."""
    assert len(set(plain_levels())) > 1
    boxes, scores, groups = apart_boxes(120, TINY)
    assert len(scores.unique()) == 120 and len(groups.unique()) == 5
    assert 5 < len(plain_vision.batched_nms(boxes, scores, groups.long(), 0.7)) < 120
    assert ((boxes_in(50, TINY, (16.0, 600.0)) * 4) % 1 == 0).all()  # areas are exact in float32


def plain_levels() -> list[int]:
    from scripts.kernels.draw import rois_in
    from scripts.kernels.jobs import ALL_LEVELS, level_of

    return level_of(rois_in(6, TINY, ALL_LEVELS)).tolist()


@pytest.mark.parametrize("harm", ["does nothing", "one number"])
def test_an_operator_that_is_wrong_is_seen(harm, monkeypatch):
    monkeypatch.setitem(OPERATORS, "RoIAlign", (("RoiAlignForward",), lambda _: ()))  # the slow reference
    rows = list(program.rows(bench(Harmed(harm)), has_times=False))
    assert len(rows) == 6 and {row[3] for row in rows} == {"DIFFERS"}, rows


def test_an_operator_that_fails_is_a_line_and_the_others_go_on():
    rows = {row[0]: row[3] for row in program.rows(bench(Harmed("fails")), has_times=False)}
    assert rows["NMS"] == "FAILED: NmsForward has given status 7" and len(rows) == len(OPERATORS)


def test_operators_that_a_library_lacks_are_said(monkeypatch):
    monkeypatch.setattr(Library, "has", lambda *_: False)
    assert {row[3] for row in program.rows(bench(Library(CPU)), False)} == {"not in this library"}
    with pytest.raises(KernelError, match="has no NmsForward"):
        Library(CPU).prepare("NmsForward", [torch.zeros(1)], [])


def test_a_tensor_with_gaps_is_refused():
    with pytest.raises(ValueError, match=r"NmsForward: a tensor of shape \(2, 3\) is not contiguous"):
        Library(CPU).prepare("NmsForward", [torch.zeros(3, 2).t()], [Output((1,))])


def test_differences_are_beside_the_largest_number():
    assert relative([torch.tensor([1.0, 4.2])], [torch.tensor([1.0, 4.0])]) == pytest.approx(0.05)
    assert relative([torch.tensor([1.0, float("nan")])], [torch.tensor([1.0, 4.0])]) == float("inf")
    assert share([torch.tensor([1, 2, 3, 4])], [torch.tensor([1, 2, 3, 5])]) == 0.25


def test_the_table_is_written_with_times(tmp_path, monkeypatch, capsys):
    jobs = {name: OPERATORS[name] for name in ("NMS", "assignment")}
    monkeypatch.setattr("scripts.kernels.jobs.OPERATORS", jobs)
    monkeypatch.setattr("scripts.kernels.draw.SMALL", TINY)
    monkeypatch.setattr("scripts.kernels.times.LEAST_MS", 0.1)
    out = tmp_path / "new" / "kernels.md"
    assert program.compare(CPU, plain_vision, "cpu", True, True, out) == 0
    lines = out.read_text().splitlines()
    cells = [cell.strip() for cell in lines[-3].strip("|").split("|")]
    assert lines[0].startswith("Kernels on x86_64 CPU; ") and lines[-1] == "3 of 3 agree"
    assert len(cells) == len(program.HEAD) and cells[3] == "ok" and "PyTorch, the matrix of IoUs" in cells[5]
    assert float(cells[6]) > 0 and cells[7].startswith("1: ")
    assert f"the table to paste into docs/devices.md: {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "capability,code",
    [
        ((8, 0), "arch=compute_80,code=sm_80"),
        ((9, 0), "arch=compute_90,code=sm_90"),
        ((12, 0), "arch=compute_90,code=compute_90"),
        ((8, 6), "arch=compute_80,code=compute_80"),
    ],
)
def test_kernels_are_built_for_the_card_or_for_the_driver(capability, code):
    assert program.code_for(capability, "compute_75\ncompute_80\ncompute_90\n") == code


def test_an_nvcc_that_is_too_new_for_the_card_is_said():
    with pytest.raises(build.BuildError, match=r"knows no code for compute capability 7\.0, only from 7\.5 on: NVCC"):
        program.code_for((7, 0), "compute_75\ncompute_80\n")


@pytest.mark.slow
def test_the_real_nvcc_builds_for_one_card(tmp_path):
    if not shutil.which("nvcc"):
        pytest.skip("no nvcc here")
    built = program.build_for_card(tmp_path / "out", "nvcc", (9, 0))
    assert str(fat_binaries.read(built)) == "sm_90"
    assert all(Library(built).has(name) for name in ("RoiAlignForward", "RoiAlignBackward", "MaskCropForward"))


@pytest.mark.slow
def test_the_cuda_kernels_compiled_by_gxx_agree(tmp_path):
    """The very sources of the GPU's library by the header that stands for CUDA: half precision and fixed order too."""
    sources = [ROOT / "src" / "ops" / name for name in build.LIBRARIES[build.GPU].sources if name.endswith(".cu")]
    flags = ["-std=c++20", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-pthread", "-x", "c++"]
    emulated = tmp_path / "kernels.so"
    command = ["g++", *flags, f"-I{ROOT / 'tests/ops/cuda_on_cpu'}", *map(str, sources), "-o", str(emulated)]
    subprocess.run(command, check=True, timeout=300)
    rows = list(program.rows(bench(Library(emulated)), has_times=False))
    assert [row[3] for row in rows] == ["ok"] * 22, rows
    assert sum("float16" in row[0] for row in rows) == 9 and sum("deterministic" in row[0] for row in rows) == 6


def test_a_torch_without_a_gpu_is_said(monkeypatch, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here: bash scripts/check_kernels.sh")
    monkeypatch.setattr(sys, "argv", ["kernels", "--library", str(CPU)])
    assert program.main() == 2 and capsys.readouterr().err == f"error: torch {torch.__version__} sees no GPU\n"


def test_what_is_missing_is_one_line(place):
    stand_in(place, "nvidia-smi", "exit 9")
    done = run(place, "check_kernels.sh", NVCC=str(place / "none"))
    assert done.returncode == 2 and done.stderr.startswith(f"error: nvcc not found: {place / 'none'};")
    stand_in(place, "nvcc", "exit 0")
    done = run(place, "check_kernels.sh")
    assert done.returncode == 2 and done.stderr.startswith("error: no GPU found on this machine (nvidia-smi -L);")
    assert len(done.stderr.splitlines()) == 1 and not (place / "outputs").exists()


@pytest.mark.parametrize("status,words", [("0", []), ("3", ["has failed"])])
def test_the_script_builds_then_looks_under_the_sanitizer_then_times(place, status, words):
    stand_in(place, "nvidia-smi", "exit 0")
    stand_in(place, "nvcc", 'echo "Cuda compilation tools, release 12.4"')
    stand_in(place, "python", f'echo "$@" >>"{place}/said"; mkdir -p "{place}/out"')
    stand_in(place, "compute-sanitizer", f'echo "$PYTORCH_NO_CUDA_MEMORY_CACHING $1 $2" >>"{place}/said"; '
                                         f'echo "ERROR SUMMARY"; exit {status}')  # fmt: skip
    done = run(place, "check_kernels.sh", "out")
    said = (place / "said").read_text().splitlines()
    library = place / "out" / "custom_ops_gpu.so"
    assert said == [
        f"-m scripts.kernels --build {place / 'out'} --nvcc {place / 'bin' / 'nvcc'}",
        "1 --tool memcheck",
        "1 --tool racecheck",
        f"-m scripts.kernels --library {library} --out {place / 'out' / 'kernels.md'}",
    ]
    assert done.returncode == int(status != "0") and done.stdout.startswith("Cuda compilation tools, release 12.4: ")
    assert all(word in done.stderr for word in words) and done.stdout.count("ERROR SUMMARY") == 2


@pytest.mark.slow
def test_names_are_of_the_folder_where_the_script_was_called(place):
    stand_in(place, "nvidia-smi", "exit 0")
    stand_in(place, "nvcc", "echo release 12.4")
    stand_in(place, "python", 'echo asked "$@"')
    done = run(place, "check_kernels.sh", "out", NVCC="bin/nvcc", PYTHON="bin/python", SANITIZER="none")
    assert done.returncode == 0 and not done.stderr
    assert f"--build {place / 'out'} --nvcc {place / 'bin' / 'nvcc'}\n" in done.stdout


@pytest.mark.parametrize(
    "wrong,words", [("SANITIZER", "compute-sanitizer not found: ./no"), ("PYTHON", "there is no Python at ./no")]
)
def test_a_wrong_name_is_said_before_anything_is_built(place, wrong, words):
    stand_in(place, "nvidia-smi", "exit 0")
    stand_in(place, "nvcc", "echo release 12.4")
    stand_in(place, "python", 'echo asked "$@"')
    done = run(place, "check_kernels.sh", "out", **{wrong: "./no"})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {words}\n")


def test_no_mindspore_is_needed():
    code = "import sys; sys.modules['mindspore'] = None; import scripts.kernels.__main__, scripts.kernels.jobs"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert calls.NAMES[torch.float16] == b"float16"
