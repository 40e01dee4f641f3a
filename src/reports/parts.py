"""What the pages of all tasks have alike: how they begin, and what was left out at their end."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..pages.page import Page


def begin(folder: Path, title: str, metrics: Mapping[str, float], protocol: Mapping[str, object]) -> Page:
    """A page that begins with the scores, in `metrics.csv` too, and what they depend on."""
    page = Page(folder, title)
    page.heading("Scores")
    page.table(("metric", "value"), metrics.items(), "metrics.csv")
    page.line("Protocol: " + ", ".join(f"{name} {value}" for name, value in protocol.items()), is_note=True)
    return page


def left_out(page: Page, lines: Sequence[str]) -> None:
    """The section of what could not be read or took no part, one line each."""
    page.heading("Unreadable or left out")
    for line in lines or ("Nothing.",):
        page.line(line)
