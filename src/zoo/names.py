"""Published weights by a name: each row of the table has one, and a shorter one will do where it leads to one row."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .. import COMMAND
from ..config.ready import IS_INSTALLED
from ..convert.published import Published, published_weights, read_table
from ..errors import UserError, listed, plain, short
from ..process.caches import weights_table
from . import PREFIX

EVERYONES = "model"  # how files are called whose folder has the name
LONGEST = 200  # bytes of a name, which becomes a folder's; longer ones are not looked for
SHOWN = 4  # names of a message


def the_table(path: str = "") -> dict[str, Published]:
    """The rows by their names: of the table `path`, else of the one that the environment names, else the project's.

    UserError for a table of one's own that is none.
    """
    path = path or weights_table()
    if not path:
        return named(published_weights(), "the project's table")
    return named(read_table(Path(path)), path)


def named(rows: Sequence[Published], table: str = "") -> dict[str, Published]:
    """Rows by their names: the file's without its suffix, unless that tells no files apart; where several files are
    called so, with the folder of the address that does; of a file whose name is not known, what its note says.
    UserError for a name that no file can have, or that two rows have.
    """
    stems = [_stem(row.file) for row in rows]
    found: dict[str, Published] = {}
    for row, stem in zip(rows, stems, strict=True):
        if not stem:
            name = re.sub(r"[^\w.+-]+", "_", row.note.partition(":")[0]).strip("_")
        elif len(same := [other for other in rows if other.file == row.file]) > 1:
            folder = _telling_folder(row, same)
            if not folder:
                told = "no folder of their addresses tells them apart"
                raise UserError(f"{table}: {len(same)} rows have the file {plain(row.file)}, and {told}")
            name = folder if stem == EVERYONES else f"{stem}-{folder}"
        else:
            name = stem if stems.count(stem) == 1 else row.file
        if _is_no_name(name) or (row.file and _is_no_name(row.file)):
            raise UserError(f"{table}: {short(row.file or row.note)} is no name of a file")
        if name in found:
            raise UserError(f"{table}: two rows are called {plain(name)}")
        found[name] = row
    return found


def find(text: str, table: dict[str, Published]) -> str:
    """The name in the table that `text` means: a name or file as it is there, the beginning of one name alone, the
    configuration of one row alone, or what stands in one name alone. UserError with the names that it may mean.
    """
    wanted = text.removeprefix(PREFIX).lower()
    ways = (
        lambda name, row: wanted == name.lower(),
        lambda name, row: wanted == row.file.lower(),
        lambda name, row: name.lower().startswith(wanted),
        lambda name, row: wanted in row.configs,
        lambda name, row: wanted in name.lower(),
    )
    several: list[str] = []
    for fits in ways if wanted else ():
        found = [name for name, row in table.items() if fits(name, row)]
        if len(found) == 1:
            return found[0]
        several = several or found
    where = f"{COMMAND} weights lists all" if IS_INSTALLED else "python -m src.commands.weights lists all"
    if several:
        raise UserError(f"{plain(text)} may be {listed(several, SHOWN)}; give more of its name ({where})")
    nearest = difflib.get_close_matches(wanted, list(table), 1, 0.4) if len(wanted) <= LONGEST else []
    hint = f"did you mean {nearest[0]}?" if nearest else where
    raise UserError(f"{plain(text)} names no published weights; {hint}")


def _stem(file: str) -> str:
    return file.rpartition(".")[0] or file


def _telling_folder(row: Published, others: Sequence[Published]) -> str:
    """The folder nearest to the file in its address that none of the others has at its place; empty without one."""
    paths = [unquote(urlsplit(one.address).path).split("/")[-2:0:-1] for one in others]
    own = unquote(urlsplit(row.address).path).split("/")[-2:0:-1]
    for depth, folder in enumerate(own):
        if len({path[depth] if depth < len(path) else "" for path in paths}) == len(paths):
            return folder
    return ""


def _is_no_name(name: str) -> bool:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return True
    return not name or name.startswith((".", "-")) or "/" in name or "\0" in name or size > LONGEST
