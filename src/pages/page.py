"""One page: headings, lines, tables, pictures, in the order in which they are added."""

import csv
import html
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union
from urllib.parse import quote

import cv2
import numpy as np

from ..files import write_bytes, write_text

Cell = Union[str, int, float, None, "Link"]
PICTURES = "pictures"  # folder beside the page
JPEG_QUALITY = 88
LONGEST_WORD = 30  # letters that stand on one line of a cell
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 77rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; border-bottom: 1px solid #ccc; margin-top: 2.2rem; }
h3 { font-size: 1.05rem; } nav a { margin-right: 1rem; } .wide { overflow-x: auto; } p.note { color: #666; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #e3e3e3; }
td.long { overflow-wrap: anywhere; }
th { text-align: left; background: #f5f5f5; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { display: inline-block; margin: .4rem .8rem .8rem 0; vertical-align: top; max-width: 100%; }
figure img { max-width: 100%; height: auto; border: 1px solid #ddd; }
figcaption { font-size: .85rem; color: #444; width: 0; min-width: 100%; overflow-wrap: anywhere; }
p { overflow-wrap: anywhere; }
"""
# Nothing on a page may ask for anything from elsewhere, or run: the names in it come from other people's files.
POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Link:
    """Words that lead to a place: `#id` on the page, or a file's path relative to it."""

    words: str
    target: str


class Page:
    """`index.html` of a folder. Every text is shown as it is: nothing in it is taken for HTML.

    Pictures and tables are written when they are added, the page itself by `write`. UserError, naming the file, where
    one cannot be written.
    """

    def __init__(self, folder: Path, title: str):
        self.folder, self.title = folder, title
        self._body: list[str] = []
        self._headings: list[str] = []

    def heading(self, words: str) -> Callable[[str], None]:
        """A section's, to which the links at the top lead. What comes back gives it other words, known later."""
        number, place = len(self._headings), len(self._body)
        self._headings.append("")
        self._body.append("")

        def reword(words: str) -> None:
            self._headings[number] = words
            self._body[place] = f'<h2 id="section{number + 1}">{_escaped(words)}</h2>'

        reword(words)
        return reword

    def subheading(self, words: str, name: str = "") -> None:
        """name: what a `Link` to `#NAME` leads to."""
        place = f' id="{_escaped(name)}"' if name else ""
        self._body.append(f"<h3{place}>{_escaped(words)}</h3>")

    def line(self, words: str, is_note: bool = False) -> None:
        self._body.append(f"<p{' class=note' * is_note}>{_escaped(words)}</p>")

    def links(self, links: Iterable[Link]) -> None:
        """Files beside the page, in one line."""
        places = (f'<a href="{_address(one.target)}">{_escaped(one.words)}</a>' for one in links)
        self._body.append(f'<p class="note">{", ".join(places)}</p>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Cell]], file: str = "") -> None:
        """Numbers stand on the right, floats with three digits. file: `NAME.csv` that gets the whole of it too."""
        rows = [list(row) for row in rows]
        head = "".join(f"<th>{_escaped(name)}</th>" for name in header)
        body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._body.append(f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>')
        if file:
            self.csv(file, header, rows)
            self.link(file)

    def link(self, file: str, words: str = "") -> None:
        """A line of words that ends in the name of a file beside the page, which it leads to."""
        before = f"{_escaped(words)} " if words else ""
        self._body.append(f'<p class="note">{before}<a href="{_address(file)}">{_escaped(file)}</a></p>')

    def csv(self, file: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """A table beside the page, see `write_csv`."""
        write_csv(self.folder / file, header, rows)

    def picture(self, name: str, image: np.ndarray | bytes, caption: str = "") -> str:
        """The picture's file, relative to the page.

        image: (h, w, 3) uint8 BGR, written as JPEG, or a PNG's bytes (see `plots`). name: without suffix; unique.
        """
        if isinstance(image, bytes):
            file = f"{PICTURES}/{name}.png"
        else:
            file = f"{PICTURES}/{name}.jpg"
            image = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        write_bytes(self.folder / file, image)
        below = f"<figcaption>{_escaped(caption)}</figcaption>" if caption else ""
        self._body.append(f'<figure><img loading="lazy" src="{_address(file)}" alt="{_escaped(name)}">{below}</figure>')
        return file

    def write(self) -> Path:
        """The page's path."""
        links = " ".join(f'<a href="#section{k}">{_escaped(one)}</a>' for k, one in enumerate(self._headings, start=1))
        text = "\n".join(
            (
                "<!DOCTYPE html>",
                '<html lang="en"><head><meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{_escaped(self.title)}</title><style>{STYLE}</style></head><body>",
                f"<h1>{_escaped(self.title)}</h1>",
                f"<nav>{links}</nav>",
                *self._body,
                "</body></html>\n",
            )
        )
        path = self.folder / "index.html"
        write_text(path, text)
        return path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """A table as a file; floats as they are, names as a page shows them. UserError if it cannot be written."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_text(one) for one in header])
    writer.writerows([_text(one) for one in row] for row in rows)
    write_text(path, text.getvalue())


def _escaped(words: object) -> str:
    return html.escape(readable(str(words)))


def readable(words: str) -> str:
    """A file's name may hold bytes that are no text: they are shown as \\xNN."""
    return os.fsencode(words).decode("utf-8", "backslashreplace")


def _text(value: Cell) -> object:
    value = value.words if isinstance(value, Link) else value
    return readable(value) if isinstance(value, str) else value


def _address(file: str) -> str:
    return html.escape(quote(os.fsencode(file)))


def _cell(value: Cell) -> str:
    if isinstance(value, Link):
        target = value.target if value.target.startswith("#") else quote(os.fsencode(value.target))
        return f'<td{_width(value.words)}><a href="{html.escape(target)}">{_escaped(value.words)}</a></td>'
    if value is None:
        return '<td class="n">-</td>'
    if isinstance(value, str):
        return f"<td{_width(value)}>{_escaped(value)}</td>"
    shown = f"{value:.3f}" if isinstance(value, float | np.floating) else str(value)
    return f'<td class="n">{shown}</td>'


def _width(words: str) -> str:
    """A cell with a word for which there may be no room is broken anywhere; others only between words."""
    return ' class="long"' if max(map(len, words.split()), default=0) > LONGEST_WORD else ""
