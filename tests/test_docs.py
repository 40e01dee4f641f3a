"""README.md and the pages of docs/ and deploy/: what they name is there."""

import itertools
import re
from pathlib import Path

import pytest

from tests.languages import anchors

ROOT = Path(__file__).parents[1]
PAGES = [
    *("README.md", "README_CN.md", "CONTRIBUTING.md", "deploy/README.md"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
FOLDERS = ("src", "tests", "configs", "docs", "scripts", "benchmarks")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def missing_links(text: str, folder: Path) -> list[str]:
    """Relative links that lead nowhere from `folder`."""
    return [link for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if not (folder / link).exists()]


def missing_anchors(text: str, folder: Path) -> list[str]:
    """Links to headings that are not there, in the same page or in another."""
    found = []
    for path, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        page = (folder / path).read_text(encoding="utf-8") if path else text
        found += [f"{path}#{anchor}"] if anchor not in anchors(page) else []
    return found


def missing_paths(text: str) -> list[str]:
    """Paths of the repository that are not there; but for files that the reader is to write."""
    found = re.findall(rf"(?<![\w./])(?:{'|'.join(FOLDERS)})/[\w./{{}}*,-]+", text)
    paths = {path for one in found for path in spelled_out(one.rstrip(".,/"))}
    return [path for path in sorted(paths - written_by_the_reader(text)) if not any(ROOT.glob(path))]


def missing_modules(text: str) -> list[str]:
    """Dotted names of the package that are not there."""
    found = sorted(set(re.findall(r"(?<![\w./])src(?:\.\w+)+", text)))
    paths = {name: ROOT / name.replace(".", "/") for name in found}
    return [name for name, path in paths.items() if not (path.is_dir() or path.with_suffix(".py").is_file())]


def missing_programs(text: str) -> list[str]:
    """Programs that are named without their folder and of which there is none."""
    found = set(re.findall(r"`(\w+\.(?:py|sh))`", text)) - {Path(path).name for path in written_by_the_reader(text)}
    tops = [ROOT / folder for folder in (*FOLDERS, "deploy")]
    there = {path.name for path in itertools.chain(ROOT.glob("*"), *(top.rglob("*") for top in tops))}
    return sorted(found - there)


def written_by_the_reader(text: str) -> set[str]:
    """The files of the headings `## 2. ...: `path``."""
    return {path for line in re.findall(r"^## \d.*", text, re.MULTILINE) for path in re.findall(r"`([^`]+)`", line)}


def spelled_out(path: str) -> list[str]:
    """`a{b,c}d` -> abd, acd."""
    return ["".join(parts) for parts in itertools.product(*(part.split(",") for part in re.split(r"[{}]", path)))]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    text = text_of(page)
    assert not missing_links(text, (ROOT / page).parent)
    assert not missing_anchors(text, (ROOT / page).parent)
    assert not missing_paths(text)
    assert not missing_modules(text)
    assert not missing_programs(text)


def test_every_page_is_reached_from_the_first_ones():
    """By a link of README, README_CN or CONTRIBUTING."""
    linked = {
        (ROOT / link).resolve()
        for page in ("README.md", "README_CN.md", "CONTRIBUTING.md")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page))
    }
    assert not [page for page in PAGES if page != "README.md" and (ROOT / page).resolve() not in linked]


def test_the_readmes_pictures_are_small():
    """1 MB together, and each is shown somewhere."""
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    assert sum(path.stat().st_size for path in pictures) <= 1_000_000
    pages = "".join(map(text_of, PAGES))
    assert not [path.name for path in pictures if f"images/{path.name})" not in pages]


def test_what_is_not_there_is_seen():
    text = """
## 1. A new file: `src/models/new.py`

See [a page](docs/adding_a_hook.md), [another](docs/gone.md#part), [the web](https://example.org), `src/models/new.py`,
`src/models/{build,gone}.py`, `configs/demo/gone*.yaml`, `configs/demo/*_tiny.yaml`, src.models.build, src.gone.part,
`eval.py`, `build.py`, `gone.py`, outputs/src/gone. [Here](#1-a-new-file-srcmodelsnewpy), [not here](#gone),
[there](docs/converting.md#sources), [not there](docs/converting.md#sauces).
"""
    assert missing_links(text, ROOT) == ["docs/gone.md"]
    assert missing_anchors(text.replace("docs/gone.md#part", ""), ROOT) == ["#gone", "docs/converting.md#sauces"]
    assert missing_paths(text) == ["configs/demo/gone*.yaml", "docs/gone.md", "src/models/gone.py"]
    assert missing_modules(text) == ["src.gone.part"] and missing_programs(text) == ["gone.py"]
