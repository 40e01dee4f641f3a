"""What a page and its translation must have in common: commands, tables, links, headings, code and numbers."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
COMMENTED = ("bash", "yaml", "python")  # where what is behind a # may be translated


@dataclass(frozen=True)
class Section:
    """What stands below a heading, code blocks apart: nothing in it depends on the language."""

    level: int
    blocks: list[tuple[str, str]]  # language, content
    tables: list[list[list[tuple]]]  # rows of cells, a cell as its spans and numbers
    links: list[str]
    spans: list[str]
    numbers: list[str]


def sections(text: str, target: Callable[[str], str] = str) -> list[Section]:
    """The sections of a page, its language line apart; `target` gives the link that is compared for a link."""
    text = "\n".join(line for line in text.split("\n") if not is_language_line(line))
    blocks = FENCE.findall(text)
    marked = FENCE.sub("\0\n", text)
    found = []
    for part in re.split(r"^(?=#+ )", marked, flags=re.MULTILINE)[1:]:
        own, blocks = blocks[: part.count("\0")], blocks[part.count("\0") :]
        found.append(_section(part.replace("\0", ""), own, target))
    return found


def is_language_line(line: str) -> bool:
    return bool(re.fullmatch(r"(English|\[English\]\(\S+\)) \| (简体中文|\[简体中文\]\(\S+\))", line))


def headings(text: str) -> list[str]:
    """The words of a page's headings, in order."""
    return re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)


def anchors(text: str) -> list[str]:
    """The names by which links reach the headings, as GitHub and Gitee make them."""
    return [re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings(text)]


def twin(path: str) -> str:
    """docs/page.md -> docs/page_CN.md"""
    return str(PurePosixPath(path).with_suffix("")) + "_CN.md"


def _section(part: str, blocks: list[tuple[str, str]], target: Callable[[str], str]) -> Section:
    head, _, rest = part.partition("\n")
    return Section(
        level=len(head) - len(head.lstrip("#")),
        blocks=[(language, _without_comments(language, content)) for language, content in blocks],
        tables=[
            [[_words(cell) for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in table.strip().split("\n")]
            for table in re.findall(r"^\|.*\n(?:\|.*(?:\n|$))*", rest, re.MULTILINE)
        ],
        links=sorted(map(target, LINK.findall(part))),
        spans=sorted(SPAN.findall(part)),
        numbers=sorted(_numbers(part)),
    )


def _words(cell: str) -> tuple[list[str], list[str]]:
    """A cell's code and numbers; order is the language's."""
    return sorted(SPAN.findall(cell)), sorted(_numbers(cell))


def _numbers(text: str) -> list[str]:
    """Numbers outside of code and of links' targets."""
    return NUMBER.findall(LINK.sub("]", SPAN.sub("", text)))


def _without_comments(language: str, content: str) -> str:
    if language not in COMMENTED:
        return content
    lines = (re.sub(r"(^|\s+)#.*", "", line).rstrip() for line in content.split("\n"))
    return "\n".join(line for line in lines if line)
