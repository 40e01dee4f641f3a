"""The page of operators by device: what it reads in docstrings, how it joins, and that it is the graphs' own."""

import json
import os
import subprocess
import sys

import pytest

from scripts.operators_by_device import page
from scripts.operators_by_device.published import Published, platforms, published, referred, snake

ALL = ("Ascend", "GPU", "CPU")
GRAPHS = {
    "one": {"train": ["Conv2D", "Conv2DBackpropFilter", "GridSampler2DGrad"], "infer": ["Conv2D"]},
    "two": {"train": ["Conv2D"], "infer": ["Conv2D", "FloatStatus"]},
    "three": {"train": ["Conv2D", "GridSampler2DGrad"]},
}


@pytest.mark.parametrize(
    "docstring,devices",
    [
        ("Adds.\n\n    Supported Platforms:\n        ``Ascend`` ``GPU`` ``CPU``\n\n    Examples:", ALL),
        ("Supported Platforms:\n\n    ``CPU``", ("CPU",)),
        ("Supported Platforms:\n    ``GPU`` ``Ascend``", ("Ascend", "GPU")),
        ("Supported Platforms:\n    Deprecated", ()),
        ("Works on Ascend.", None),
        (None, None),
    ],
)
def test_devices_stand_under_supported_platforms(docstring, devices):
    assert platforms(docstring) == devices


def test_a_docstring_sends_its_reader_to_a_function():
    text = "is equivalent to\n\n.. code-block::\n\n    ops.add_ext(x)\n\nRefer to :func:`mindspore.ops.add` for more."
    assert referred(text) == ["add_ext", "add"]
    assert referred("See mindspore.ops.add.") == []


@pytest.mark.parametrize("name,spelled", [("ReduceMean", "reduce_mean"), ("TopK", "topk"), ("AssignAdd", "assign_add")])
def test_a_primitives_function_has_its_name_in_small_letters(name, spelled):
    assert snake(name) == spelled


@pytest.mark.parametrize(
    "name,devices,own",
    [
        ("Conv2D", ALL, True),  # its own docstring
        ("Add", ALL, True),  # that of ops.add, to which its own refers
        ("NPUGetFloatStatusV2", ("Ascend",), True),
        ("FloatStatus", ("GPU",), True),
        ("GridSampler2DGrad", ("GPU", "CPU"), True),
        ("Conv2DBackpropFilter", ALL, False),  # Conv2D's
        ("ROIAlignGrad", ALL, False),
        ("SoftmaxBackward", ALL, False),
        ("NoSuchOperator", None, True),
    ],
)
def test_known_operators_of_the_wheel(name, devices, own):
    found = published(name)
    assert (found.devices, found.own) == (devices, own)


def test_marks_say_whose_docstring_it_is():
    assert [Published(("GPU",), "x").mark(device) for device in ALL] == ["no", "yes", "no"]
    assert Published(("GPU",), "x", own=False).mark("GPU") == "yes*" and Published(None).mark("CPU") == "?"


def test_the_table_joins_graphs_with_what_is_published():
    assert page.read("## The operators\n" + "\n".join(page.table(GRAPHS))) == {
        "Conv2D": ["all", "all", "yes", "yes", "yes", ""],
        "Conv2DBackpropFilter": ["one", "-", "yes*", "yes*", "yes*", "`ops.operations.Conv2D`"],
        "FloatStatus": ["-", "two", "no", "yes", "no", ""],
        "GridSampler2DGrad": ["one, three", "-", "no", "yes", "yes", ""],
        "AllReduce": ["several ranks", "-", "yes", "yes", "yes", ""],
        "Broadcast": ["several ranks by msrun", "-", "yes", "yes", "no", ""],
    }
    assert page.lacking(GRAPHS).strip() == (
        "Not published for Ascend, and in the graphs: `FloatStatus`, `GridSampler2DGrad`."
    )


@pytest.mark.parametrize("cell", ["all", "-", "a", "a, b", "all but e", "all but a, c, e"])
def test_families_of_a_cell_can_be_read_back(cell):
    families = list("abcdefgh")
    assert page.shortened(frozenset(page.expanded(cell, families)), families) == cell


def test_the_page_says_of_each_operator_what_the_wheel_says():
    cells = page.read(page.PAGE.read_text(encoding="utf-8"))
    assert len(cells) > 80
    for name, (*_, ascend, gpu, cpu, _) in cells.items():
        assert [ascend, gpu, cpu] == [published(name).mark(device) for device in ALL], name
    lacking = [name for name, (*_, ascend, _, _, _) in cells.items() if not ascend.startswith("yes")]
    assert not lacking, "an Ascend gets these: give them another way in src/ops, or name them here"


@pytest.mark.slow
def test_the_page_has_a_familys_graphs_as_they_are():
    command = [sys.executable, "-m", "scripts.operators_by_device.graphs", "classification"]
    done = subprocess.run(
        command, cwd=page.ROOT, capture_output=True, text=True, timeout=280, env=os.environ | {"GLOG_v": "3"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    text = page.PAGE.read_text(encoding="utf-8")
    families = text[text.index("## The families") : text.index("## The operators")]
    names = [line.split("|")[1].strip() for line in families.splitlines() if line.startswith("| ")][1:]
    cells = page.read(text)
    for column, kind in enumerate(("train", "infer")):
        users = {name: page.expanded(row[column], names) for name, row in cells.items() if name not in page.ELSEWHERE}
        assert sorted(name for name, of_name in users.items() if "classification" in of_name) == found[kind]
