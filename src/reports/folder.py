"""The folder of a report: whole or not at all, and never at the cost of a file that no report has written."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError, plain
from ..files import REPORT_FORMAT, TEMPORARY, require_readable, sweep, temporary_folder, write_text
from ..outputs import Inputs, check_output_files
from ..pages.page import PICTURES
from ..reading import is_folder, read_bytes, read_json

PAGE, FACTS = "index.html", "report.json"
HASHES = "sha256"  # in report.json, of the files of EDITED as they were written
OWN_NAME = re.compile(rf"(?:{PICTURES}/)?[\w-][\w.-]*", re.ASCII)  # of a file that a report writes
# By what report.json says.
KINDS = {"": "a report of an evaluation", "data": "a page of data", "comparison": "a comparison of two reports"}
EDITED = ("thresholds.yaml",)  # what people may write into: not replaced once they have
MOST_FACTS = 2**28  # bytes of report.json


def check_report_folder(key: str, folder: Path, inputs: Inputs, shared: Sequence[str] = (), kind: str = "") -> None:
    """UserError, in one line that begins with `key`, unless a report can be written into `folder`.

    A folder that exists is empty or holds an earlier report, which is replaced, and nothing else; of that no file of
    `EDITED` has been changed by hand. shared: the names of
    the report's files, where it may lie among others: none of them is there but of an earlier report. kind: see KINDS.
    """
    if os.path.lexists(folder) and not is_folder(folder):
        raise UserError(f"{key} {folder} is a file; give the name of a folder")
    check_output_files(key, folder, [], inputs)
    sweep(folder.parent, folder.name)
    own = set(report_files(folder))
    foreign = (name for name in _names_in(folder) if name not in own and not TEMPORARY.fullmatch(name))
    if shared:
        taken = {PAGE, FACTS, PICTURES, *shared}
        foreign = (name for name in foreign if name in taken or name.startswith(f"{PICTURES}/"))
    if (first := min(foreign, default=None)) is not None:
        raise UserError(f"{key} {folder} holds {plain(first)}, which no report has written: give another folder")
    if own and (found := read_facts(folder).get("kind", "")) != kind:
        raise UserError(f"{key} {folder} holds {KINDS.get(str(found), 'something else')}: give another folder")
    if edited := _edited(folder, own):
        words = "was edited since its report was written: move it elsewhere, or give another folder"
        raise UserError(f"{key} {folder}: {edited} {words}")


def check_page_folder(key: str, folder: Path, inputs: Inputs, kind: str) -> None:
    """The same for a page of another kind than an evaluation's, which lies in no folder of inputs either."""
    check_report_folder(key, folder, inputs, kind=kind)
    for name, place in inputs.folders:
        if place.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise UserError(f"{key} {folder} lies in {name}, where pages are no data: give another folder")


def write_report(folder: Path, fill: Callable[[Path], dict[str, Any]]) -> None:
    """A report in `folder`, in place of the one that is there.

    fill: writes its page, tables and pictures into an empty folder and gives the facts for `report.json`, which names
    all the files too. While one report takes the place of another there is no page. UserError if it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as new:
            facts = {"format": REPORT_FORMAT} | fill(new)
            files = sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())
            if odd := [name for name in files if not OWN_NAME.fullmatch(name)]:
                raise ValueError(f"{odd[0]!r} is no name for a report's file")
            if hashes := {name: _hash(new / name) for name in EDITED if name in files}:
                facts |= {HASHES: hashes}
            text = json.dumps(facts | {"files": sorted([*files, FACTS])}, indent=1, allow_nan=False)
            _replace(folder, new, files, text)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written ({error.strerror or error})") from None


def read_facts(folder: Path) -> dict[str, Any]:
    """`report.json` of a report. UserError where there is none, or a newer version's."""
    facts = read_json(folder / FACTS, MOST_FACTS)
    if not isinstance(facts, dict) or not isinstance(facts.get("files"), list):
        raise UserError(f"{folder / FACTS} is not of a report")
    require_readable(facts.get("format"), REPORT_FORMAT, folder / FACTS)
    return facts


def report_files(folder: Path) -> list[str]:
    """The files of the report in `folder`, relative to it; none where there is no report."""
    try:
        named = read_json(folder / FACTS, MOST_FACTS)
    except UserError:
        return []
    named = named.get("files") if isinstance(named, dict) else None
    named = named if isinstance(named, list) else []
    return [name for name in named if isinstance(name, str) and OWN_NAME.fullmatch(name)]


def _replace(folder: Path, new: Path, files: Sequence[str], text: str) -> None:
    """Whenever it ends, `report.json` names every file of either report that is still there."""
    before = report_files(folder)
    folder.mkdir(exist_ok=True)
    (folder / PAGE).unlink(missing_ok=True)
    write_text(folder / FACTS, json.dumps({"format": REPORT_FORMAT, "files": sorted({*before, *files, FACTS})}))
    for name in before:
        if name != FACTS:
            (folder / name).unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name == PAGE):
        if name == PAGE:
            write_text(folder / FACTS, text)
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(new / name, folder / name)
    if is_folder(folder / PICTURES) and not os.listdir(folder / PICTURES):
        os.rmdir(folder / PICTURES)


def _edited(folder: Path, own: Collection[str]) -> str:
    """A file of the report that is not what was written, "" where there is none; reports of before tell nothing."""
    hashes = read_facts(folder).get(HASHES) if own else None
    hashes = hashes if isinstance(hashes, dict) else {}
    return next((name for name in EDITED if name in hashes and _hash(folder / name) not in ("", hashes[name])), "")


def _hash(path: Path) -> str:
    """Of a file's content, "" where there is none."""
    return hashlib.sha256(read_bytes(path)).hexdigest() if os.path.lexists(path) else ""


def _names_in(folder: Path) -> Iterable[str]:
    """Everything in `folder`, and in its own folder of pictures, relative to it."""
    for name in os.listdir(folder) if is_folder(folder) else ():
        pictures = folder / name
        if name == PICTURES and is_folder(pictures) and not pictures.is_symlink():
            yield from (f"{PICTURES}/{one}" for one in os.listdir(pictures))
        else:
            yield name
