"""What a compiled graph computes in which types, read from the text that MindSpore writes of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import mindspore as ms
import pytest

NODE = re.compile(
    r"^  %\d+\(\S+\) = (?:PrimFunc_)?(?P<operator>\w+)\((?:.*\n)(?P<between>(?:(?!^  %\d).*\n)*?)"
    r"      : \((?P<inputs>.*)\) -> \((?P<outputs>.*)\)\n(?:      # Fullname with scope: \((?P<scope>.*)\)\n)?",
    re.MULTILINE,
)
TENSOR = re.compile(r"Tensor\[(\w+)\]")


class Node(NamedTuple):
    """An operator, the types of the tensors among its inputs and outputs, the names of the cells around it."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scope: str


@contextmanager
def written_graphs(folder: Path) -> Iterator[None]:
    """While active, the graphs that are compiled are written to `folder`, as they are behind the last optimisation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MS_DEV_DUMP_IR_PASSES", "validate")
        ms.set_context(save_graphs=1, save_graphs_path=str(folder))
        try:
            yield
        finally:
            ms.set_context(save_graphs=0)


def nodes(cell: ms.nn.Cell, inputs, folder: Path) -> list[Node]:
    """Those of the graph that `cell` becomes for `inputs`."""
    with written_graphs(folder):
        cell.compile(*inputs)
    (path,) = folder.glob("*_validate_*.ir")
    found = [
        Node(one["operator"], tuple(TENSOR.findall(one["inputs"])), tuple(TENSOR.findall(one["outputs"])),
             one["scope"] or "")
        for one in NODE.finditer(path.read_text())
    ]  # fmt: skip
    assert len(found) > 50, f"{path}: {len(found)} nodes"
    return found
