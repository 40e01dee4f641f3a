"""MINDIR files that attack: nothing of theirs runs, and what is no exported network is one line."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.train.mind_ir_pb2 import AttributeProto, ModelProto

from src.errors import UserError
from src.export.mindir import write_mindir
from src.inference.backends import open_model, read_metadata, run_model
from src.inference.mindir_file import load_graph, read_mindir
from src.ops import functions, library
from src.ops.nms import Nms
from tests.end_to_end.commands import ROOT, run
from tests.inference.test_binary_files import MANIFEST

INPUTS = {
    "boxes": np.float32([[[0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]]]),
    "scores": np.float32([[0.7, 0.9, 0.8]]),
    "groups": np.int32([0, 0, 0]),
    "valid": np.ones((1, 3), bool),
}
MARK = "ran"
EVIL = """
#include <cstdio>
struct Mark { Mark() { fclose(fopen("%s", "w")); } } mark;
extern "C" int NmsForward(int, void**, int*, long**, const char**, void*, void*) { return 0; }
extern "C" int Evil(int, void**, int*, long**, const char**, void*, void*) { return 0; }
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> bytes:
    """The smallest exported file that calls a compiled operator: two outputs, index and keep."""
    path = tmp_path_factory.mktemp("exported") / "nms.mindir"
    write_mindir(Nms(0.5, 2), INPUTS, {"task": "detection", "format": 1, "max_detections": 2}, path)
    return path.read_bytes()


@pytest.fixture()
def altered(graph_mode, exported, tmp_path):
    """altered(change): the file after `change(model)`."""

    def write(change) -> Path:
        model = ModelProto()
        model.ParseFromString(exported)
        change(model)
        path = tmp_path / "altered.mindir"
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture()
def evil(tmp_path, monkeypatch) -> Path:
    """A library whose constructor leaves a mark in the working folder."""
    monkeypatch.chdir(tmp_path)
    source, library_file = EVIL % (tmp_path / MARK), tmp_path / "picture.jpg"
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(library_file)]
    subprocess.run(command, input=source, text=True, check=True, timeout=60)
    return library_file


def custom(model) -> dict:
    """Attributes of the custom operator by name."""
    (own,) = (one for one in model.primitives if one.op_type == "Custom")
    return {one.name: one for one in own.attribute}


def call(name: str):
    """The custom operator's function becomes `name`."""

    def change(model) -> None:
        custom(model)["func_name"].s = name.encode()
        custom(model)["uniq_name"].s = b"Custom__" + name.encode()

    return change


def result(path: Path) -> list:
    """The boxes that the file keeps of INPUTS; `open_model` takes files of images only."""
    index, _ = run_model(nn.GraphCell(load_graph(read_mindir(path), path)), *INPUTS.values())
    return index.tolist()


@pytest.mark.parametrize("place", ["{0}", "picture.jpg", "./picture.jpg", "../{1}/picture.jpg", "/nowhere/else.so", ""])
def test_a_known_function_is_called_in_this_projects_library_whatever_path_the_file_names(altered, evil, place):
    path = altered(call(f"{place.format(evil, evil.parent.name)}:NmsForward"))
    assert result(path) == [[1, 2]]
    assert not (evil.parent / MARK).exists()


def test_a_function_of_another_project_is_refused_and_its_library_not_loaded(altered, evil):
    path = altered(call(f"{evil}:Evil"))
    with pytest.raises(UserError, match=r"altered.mindir is refused: it calls the function 'Evil', which is none of"):
        open_model(path, "mindir")
    (evil.parent / "manifest.json").write_text(json.dumps(MANIFEST))
    folders = ("--preprocess_path", evil.parent, "--result_path", evil.parent / "results")
    assert "altered.mindir is refused" in run("deploy/infer_files.py", "--model", path, *folders, status=2)
    assert not (evil.parent / MARK).exists()


def add(model, name: str, **values) -> None:
    one = model.primitives.add(name=f"{name}:99", op_type=name, prim_type=1)
    for key, value in values.items():
        one.attribute.add(name=key, type=AttributeProto.STRING, s=value)


def odd_attribute(kind: int, text: bytes = b"os"):
    return lambda model: model.graph.node[0].attribute.add(name="value", type=kind, s=text)


def set_attribute(name: str, value: bytes):
    def change(model) -> None:
        (own,) = (one for one in model.primitives if one.op_type == "Custom")
        own.attribute.add(name=name, type=AttributeProto.STRING, s=value)

    return change


def in_another_file(model) -> None:
    tensor = next(a for n in model.graph.node for a in n.attribute if a.tensors and a.tensors[0].raw_data).tensors[0]
    tensor.external_data.location = "../../etc/passwd"


def table(model) -> None:
    one = model.graph.map_parameter.add(name="t")
    one.default_value.type = AttributeProto.NONE
    for part in (one.key_tensor, one.value_tensor, one.status_tensor):
        part.external_data.location = "../../etc/passwd"


def too_large(model) -> None:
    model.graph.input[0].tensor[0].dims[:] = [2**30, 2**30, 4]


def too_short(model) -> None:
    tensor = next(a for n in model.graph.node for a in n.attribute if a.tensors and a.tensors[0].raw_data).tensors[0]
    tensor.dims[:] = [1000, 1000]


ATTACKS = {
    "python source of a custom operator": (
        lambda m: setattr(custom(m)["func_type"], "s", b"pyfunc"), "custom operator of it is of kind 'pyfunc'"),
    "Julia": (lambda m: setattr(custom(m)["func_type"], "s", b"julia"), "is of kind 'julia', not compiled"),
    "a second kind": (set_attribute("func_type", b"akg"), "is of kind 'akg, aot'"),
    "a second function": (set_attribute("func_name", b"/tmp/x.so:Evil"), "function 'Evil', which is none"),
    "source text": (set_attribute("func_source_str", b"import os"), "has the attribute 'func_source_str'"),
    "a place of its implementation": (set_attribute("imply_path", b"/tmp"), "has the attribute 'imply_path'"),
    "Python in the graph": (lambda m: add(m, "PyExecute"), "calls 'PyExecute', which is no operator on tensors"),
    "a Python function": (lambda m: add(m, "PyFunc", fn_id=b"1"), "'PyFunc' has the attribute 'fn_id'"),
    "a file of tensors": (lambda m: add(m, "TensorDump"), "calls 'TensorDump', which is no operator"),
    "other processes": (lambda m: add(m, "AllReduce"), "calls 'AllReduce', which is no operator"),
    "a library by another operator": (
        lambda m: add(m, "ReLU", func_name=b"/x.so:F"), "'ReLU' has the attribute 'func_name'"),
    "a library of Ascend's": (lambda m: add(m, "ReLU", cust_aicpu=b"../evil"), "'ReLU' has the attribute 'cust_ai"),
    "an operator in the graph itself": (
        lambda m: setattr(m.graph.node[1], "op_type", "Custom"), "calls 'Custom', which is no operator"),
    "a library of a node": (
        lambda m: m.graph.node[1].node_attr.add(name="func_name", type=AttributeProto.STRING, s=b"/x.so:F"),
        "a node of it has the attribute 'func_name'"),
    "a nested function": (lambda m: m.functions.add(name="f").node.add(op_type="PyExecute"), "calls 'PyExecute'"),
    "a class": (odd_attribute(AttributeProto.CLASS_TYPE), "'value' is a CLASS_TYPE"),
    "a module": (odd_attribute(AttributeProto.NAME_SPACE), "'value' is a NAME_SPACE"),
    "a name of Python": (odd_attribute(AttributeProto.SYMBOL), "'value' is a SYMBOL"),
    "a function by name": (odd_attribute(AttributeProto.PRIMITIVECLOSURE), "calls 'os', which it does not describe"),
    "a graph as a value": (odd_attribute(AttributeProto.GRAPH), "'value' is a GRAPH"),
    "values in another file": (in_another_file, "keeps the values of .* in another file"),
    "a table in another file": (table, "keeps the values of '' in another file|has a MapTensorProto"),
    "a parameter without values": (lambda m: m.graph.parameter.add(name="w", data_type=1, dims=[9]), "'w' has no val"),
    "a shape without end": (too_large, r"has the shape \[1073741824, 1073741824, 4\]"),
    "more values than bytes": (too_short, r"of shape \[1000, 1000\] has .* bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_exported_network_has_is_refused_in_one_line(altered, name):
    change, message = ATTACKS[name]
    path = altered(change)
    for read in (open_model, read_metadata):
        with pytest.raises(UserError, match=f"altered.mindir is refused: .*({message})") as error:
            read(path, "mindir")
        assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    "entry",
    [{"inputs": "3"}, {"num_classes": '"x"'}, {"class_names": "[1]"}, {"max_detections": "1e12"}, {"format": "[]"},
     {"class_names": "[" * 99999}],
)  # fmt: skip
def test_facts_of_another_kind_are_one_line(altered, entry):
    ((key, value),) = entry.items()

    def change(model) -> None:
        del model.user_info[:]
        model.user_info.add(key=key, value=value)

    with pytest.raises(UserError, match=f"altered.mindir: it says of itself {key}|was not written by") as error:
        open_model(altered(change), "mindir")
    assert len(str(error.value)) < 300


def test_the_copy_that_is_loaded_goes_and_lies_where_nobody_else_reads(altered, tmp_path, monkeypatch):
    seen, load = [], ms.load

    def watch(name: str):
        seen.append((Path(name), Path(name).parent.stat().st_mode & 0o777))
        return load(name)

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(ms, "load", watch)
    result(altered(lambda model: None))
    ((copy, mode),) = seen
    assert mode == 0o700 and not copy.exists() and not list((tmp_path / "temporary").iterdir())


def test_the_bytes_that_are_checked_are_those_that_are_loaded(altered):
    """Whoever changes the file after the check changes nothing."""
    path = altered(lambda model: None)
    model = read_mindir(path)
    altered(lambda model: model.Clear())
    graph = nn.GraphCell(load_graph(model, path))
    assert run_model(graph, *INPUTS.values())[0].tolist() == [[1, 2]]


def test_a_file_names_libraries_without_their_folder(exported):
    model = ModelProto()
    model.ParseFromString(exported)
    assert custom(model)["func_name"].s == b"custom_ops_cpu.so:NmsForward"
    assert str(library.BIN_FOLDER).encode() not in exported


def test_the_known_functions_are_those_of_the_sources():
    for suffix, own in ((".cc", (library.LIBRARIES["CPU"], functions.LIBRARY)), (".cu", (library.LIBRARIES["GPU"],))):
        text = "".join(path.read_text() for path in (ROOT / "src" / "ops").glob(f"*{suffix}"))
        found = set(re.findall(r'extern "C" int (\w+)\(int nparam', text))
        known = {name for one in own for name in functions.FUNCTIONS[one]}
        assert found - set(functions.OF_A_PROCESS) == known
