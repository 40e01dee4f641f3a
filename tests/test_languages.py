"""The Chinese pages beside the English ones: the same commands, tables, links, headings, code and numbers."""

import posixpath
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.languages import anchors, is_language_line, sections, twin

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/own_data.md", "docs/converting.md")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def translated(page: str, link: str) -> str:
    """The link that stands in the translation of `page`: to the translation of what it leads to, where there is one."""
    if "://" in link:
        return link
    path, _, anchor = link.partition("#")
    other = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if other not in PAGES:
        return link
    if anchor:
        anchor = anchors(text_of(twin(other)))[anchors(text_of(other)).index(anchor)]
    return (twin(path) if path else "") + ("#" + anchor if anchor else "")


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_say_the_same(page):
    english = sections(text_of(page), lambda link: translated(page, link))
    chinese = sections(text_of(twin(page)))
    assert len(english) == len(chinese) > 3
    for number, (one, other) in enumerate(zip(english, chinese)):
        for part, wanted in asdict(one).items():
            assert asdict(other)[part] == wanted, f"{part} of section {number + 1}"


@pytest.mark.parametrize("page", PAGES)
def test_each_page_begins_with_a_link_to_the_other(page):
    name, other = Path(page).name, Path(twin(page)).name
    assert text_of(page).split("\n")[2] == f"English | [简体中文]({other})"
    assert text_of(twin(page)).split("\n")[2] == f"[English]({name}) | 简体中文"
    assert all(sum(map(is_language_line, text_of(one).split("\n"))) == 1 for one in (page, twin(page)))


def test_every_translated_page_is_compared():
    found = {str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md")) if "_CN" in path.name}
    assert found == {twin(page) for page in PAGES}


ENGLISH = """# Title of 2 words

English | [简体中文](x_CN.md)

Say `a` and `b`, 1,024 or 0.5 times: [x](y.md#z).

```bash
ls -l  # what there is
```

| key | what |
| --- | --- |
| `one` | it is 3 |
| `two\\|three` | |

## Next

Words.
"""
CHINESE = """# 2 个词的标题

[English](x.md) | 简体中文

0.5 或 1,024 次，先 `b` 后 `a`：[某](y.md#z)。

```bash
ls -l  # 有什么
```

| 键 | 含义 |
| --- | --- |
| `one` | 是 3 |
| `two\\|three` | |

## 下一节

词。
"""


def test_words_order_and_comments_are_the_languages_own():
    assert sections(ENGLISH) == sections(CHINESE)


@pytest.mark.parametrize(
    ("was", "now", "part"),
    [
        ("ls -l", "ls", "blocks"),
        ("```bash", "```text", "blocks"),
        ("| `one` | 是 3 |\n", "", "tables"),
        ("| `one` | 是 3 |", "| `one` | 是 4 |", "tables"),
        ("| `one` |", "| `none` |", "tables"),
        ("| `one` | 是 3 |", "| `one` | 是 3 | |", "tables"),
        ("(y.md#z)", "(y.md)", "links"),
        ("1,024", "1024", "numbers"),
        ("2 个", "3 个", "numbers"),
        ("先 `b`", "先 b", "spans"),
        ("## 下", "### 下", "level"),
    ],
)
def test_what_differs_is_seen(was, now, part):
    assert CHINESE.count(was) == 1
    other = sections(CHINESE.replace(was, now))
    differing = {
        name
        for one, two in zip(sections(ENGLISH), other)
        for name in asdict(one)
        if asdict(one)[name] != asdict(two)[name]
    }
    assert part in differing


def test_a_section_that_is_missing_is_seen():
    assert len(sections(CHINESE.replace("## 下一节\n", ""))) == 1 < len(sections(ENGLISH))


def test_anchors_are_those_of_forges():
    assert anchors("# MindSpore 视觉 `模型`\n\n## What is *never* run?\n```bash\n# no\n```\n### 1. A: `b.py`, c") == [
        "mindspore-视觉-模型", "what-is-never-run", "1-a-bpy-c",
    ]  # fmt: skip
