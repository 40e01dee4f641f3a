"""The page of operators by device: `python -m scripts.operators_by_device.page [--graphs FILE]` writes
docs/operators_by_device.md anew. Every family's graphs are made in a process of its own, a quarter of an hour on two
idle cores; FILE keeps them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.operators_by_device.published import DEVICES, Published, published

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operators_by_device.md"
HEAD = ("operator", "training", "inference", *DEVICES, "* as")
MOST_BUT = 3  # families that "all but" names
# In no graph of one device: operator -> training, inference.
ELSEWHERE = {"AllReduce": ("several ranks", "-"), "Broadcast": ("several ranks by msrun", "-")}

Graphs = Mapping[str, Mapping[str, list[str]]]  # family -> 'train', 'infer' -> operators

INTRODUCTION = """# Operators by device

Which operators an Ascend gets, and on which devices MindSpore {version} publishes them ("Supported Platforms" in its
docstrings). Made by `python -m scripts.operators_by_device.page`; **not run**: no graph was executed on an Ascend.

The graphs are those of a training step and of inference of each family below, at a small size, built with
`device_target` Ascend for all that asks in Python (so without this project's compiled operators, as with `portable: 1`)
and compiled by MindSpore's front end, gradients included. What a back end makes of them (fusions, other formats) is not
in them, nor are nodes that are no operator's work (tuples, loads, branches, copies).

`*`: the docstring is another operator's: that whose gradient this one is, or whose work it does; it stands in the last
column. `?`: none was found.

## What an Ascend lacks, and what takes its place

| here | on an Ascend | why |
| --- | --- | --- |
| RoIAlign (`ops/roi_align.py`) | `ROIAlign` of every level, then the choice by level | compiled for CPU and GPU |
| mask crop (`ops/mask_crop.py`) | bits by division, two `BatchMatMul` | compiled for CPU and GPU |
| NMS (`ops/nms.py`) | `NMSWithMask`, a group at a time | compiled for the CPU |
| soft NMS (`ops/soft_nms.py`) | a loop of elementary operators | compiled for the CPU |
| assignment, sampling (`models/detection`) | IoU of every pair; `TopK` | compiled for the CPU |
| point sampling (`ops/point_sample.py`) | four `Gather` | `GridSampler2DGrad` is published for GPU and CPU alone |
| gradients all finite (`ops/all_finite.py`) | `AllFinite`; on the first 910 `NPUGetFloatStatusV2`, which tells of \
an overflow anywhere in the step, in the forward pass as well | MindSpore's `amp.all_finite` chooses |
| `fast_gradients` (convolutions, normalisation, resizing) | MindSpore's own | oneDNN, x86-64 alone |
{lacking}
## The families

| family | configuration | keys |
| --- | --- | --- |
{families}

## The operators

"""


@dataclass(frozen=True)
class Row:
    """train, infer: the families in whose graph the operator is."""

    operator: str
    train: frozenset[str]
    infer: frozenset[str]
    published: Published


def rows(graphs: Graphs) -> list[Row]:
    """One an operator, by name."""
    names = {name for kinds in graphs.values() for found in kinds.values() for name in found}

    def users(name: str, kind: str) -> frozenset[str]:
        return frozenset(family for family, kinds in graphs.items() if name in kinds.get(kind, ()))

    return [Row(name, users(name, "train"), users(name, "infer"), published(name)) for name in sorted(names)]


def shortened(users: frozenset[str], families: list[str]) -> str:
    """The families of a cell: 'all', 'all but A, B', 'A, B' or '-', in the order of `families`."""
    missing = [name for name in families if name not in users]
    if not users:
        return "-"
    if not missing:
        return "all"
    if len(missing) <= MOST_BUT < len(users):
        return "all but " + ", ".join(missing)
    return ", ".join(name for name in families if name in users)


def expanded(cell: str, families: list[str]) -> set[str]:
    """The other way round."""
    if cell == "-":
        return set()
    if cell == "all":
        return set(families)
    if cell.startswith("all but "):
        return set(families) - expanded(cell.removeprefix("all but "), families)
    return set(cell.split(", "))


def having(graphs: Graphs, kind: str) -> list[str]:
    """Families with a graph of this kind."""
    return [family for family, kinds in graphs.items() if kind in kinds]


def table(graphs: Graphs) -> list[str]:
    """The operators' table, a line each."""
    train, infer = having(graphs, "train"), having(graphs, "infer")
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for row in rows(graphs):
        marks = [row.published.mark(device) for device in DEVICES]
        other = "" if row.published.own else f"`{row.published.source.removeprefix('mindspore.')}`"
        lines.append(
            _line([f"`{row.operator}`", shortened(row.train, train), shortened(row.infer, infer), *marks, other])
        )
    for name, where in ELSEWHERE.items():
        lines.append(_line([f"`{name}`", *where, *(published(name).mark(device) for device in DEVICES), ""]))
    return lines


def read(text: str) -> dict[str, list[str]]:
    """The cells of a page's table of operators: {operator: the others}."""
    found = {}
    for line in text[text.index("## The operators") :].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found[cells[0].strip("`")] = cells[1:]
    return found


def lacking(graphs: Graphs) -> str:
    """What of the graphs is not published for an Ascend, in words."""
    names = [row.operator for row in rows(graphs) if not row.published.mark("Ascend").startswith("yes")]
    if not names:
        return "\nEvery operator below is published for Ascend, or is the gradient or the variant of one that is.\n"
    return f"\nNot published for Ascend, and in the graphs: {', '.join(f'`{name}`' for name in names)}.\n"


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def page(graphs: Graphs, families: Mapping[str, tuple[str, str]], version: str) -> str:
    """families: configuration and keys of each."""
    words = {
        "version": version,
        "lacking": lacking(graphs),
        "families": "\n".join(
            _line([name, f"`{families[name][0]}`", f"`{families[name][1]}`" if families[name][1] else ""])
            for name in graphs
        ),
    }
    return INTRODUCTION.format(**words) + "\n".join(table(graphs)) + "\n"


def graphs_of(name: str) -> dict[str, list[str]]:
    """Those of a family, in a process of its own."""
    command = [sys.executable, "-m", "scripts.operators_by_device.graphs", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"GLOG_v": "3"})
    if done.returncode:
        sys.exit(f"error: {name}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=Path, help="file of graphs: families that it has are not made anew")
    words = parser.parse_args()
    import mindspore

    from scripts.operators_by_device.graphs import FAMILIES

    kept = json.loads(words.graphs.read_text()) if words.graphs and words.graphs.exists() else {}
    graphs = {}
    for name in FAMILIES:
        graphs[name] = kept.get(name) or graphs_of(name)
        print(name, {kind: len(operators) for kind, operators in graphs[name].items()}, flush=True)
        if words.graphs:
            words.graphs.write_text(json.dumps(kept | graphs))
    families = {name: (f"configs/{one.config}.yaml", one.keys) for name, one in FAMILIES.items()}
    PAGE.write_text(page(graphs, families, mindspore.__version__), encoding="utf-8")


if __name__ == "__main__":
    main()
