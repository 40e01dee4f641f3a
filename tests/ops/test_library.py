import shutil
import subprocess

import pytest

from src.errors import UserError
from src.ops import conv_gradient, library
from src.ops.nms import Nms


@pytest.fixture()
def compiled(tmp_path, monkeypatch):
    """compiled(text): the operators are what this C++ text becomes."""

    def build(text: str) -> None:
        for name in (*library.LIBRARIES.values(), conv_gradient.LIBRARY):
            command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(tmp_path / name)]
            subprocess.run(command, input=text, text=True, check=True, timeout=60)
        monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)

    return build


@pytest.mark.parametrize(
    "text", ['extern "C" int NmsForward() { return 0; }', 'extern "C" int OperatorsVersion() { return 1; }']
)
def test_operators_that_were_built_before_a_change_are_refused_in_one_line(graph_mode, compiled, text):
    compiled(text)
    with pytest.raises(UserError, match=r"custom_ops_cpu.so is of another version: build .*scripts/build_custom.sh$"):
        Nms(0.5, 3)
    assert conv_gradient.why_not_fast() == "dnnl_ops_cpu.so is of another version: bash scripts/build_custom.sh"


def test_missing_operators_are_one_line(graph_mode, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    with pytest.raises(UserError, match="custom_ops_cpu.so is missing: build the custom operators with 'bash scripts/"):
        Nms(0.5, 3)


def test_operators_that_cannot_be_loaded_are_one_line(graph_mode, tmp_path, monkeypatch):
    (tmp_path / "custom_ops_cpu.so").write_bytes(b"no library")
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"custom_ops_cpu.so cannot be loaded \(.*\): remove it and build it again"):
        Nms(0.5, 3)


def test_a_library_that_is_cut_off_is_one_line_and_no_signal(graph_mode, tmp_path, monkeypatch):
    for name in ("custom_ops_cpu.so", conv_gradient.LIBRARY):
        whole = (library.BIN_FOLDER / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"custom_ops_cpu.so cannot be loaded \(.*cut off\): remove it and build"):
        Nms(0.5, 3)
    assert "cut off): bash scripts/build_custom.sh" in conv_gradient.why_not_fast()


def test_another_library_under_the_name_is_one_line(graph_mode, tmp_path, monkeypatch):
    shutil.copy(library.BIN_FOLDER / "custom_ops_cpu.so", tmp_path / conv_gradient.LIBRARY)
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path)
    assert conv_gradient.why_not_fast() == "dnnl_ops_cpu.so is another library: bash scripts/build_custom.sh"


def test_a_path_that_mindspore_cannot_load_operators_from_is_one_line(graph_mode, tmp_path, monkeypatch):
    shutil.copytree(library.BIN_FOLDER, tmp_path / "a:b")
    monkeypatch.setattr(library, "BIN_FOLDER", tmp_path / "a:b")
    with pytest.raises(UserError, match="a:b/custom_ops_cpu.so: MindSpore loads no operators from a path with a colon"):
        Nms(0.5, 3)
    assert "a path with a colon" in conv_gradient.why_not_fast()
