"""Operators that are missing are built at first use, once, where that is possible."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import UserError
from src.ops import build, library
from src.ops.nms import Nms
from src.process import operators

ROOT = Path(__file__).parents[2]
CURRENT = f'extern "C" int OperatorsVersion() {{ return {library.VERSION}; }}'


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    """Where the operators are looked for; empty. The caches are in the same place."""
    place = tmp_path / "package" / "bin"
    place.parent.mkdir()
    monkeypatch.setattr(library, "BIN_FOLDER", place)
    monkeypatch.setattr(operators, "_done", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    operators.build_at_first_use()
    return place


@pytest.fixture()
def compiler(tmp_path, monkeypatch):
    """A compiler that takes no time: what it makes says the right version. It writes down when it was called."""
    real = shutil.which("g++")
    small = tmp_path / "small.so"
    subprocess.run([real, "-shared", "-fPIC", "-x", "c++", "-", "-o", small], input=CURRENT, text=True, check=True)
    program = tmp_path / "quick g++"
    program.write_text(f'#!/bin/sh\necho called >>"{tmp_path}/calls"\nfor last; do :; done\ncp "{small}" "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("CXX", f"'{program}'")
    return lambda: (tmp_path / "calls").read_text().count("called") if (tmp_path / "calls").exists() else 0


def test_what_is_missing_is_built_beside_the_sources_with_one_line_once(folder, compiler, caplog):
    assert library.file_of(build.CPU) == folder / build.CPU and library.why_no_library() == ""
    assert library.library_path() == str(folder / build.CPU) and compiler() == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name == operators.__name__]
    assert line.startswith(f"building the operators, once: {folder}/custom_ops_cpu.so (about 20 s, ")
    assert os.access(folder / build.CPU, os.X_OK)
    assert not [path.name for path in folder.iterdir() if path.name not in (build.CPU, f".{build.CPU}.lock")]


def test_what_is_of_another_version_is_built_again(folder, compiler):
    folder.mkdir()
    text = 'extern "C" int OperatorsVersion() { return 1; }'
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", folder / build.CPU]
    subprocess.run(command, input=text, text=True, check=True)
    assert library.is_current(library.file_of(build.CPU)) and compiler() == 1


def test_what_cannot_be_loaded_stays_and_is_said(folder, compiler):
    folder.mkdir()
    (folder / build.CPU).write_bytes(b"no library")
    assert "cannot be loaded" in library.why_no_library() and compiler() == 0


def test_of_a_package_that_cannot_be_written_they_are_in_the_caches(folder, compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(operators.os, "access", lambda path, mode: Path(path) != folder and os.path.exists(path))
    place = library.file_of(build.CPU)
    assert place.parent.parent == tmp_path / "cache" / "ms_vision_zoo" / "ops" and compiler() == 1
    assert place.parent.name == f"{library.VERSION}-{build.fingerprint()}" and operators.folders() == [place.parent]
    assert place.parent.stat().st_mode & 0o077 == 0
    operators._done.clear()  # another process, without a compiler
    monkeypatch.setenv("CXX", "no-compiler")
    assert library.file_of(build.CPU) == place and library.why_no_library() == "" and compiler() == 1


def test_a_cache_that_others_can_write_is_not_used(folder, compiler, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(operators.os, "access", lambda path, mode: Path(path) != folder and os.path.exists(path))
    place = tmp_path / "cache" / "ms_vision_zoo" / "ops" / f"{library.VERSION}-{build.fingerprint()}"
    place.mkdir(parents=True)
    place.chmod(0o777)
    assert "custom_ops_cpu.so is missing" in library.why_no_library() and compiler() == 0
    assert "cannot be used, other users may write to it" in caplog.text


@pytest.mark.parametrize("variable,value", [("CXX", "no-compiler"), (operators.SWITCH, "0")])
def test_without_a_compiler_the_line_is_as_ever(graph_mode, folder, compiler, variable, value, monkeypatch, caplog):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match="custom_ops_cpu.so is missing: build the custom operators with 'bash scripts/"):
        Nms(0.5, 3)
    said = ["custom_ops_cpu.so is not built: no command is called 'no-compiler'"] if variable == "CXX" else []
    assert compiler() == 0 and [record.getMessage() for record in caplog.records] == said


@pytest.mark.parametrize("command", ["no-compiler", "'never closed"])
def test_an_old_library_without_a_compiler_is_one_line(folder, monkeypatch, command):
    folder.mkdir()
    text = 'extern "C" int OperatorsVersion() { return 1; }'
    line = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", folder / build.CPU]
    subprocess.run(line, input=text, text=True, check=True)
    monkeypatch.setenv("CXX", command)
    assert "custom_ops_cpu.so is of another version: build the custom operators again" in library.why_no_library()


def test_a_compiler_that_says_nothing_is_said_to_have(folder, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "false")
    assert "which needs a C++17 compiler (or --portable 1)" in library.why_no_library()
    assert "custom_ops_cpu.so cannot be built: false failed: it said nothing (status 1)" in caplog.text


def test_a_compiler_that_fails_is_named_once(folder, tmp_path, monkeypatch, caplog):
    program = tmp_path / "c++"
    program.write_text('#!/bin/sh\necho "x.cc:1: warning: odd" >&2\necho "x.cc:2: error: too old" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    for _ in range(2):
        assert "custom_ops_cpu.so is missing" in library.why_no_library()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said[1:] == [f"custom_ops_cpu.so cannot be built: {program} failed: x.cc:2: error: too old"]
    assert not list(folder.glob("*.so")) and not list(folder.glob(".*.so.?*[!k]"))


@pytest.mark.slow
def test_two_processes_build_once(folder, compiler, tmp_path):
    text = (
        "import sys, pathlib; from src.ops import library; from src.process import operators\n"
        "library.BIN_FOLDER = pathlib.Path(sys.argv[1]); operators.build_at_first_use()\n"
        "print(library.is_current(library.file_of('custom_ops_cpu.so')))"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", text, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["True", "True"] and compiler() == 1


def test_the_script_builds_from_the_same_list(tmp_path):
    """In a copy of the repository without libraries, by a compiler that only writes down what it is asked."""
    copy = tmp_path / "a repository"
    shutil.copytree(ROOT / "src" / "ops", copy / "src" / "ops", ignore=shutil.ignore_patterns("bin", "__pycache__"))
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    program = tmp_path / "g++"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{tmp_path}/asked"\nfor last; do :; done\n: >"$last"\n')
    program.chmod(0o755)
    line = ["bash", copy / "scripts" / "build_custom.sh"]
    environment = os.environ | {"CXX": str(program), "SKIP_CUDA": "1", "PYTHON": sys.executable}

    def run() -> list[str]:
        done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    built, again = run(), run()
    nvcc = tmp_path / "nvcc"
    words = "case $1 in --list-gpu-arch) echo compute_75; echo compute_90 ;; esac\nfor last; do :; done\n"
    nvcc.write_text(f'#!/bin/sh\n{words}[ "$last" = --list-gpu-arch ] || : >"$last"\n')
    nvcc.chmod(0o755)
    environment.update(SKIP_CUDA="", NVCC=str(nvcc))
    assert run()[-1] == "built src/ops/bin/custom_ops_gpu.so, for compute capability 7.5 and later"
    (copy / "src" / "ops" / "bin" / build.GPU).unlink()
    nvcc.write_text("echo compute_75\n")
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and f"{nvcc}: " in done.stderr
    environment.update(SKIP_CUDA="1")
    assert built[:2] == ["built src/ops/bin/custom_ops_cpu.so", "built src/ops/bin/dnnl_ops_cpu.so"]
    assert again[:2] == ["bin/custom_ops_cpu.so is up to date", "bin/dnnl_ops_cpu.so is up to date"]
    assert "no GPU library" in again[2]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [Path(word).name for word in asked if word.endswith(".cc")] == [
        source for name in (build.CPU, build.ONEDNN) for source in build.LIBRARIES[name].sources
    ]
    environment["CXX"] = str(tmp_path / "gone")
    (copy / "src" / "ops" / "version.cc").touch()
    os.utime(copy / "src" / "ops" / "bin" / build.CPU, (1, 1))
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "gone not found: install a C++17 compiler" in done.stderr
