"""Class names in diagrams, in any script, each as it is written."""

import contextlib
from collections.abc import Iterator, Sequence

from .fonts import FontBook, drawable

LONGEST_NAME = 100  # characters of a class name in a picture


def drawn_names(names: Sequence[str], font: str = "") -> tuple[list[str], list[str]]:
    """The names as pictures have them, and the font families that have their characters.

    font: a font file for names in a script that the usual fonts lack; a class without a font is drawn by its number.
    """
    from matplotlib.font_manager import FontProperties, fontManager

    book, families, drawn = FontBook(font), ["sans-serif"], []
    for number, name in enumerate(names):
        text = drawable(name, LONGEST_NAME)
        runs = [] if text.isascii() else book.runs(text)
        drawn.append(f"class {number}" if runs is None else text)
        for _, face in runs or ():
            fontManager.addfont(face.file)
            families.append(FontProperties(fname=face.file).get_name())
    return drawn, list(dict.fromkeys(families))


@contextlib.contextmanager
def font_families(families: Sequence[str]) -> Iterator[None]:
    """Diagrams that are made within the block have their texts in these fonts."""
    import matplotlib

    with matplotlib.rc_context({"font.family": list(families)}):
        yield
