"""The house of docs and DESIGN, held: floors, no circles, and who may touch what."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

# From the top floor down; a file imports from floors below its own, and from its own room.
FLOORS = (
    "__main__", "commands", "serving", "api", "engine", "export", "tasks", "reports", "evaluation", "inference",
    "data", "zoo", "convert", "integrations", "models", "process", "checkpoint", "checkpoint_entries", "ops",
    "config", "pages", "outputs", "file_facts", "files", "reading", "errors",
)  # fmt: skip
# Names of module commands from before the move: the only imports upwards.
OLD_COMMANDS = {"check": "commands.check", "models.summary": "commands.summary"}


def modules() -> dict[str, Path]:
    """Dotted name below src/ -> file; a package has the name of its folder."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of src/ that a file imports, wherever in it."""
    package = path.relative_to(SOURCE).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in known else base


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    edges = {name: set(imports(path, known)) - {name, ""} for name, path in known.items()}
    assert sum(map(len, edges.values())) > 200
    return {name: targets for name, targets in edges.items() if name not in OLD_COMMANDS}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Circles of a graph, found by depth-first search."""
    found, done = [], set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append(path[path.index(node) :] + [node])
        elif node not in done:
            for target in sorted(edges.get(node, ())):
                visit(target, [*path, node])
            done.add(node)

    for node in edges:
        visit(node, [])
    return found


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_file_stands_on_a_floor(graph):
    assert {room(name) for name in graph if name} <= set(FLOORS)


def test_nothing_imports_upwards(graph):
    upwards = [
        f"{name} -> {target}"
        for name, targets in graph.items()
        for target in targets
        if name and room(name) != room(target) and FLOORS.index(room(target)) <= FLOORS.index(room(name))
    ]
    assert not upwards, upwards


def test_only_the_old_commands_import_upwards_and_they_are_nothing_else():
    known = modules()
    for name, target in OLD_COMMANDS.items():
        assert list(imports(known[name], known)) == [target]
        statements = [node for node in ast.parse(known[name].read_text()).body if not isinstance(node, ast.Expr)]
        assert len(statements) == 2, f"src/{name} is to do nothing but call {target}"


def test_no_files_import_one_another_in_a_circle(graph):
    assert not circles(graph)


def test_no_folders_import_one_another_in_a_circle(graph):
    """In every folder of src/ the things in it, files and folders, form no circle."""
    for depth in range(4):
        siblings: dict[str, dict[str, set[str]]] = {}
        for name, targets in graph.items():
            parts = name.split(".")
            for target in targets:
                others = target.split(".")
                together = len(parts) > depth and len(others) > depth and parts[:depth] == others[:depth]
                if together and parts[depth] != others[depth]:
                    edges = siblings.setdefault(".".join(parts[:depth]), {})
                    edges.setdefault(parts[depth], set()).add(others[depth])
        for folder, edges in siblings.items():
            assert not circles(edges), folder


def test_imports_inside_the_package_are_relative():
    """A wheel installs the folder under another name."""
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [name for name in names if name == "src" or name.startswith("src.")], path


def test_nobody_asks_which_task_it_is():
    """`cfg.task` picks the object from TASKS, in config/ the task's checks; elsewhere it is only written down."""
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\.task (==|!=|in|not) ", text), name
        if room(name) not in ("tasks", "config"):
            uses = re.findall(r".*\bcfg\.task\b.*", text)
            assert all("TASKS[cfg.task]" in line or '"task": cfg.task' in line for line in uses), (name, uses)


@pytest.mark.parametrize(
    "allowed,pattern",
    [
        (("process",), r"\bos\.environ\b|\bos\.getenv\b|\bputenv\b"),
        (("integrations",), r"^\s*(?:import|from) (?:mlflow|moxing|tensorboardX)\b"),
        (("serving",), r"^\s*(?:import|from) (?:gradio|fastapi|uvicorn)\b"),
        (("config",), r"\byaml\.(?:safe_)?(?:load|dump)"),
    ],
)
def test_some_things_are_touched_in_one_room_only(allowed, pattern):
    for name, path in modules().items():
        if room(name) not in allowed:
            assert not re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE), (name, pattern)


def test_the_configuration_knows_nothing_of_the_framework(graph):
    for name, path in modules().items():
        if room(name) in ("config", "zoo", "errors", "file_facts", "files", "reading"):
            assert not re.search(r"^\s*(?:import|from) (?:mindspore|numpy)\b", path.read_text(), re.MULTILINE), name


@pytest.mark.parametrize("rooms", [("ops",), ("evaluation",)])
def test_rooms_that_know_nothing_of_the_configuration(graph, rooms):
    for name, targets in graph.items():
        if room(name) in rooms:
            assert not [target for target in targets if room(target) == "config"], name


def test_networks_meet_the_configuration_in_their_builders_only(graph):
    for name, targets in graph.items():
        if room(name) == "models" and not name.rpartition(".")[2].startswith("build"):
            assert not [target for target in targets if room(target) == "config"], name


def test_no_file_is_longer_than_one_idea():
    for path in modules().values():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


# What adding a thing touches: how many new files, and the existing ones that get a line, each with the name that the
# line joins. Keys of its own are a new file and a line in EXTRA_KEYS (a backbone's stand with the other backbones'). A
# detector and a format are named in choices.py too: the configuration knows nothing of the rooms above it.
KEYS = {"src/config/config.py": "EXTRA_KEYS"}
ADDING = {
    # network, YAML
    "backbone": (2, {"src/models/backbones/build.py": "BACKBONES", "src/config/backbone_keys.py": "BACKBONE_KEYS"}),
    # head, wiring, keys, YAML
    "detector": (4, {"src/models/detection/build.py": "DETECTORS", "src/config/choices.py": "DETECTORS"} | KEYS),
    # task, keys, YAML
    "task": (3, {"src/tasks/__init__.py": "TASKS", "src/config/checks.py": "TASK_CHECKS"} | KEYS),
    # reader, keys
    "label_format": (2, {"src/data/formats/__init__.py": "FORMATS", "src/config/choices.py": "DATA_TYPES"} | KEYS),
    # transform, keys
    "augmentation": (2, {"src/data/augmentation/__init__.py": "AUGMENTATIONS"} | KEYS),
    # hook, keys
    "hook": (2, {"src/engine/hooks/__init__.py": "HOOKS"} | KEYS),
}


def page_of(thing: str) -> Path:
    return ROOT / "docs" / f"adding_{'an' if thing[0] in 'aeiou' else 'a'}_{thing}.md"


@pytest.mark.parametrize("thing", ADDING)
def test_adding_a_thing_touches_so_many_files(thing):
    """The headings of its page name them all; the page's own test puts the page's code there and nothing elsewhere."""
    new, lines = ADDING[thing]
    text = page_of(thing).read_text(encoding="utf-8")
    headings = re.findall(r"^## \d+\. .*", text, re.MULTILINE)
    named = {path for heading in headings for path in re.findall(r"`([\w./]+/[\w.]+)`", heading)}
    assert set(lines) <= named and len(named - set(lines)) == new, sorted(named)
    assert all((ROOT / path).is_file() for path in lines)
    assert all((ROOT / path).parent.is_dir() for path in named)
    for path, name in lines.items():
        assert f"`{name}`" in text, f"{page_of(thing).name} does not name {name}"
        assert re.search(rf"^{name}\b.* = ", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), (path, name)


@pytest.mark.parametrize("thing", ADDING)
def test_every_page_that_adds_a_thing_is_followed_by_a_test_that_it_names(thing):
    page = page_of(thing)
    opening = page.read_text(encoding="utf-8").partition("\n## ")[0]
    (path,) = re.findall(r"`(tests/[\w/]+/test_adding_\w+\.py)`", opening)
    assert f'blocks("{page.name}")' in (ROOT / path).read_text(encoding="utf-8")


def test_no_page_adds_a_thing_unseen():
    assert sorted((ROOT / "docs").glob("adding_*.md")) == sorted(map(page_of, ADDING))
