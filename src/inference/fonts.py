"""Fonts that have the characters of class names, in any script.

Looked at in turn: the file that is given, DejaVu Sans of matplotlib (Latin, Greek, Cyrillic, Hebrew, Arabic), what
fontconfig knows (`fc-match`, `fc-list`), every font that matplotlib's font manager finds.
"""

import functools
import logging
import subprocess
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import ImageFont

from ..errors import UserError, plain

logger = logging.getLogger(__name__)

SECONDS = 20  # that fontconfig may take
MOST_FONTS = 3000  # that are opened
JOINERS = "\u200c\u200d"  # shape letters, and have no picture themselves
FORMAT = "%{file}\t%{index}\n"  # of fontconfig's answers
STYLES = 0xFFFF  # of fontconfig's index; above it stands the number of a variable font's instance


@dataclass(frozen=True)
class Face:
    """One font of a file that may hold several."""

    file: str
    index: int = 0

    def of_size(self, pixels: int) -> ImageFont.FreeTypeFont:
        return _loaded(self.file, self.index, pixels)


@dataclass
class FontBook:
    """Finds fonts for texts. given: a font file that is looked at first; UserError where it is none."""

    given: str = ""
    _faces: list[Face] = field(default_factory=list)  # that were good for something, in the order of their finding
    _known: dict[str, list[tuple[str, Face]] | None] = field(default_factory=dict)  # by text
    _warned: bool = False

    def __post_init__(self) -> None:
        if self.given:
            if not characters_of(Face(self.given)):
                raise UserError(f"font {self.given} is no font file (.ttf, .otf, .ttc)")
            self._faces.append(Face(self.given))

    def runs(self, text: str) -> list[tuple[str, Face]] | None:
        """The text in pieces, each with a font that has its characters; None, said once, where one has no font.

        One font for the whole text where there is one.
        """
        if text not in self._known:
            self._known[text] = self._runs(text)
        return self._known[text]

    def _runs(self, text: str) -> list[tuple[str, Face]] | None:
        wanted = {one for one in text if not _is_blank(one)}
        self._learn(wanted)
        whole = next((face for face in self._faces if wanted <= characters_of(face)), None)
        if whole is not None:
            return [(text, whole)]
        runs: list[tuple[str, Face]] = []
        for one in text:
            last = runs[-1][1] if runs else None
            if last and (_is_blank(one) or one in characters_of(last)):
                runs[-1] = runs[-1][0] + one, last
                continue
            face = next((face for face in self._faces if _is_blank(one) or one in characters_of(face)), None)
            if face is None:
                self._warn(text, one)
                return None
            runs.append((one, face))
        return runs

    def _learn(self, wanted: set[str]) -> None:
        """Look for a font that has all the characters, or else for fonts until each of them has one."""
        missing = wanted.difference(*map(characters_of, self._faces))
        if any(wanted <= characters_of(face) for face in self._faces):
            return
        for candidates in (_likely(wanted), _all_fonts()):
            for face in candidates:
                found = characters_of(face) & wanted
                if (found == wanted or found & missing) and face not in self._faces and _is_usable(face, min(found)):
                    self._faces.append(face)
                    missing -= found
                    if found == wanted:
                        return
            if not missing:
                return

    def _warn(self, text: str, one: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "no font here has %s (%s) of the class name %s: such classes are drawn by their number; install one, "
                "or name its file: --font FILE.ttf", one, f"U+{ord(one):04X}", plain(text),
            )  # fmt: skip


def drawable(name: str, most: int) -> str:
    """A class name as it is drawn: composed, without invisible marks, control characters escaped, `most` characters."""
    kept = [
        " " if unicodedata.category(one) == "Zs" else one
        for one in unicodedata.normalize("NFC", name[: 4 * most])
        if one in JOINERS or unicodedata.category(one) != "Cf"
    ]
    parts = "".join(kept).split("\u200c")
    text = "\u200c".join("\u200d".join(plain(part, 4 * most) for part in piece.split("\u200d")) for piece in parts)
    return text if len(text) <= most else f"{text[: most - 3]}..."


@functools.lru_cache(maxsize=MOST_FONTS)
def characters_of(face: Face) -> frozenset[str]:
    """The characters that a font has pictures of; none of a file that is no font, or one of last resort.

    A font of last resort has one picture for all characters of a script.
    """
    from fontTools.ttLib import TTFont

    try:
        with TTFont(face.file, fontNumber=face.index, lazy=True) as font:
            pictures = font.getBestCmap() or {}
            return frozenset(map(chr, pictures)) if len(set(pictures.values())) * 4 > len(pictures) else frozenset()
    except Exception:  # fontTools' readers raise many kinds for what is no font
        return frozenset()


def _is_blank(one: str) -> bool:
    """Whether a character needs no picture: spaces, joiners, variation selectors."""
    return one == " " or one in JOINERS or "\ufe00" <= one <= "\ufe0f"


@functools.lru_cache(maxsize=64)
def _loaded(file: str, index: int, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, pixels, index=index)


def _is_usable(face: Face, one: str) -> bool:
    """Whether a character of the font can be drawn in any size; those of coloured pictures cannot."""
    try:
        return face.of_size(24).getmask(one).getbbox() is not None
    except Exception:  # FreeType's many kinds for what it cannot use
        return False


def _likely(wanted: set[str]) -> Iterator[Face]:
    """matplotlib's own font, and what fontconfig has for all the characters, and for each."""
    import matplotlib

    yield Face(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))
    codes = [f"{ord(one):x}" for one in sorted(wanted)]
    for program in ("fc-match", "fc-list"):
        yield from _ask(program, "-f", FORMAT, f":charset={' '.join(codes)}")
    for code in codes:
        yield from _ask("fc-match", "-f", FORMAT, f":charset={code}")


def _all_fonts() -> Iterator[Face]:
    """Those that matplotlib finds, upright and regular ones first."""
    from matplotlib.font_manager import fontManager

    fonts = sorted(fontManager.ttflist, key=lambda one: (one.style != "normal", one.weight not in (400, "normal")))
    yield from (Face(one.fname) for one in fonts[:MOST_FONTS])


@functools.lru_cache(maxsize=1024)
def _ask(*command: str) -> tuple[Face, ...]:
    """What fontconfig answers; nothing where it is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        file, _, index = line.rpartition("\t")
        if file and index.isdecimal():
            found.append(Face(file, int(index) & STYLES))
    return tuple(dict.fromkeys(found))
