"""One file from a web server, whole or not at all; what is there of it after a break is kept, and the rest comes next.

A file goes on only where the server says that it is still the same one (its mark, by If-Range, and its size). What
comes is written and nothing more: nobody runs it.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from .. import __version__
from ..errors import UserError, one_line, plain
from ..files import write_text
from ..reading import parse_json, read_bytes

WAIT = 30.0  # seconds without a byte
BREAKS, PAUSE = 5, 1.0  # how often a broken connection is taken up again, and after how many seconds
CHUNK = 2**18  # bytes
MOST_BYTES = 2**34
MOST_NOTE = 2**16  # bytes of what is noted of a part
SCHEMES = ("http", "https")
KEPT = "%/:=&?~#+!$,;'@()*[]"  # of an address, whose other characters are written as servers want them
PART, NOTE = ".part", ".part.json"  # endings of a file that is not whole, and of what is known of it

Say = Callable[[str], None]


@dataclass
class Part:
    """What has come of a file. mark: of the server for this version of it; size: of the whole file; both if known."""

    path: Path
    address: str
    mark: str = ""
    size: int | None = None

    @property
    def have(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0


def is_web_address(address: str) -> bool:
    """Whether it is an http or https address of a server."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in SCHEMES and bool(parts.hostname) and address.isprintable() and " " not in address


def download(address: str, target: Path, by_hand: str, say: Say) -> tuple[Path, bool]:
    """(the whole file, beside `target` under the name NAME.part, whether it came in several pieces).

    by_hand: what to do instead, for messages. UserError, in one line, where the server does not give the file or is not
    there; what has come so far is kept, and the next call goes on from there.
    """
    if not is_web_address(address):
        raise UserError(f"{plain(address)} is no http or https address of a file: {by_hand}")
    part = _noted(target, address)
    pieces = int(part.have > 0)
    while True:
        pieces += 1
        before = part.have
        try:
            _receive(part, by_hand, say)
            return part.path, pieces > 1
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            if isinstance(error, OSError) and error.filename is not None:  # of the disk
                raise UserError(f"{error.filename}: cannot be written ({error.strerror})") from None
            if not part.have:
                raise UserError(f"{address} cannot be reached ({_reason(error)}): {by_hand}") from None
            came = f"{part.have / 1e6:.1f}{f' of {part.size / 1e6:.1f}' if part.size else ''} MB"
            if pieces > BREAKS or part.have <= before:
                raise UserError(
                    f"{address} broke off after {came} ({_reason(error)}): the same command goes on from there"
                ) from None
            say(f"{address} broke off after {came} ({_reason(error)}), it goes on")
            time.sleep(PAUSE)


def forget(target: Path) -> None:
    """Remove what there is of a download that is not whole."""
    for ending in (PART, NOTE):
        with contextlib.suppress(OSError):
            _beside(target, ending).unlink()


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def _noted(target: Path, address: str) -> Part:
    """The part that is there, if it is known of which file it is; otherwise none."""
    part = Part(_beside(target, PART), address)
    try:
        note = parse_json(read_bytes(_beside(target, NOTE), MOST_NOTE))
    except (OSError, ValueError):
        note = None
    if isinstance(note, dict) and note.get("address") == address:
        mark, size = note.get("mark"), note.get("size")
        if isinstance(mark, str) and mark.isprintable() and mark and (size is None or type(size) is int):
            part.mark, part.size = mark, size
    if not part.mark or (part.size is not None and part.have > part.size):
        forget(target)
        part.mark, part.size = "", None
    return part


def _receive(part: Part, by_hand: str, say: Say) -> None:
    """The rest of the file. OSError or HTTPException where the connection breaks."""
    if part.size is not None and part.have == part.size:
        return
    if not part.mark:
        _start_anew(part)
    headers = {"User-Agent": f"ms-vision-zoo/{__version__}", "Accept-Encoding": "identity"}
    if part.have:
        headers |= {"Range": f"bytes={part.have}-", "If-Range": part.mark}
    try:
        request = urllib.request.Request(quote(part.address, safe=KEPT), headers=headers)
        response = _opener().open(request, timeout=WAIT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.have:
            _start_anew(part)
            return _receive(part, by_hand, say)
        if str(error.reason).startswith(urllib.request.HTTPRedirectHandler.inf_msg):
            raise UserError(f"{part.address} leads on and on, round or too far: {by_hand}") from None
        what = f"{error.code} {' '.join(str(error.reason).split())[:80]}".strip()
        raise UserError(f"{part.address} answers {what}: {by_hand}") from None
    with response:
        goes_on = part.have > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        if goes_on and not _is_same(response, part):
            response.close()
            say(f"{part.address} is another file by now: it is downloaded from the beginning")
            _start_anew(part)
            return _receive(part, by_hand, say)
        if not goes_on:
            _begin(response, part, by_hand)
        say(f"{part.address}{f', {part.size / 1e6:.1f} MB' if part.size else ''}" + " goes on" * goes_on)
        _write(response, part)
    return None


def _begin(response: http.client.HTTPResponse, part: Part, by_hand: str) -> None:
    """Note what the server says of a file that comes from its beginning."""
    _start_anew(part)
    headers = response.headers
    if headers.get_content_type() == "text/html" or headers.get("Content-Encoding", "identity") != "identity":
        raise UserError(f"{part.address} gives a page and no file: {by_hand}")
    length = headers.get("Content-Length", "")
    part.size = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if part.size is None and not response.chunked:
        raise UserError(f"{part.address} does not say how long the file is, and so not when it is whole: {by_hand}")
    if part.size is not None and part.size > MOST_BYTES:
        raise UserError(f"{part.address} has {part.size:,} bytes, at most {MOST_BYTES:,} are taken")
    folder = part.path.parent
    free = shutil.disk_usage(folder).free
    if part.size is not None and part.size > free:
        raise UserError(f"{folder}: {free / 1e6:.0f} MB are free, {part.address} has {part.size / 1e6:.0f}")
    part.mark = _mark(headers)
    if part.mark:
        note = {"address": part.address, "mark": part.mark, "size": part.size}
        write_text(part.path.with_name(part.path.name.removesuffix(PART) + NOTE), json.dumps(note))


def _mark(headers: http.client.HTTPMessage) -> str:
    """What tells this version of a file from others, byte by byte; empty where the server gives nothing of the kind."""
    tag = headers.get("ETag", "")
    mark = tag if tag.startswith('"') else headers.get("Last-Modified", "")
    return mark if mark.isprintable() and len(mark) < 1000 else ""


def _is_same(response: http.client.HTTPResponse, part: Part) -> bool:
    """Whether a partial answer is the rest of the file that the part is of."""
    found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", ""))
    mark = _mark(response.headers)
    is_size = found and (part.size is None or found[2] in ("*", str(part.size)))
    return bool(is_size and int(found[1]) == part.have and mark in ("", part.mark))


def _write(response: http.client.HTTPResponse, part: Part) -> None:
    """Unbuffered, so that whatever ends this process leaves all that has come."""
    with open(part.path, "ab", buffering=0) as file, _bar(part) as update:
        have = part.have
        while chunk := response.read1(CHUNK):  # what has come, not what fills it
            have += len(chunk)
            if have > (MOST_BYTES if part.size is None else part.size):
                most = f"{part.size or MOST_BYTES:,} bytes"
                raise UserError(f"{part.address} gives more than the {most} that it may have")
            try:
                file.write(chunk)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(part.path)) from None
            update(len(chunk))
        os.fsync(file.fileno())
    if part.size is not None and have < part.size:
        raise http.client.IncompleteRead(b"", part.size - have)


def _start_anew(part: Part) -> None:
    target = part.path.with_name(part.path.name.removesuffix(PART))
    forget(target)
    part.mark, part.size = "", None


@contextlib.contextmanager
def _bar(part: Part) -> Iterator[Callable[[int], object]]:
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=part.size, initial=part.have, unit="B", unit_scale=True, desc=part.path.name[:40]) as bar:
        yield bar.update


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed"
    cause = getattr(error, "reason", error)
    return one_line(str(getattr(cause, "strerror", None) or cause or type(error).__name__))[:120]


def _opener() -> urllib.request.OpenerDirector:
    """Web addresses alone, wherever they lead: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    kinds = (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects,
        urllib.request.HTTPErrorProcessor, urllib.request.HTTPDefaultErrorHandler,
    )  # fmt: skip
    for kind in kinds:
        opener.add_handler(kind())
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To another web address, and never from one that nobody can listen to to one that anybody can change."""

    def redirect_request(self, request, file, code, message, headers, new_address):
        ends_secrecy = urlsplit(request.full_url).scheme == "https" and not new_address.startswith("https:")
        if not is_web_address(new_address) or ends_secrecy:
            raise UserError(f"{request.full_url} leads to {plain(new_address)}, which is not followed")
        return super().redirect_request(request, file, code, message, headers, new_address)
