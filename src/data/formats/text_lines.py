"""Text files of names, a line each, as editors and shells of all systems write them."""

import codecs
import re
from pathlib import Path

from ...errors import UserError, plain
from ...reading import read_bytes, why

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
MOST_BYTES = 2**30  # millions of lines
LINE_END = re.compile(r"\r\n|\r|\n")  # `splitlines` knows more, which names of files may hold


def read_lines(path: Path, any_bytes: bool = False) -> list[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank, without white space around it.

    Text in UTF-8 with a byte-order mark or without, or in UTF-16 with one (PowerShell's `>`). any_bytes: bytes that are
    no text are taken too, as names of files have them. FileNotFoundError where no file is there, UserError, naming it,
    where it cannot be read or is no text.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {why(error)}") from None
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, "surrogateescape" if any_bytes and encoding != "utf-16" else "strict")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: it is no text in UTF-8 (byte {error.start})") from None
    lines = [(number, line.strip()) for number, line in enumerate(LINE_END.split(text), start=1) if line.strip()]
    broken = next((one for one in lines if "\0" in one[1]), None)
    if broken:
        raise UserError(f"{path}, line {broken[0]}: {plain(broken[1])} holds a NUL character")
    return lines
