"""Results that are written as they are found, into `NAME.part`: a run that was stopped or killed goes on from there.

The first line says what the results are of; a line an image follows, in the images' order:
`{"image": ..., "entry": ..., "crc32": ...}`. A line that is cut off or damaged, and what follows it, is dropped. While
a run is at work it holds the file, so that no other one writes into it.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..process import signals

logger = logging.getLogger(__name__)

ENDING = ".part"
FORMAT = 1
LONGEST_LINE = 2**28  # bytes
BEGINNING = b'{"unfinished": '
SHOWN = 3  # differences that an error names


class Unfinished:
    """The results of `total` images, `done` of which are there; None where nobody knows how many they will be.

    `unfinished` opens it.
    """

    def __init__(self, path: Path, file: int, total: int | None, offsets: list[int]):
        self.path, self.total, self._file = path, total, file
        self._offsets = offsets  # where each line ends, the first one too

    @property
    def done(self) -> int:
        return len(self._offsets) - 1

    def append(self, image: Any, entry: Any) -> None:
        """The next image's result, as JSON has it. UserError where it cannot be written; the file is as before then."""
        line = _line(self.done, image, entry)
        end = self._offsets[-1]
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._file, line[written:], end + written)
        except OSError as error:
            self._cut(end)
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); it is kept, and the same command goes on from it"
            ) from None
        self._offsets.append(end + len(line))

    def entries(self) -> Iterator[tuple[Any, Any]]:
        """(image, entry) of every line that is there, in order."""
        for start, end in zip(self._offsets, self._offsets[1:]):
            found = json.loads(os.pread(self._file, end - start, start))
            yield found["image"], found["entry"]

    def keep(self, count: int) -> None:
        """Only the first `count` images."""
        if count < self.done:
            del self._offsets[count + 1 :]
            self._cut(self._offsets[-1])

    def remove(self) -> None:
        """The results have got a place of their own."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _cut(self, length: int) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, length)


@contextlib.contextmanager
def unfinished(
    output: Path, origin: Mapping[str, Any], total: int | None, group: int = 1, what: str = "image"
) -> Iterator[Unfinished]:
    """`NAME.part` of the output NAME, new or to go on with, which is said; it stays unless it is removed.

    origin: what decides about the results, by name, see `describe_files`. group: images that the network sees together:
    a run goes on with a whole group, so that each image has the neighbours that it would have had. what: they are.
    UserError, and nothing is changed: the file is of another origin, or of another kind, or somebody writes it.
    """
    path = part_path(output)
    file = _open(path)
    try:
        part = _read(path, file, json.loads(json.dumps(dict(origin))), total)
        part.keep(part.done if part.done == total else part.done // group * group)
        of_all = f"{what}s" if total is None else f"of {total} {what}s"
        if part.done:
            logger.info("goes on after %d %s of %s", part.done, of_all, path)
        # A signal ends the process where it is, and no block with it (`process.signals.leave`).
        try:
            with signals.last_words(lambda: _tell_kept(part, of_all)):
                yield part
        except BaseException as error:
            if not part.done:
                part.remove()
            elif isinstance(error, KeyboardInterrupt | SystemExit):
                _tell_kept(part, of_all)
            raise
    finally:
        os.close(file)


def _tell_kept(part: Unfinished, of_all: str) -> None:
    if part.done:
        logger.info("%d %s are kept in %s: the same command goes on", part.done, of_all, part.path)


def part_path(output: Path) -> Path:
    """Where the results of the output are kept until all are there."""
    if output.name in ("", ".."):  # a folder as it is seen from within
        output = Path(os.path.abspath(output))
    return Path(f"{output}{ENDING}")


def describe_files(items: Iterable[tuple[Any, ...]]) -> str:
    """A hash over tuples in their order; of a path in them, over its text and over the size and time of the file."""
    digest = hashlib.sha256()
    for item in items:
        for one in item:
            digest.update(repr(_state(one) if isinstance(one, Path) else str(one)).encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _state(path: Path) -> tuple:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return str(path), None, None
    return str(path), found.st_size, found.st_mtime_ns


def _line(number: int, image: Any, entry: Any) -> bytes:
    """The line of image `number`, which is in its checksum: a line that has moved is none."""
    text = json.dumps({"image": image, "entry": entry})
    return f'{text[:-1]}, "crc32": {zlib.crc32(text.encode(), number)}}}\n'.encode()


def _open(path: Path) -> int:
    """The file, locked. UserError where it cannot be, or where another process has it."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except BlockingIOError:
            os.close(file)
            raise UserError(f"{path}: another command is writing it; wait for its end or give another output") from None
        except FileNotFoundError:
            pass  # whoever had it has just come to its end
        except OSError:
            return file  # a file system without locks
        os.close(file)


def _read(path: Path, file: int, origin: dict, total: int | None) -> Unfinished:
    """What is in the file, which is begun where it is empty. UserError where it is of another origin or kind."""
    with open(file, "rb", closefd=False) as stream:
        first = stream.readline(LONGEST_LINE)
        is_begun = first.endswith(b"\n")
        if first and not first.startswith(BEGINNING[: len(first)]) or (is_begun and not _is_ours(first)):
            raise UserError(f"{path} is no file of this command's, and in its way: move it or give another output")
        if not is_begun:
            return _begin(path, file, origin, total)
        _require_same(path, json.loads(first)["unfinished"], origin | {"format": FORMAT})
        offsets = [len(first)]
        while total is None or len(offsets) <= total:
            if not _is_whole(line := stream.readline(LONGEST_LINE), len(offsets) - 1):
                break
            offsets.append(offsets[-1] + len(line))
    part = Unfinished(path, file, total, offsets)
    part._cut(offsets[-1])
    return part


def _begin(path: Path, file: int, origin: dict, total: int | None) -> Unfinished:
    first = BEGINNING + json.dumps({"format": FORMAT} | origin).encode() + b"}\n"
    part = Unfinished(path, file, total, [len(first)])
    try:
        os.ftruncate(file, 0)
        if os.pwrite(file, first, 0) < len(first):
            raise OSError(0, "No space left on device")
    except OSError as error:
        part.remove()
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return part


def _is_ours(first: bytes) -> bool:
    try:
        return isinstance(json.loads(first)["unfinished"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_whole(line: bytes, number: int) -> bool:
    try:
        found = json.loads(line)
        return line == _line(number, found["image"], found["entry"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _require_same(path: Path, then: dict, now: dict) -> None:
    names = [name for name in {**now, **then} if then.get(name) != now.get(name)]
    if names:
        shown = [f"{name} ({_short(then.get(name))} then, {_short(now.get(name))} now)" for name in names[:SHOWN]]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise UserError(
            f"{path} holds the beginning of other results, with another {', '.join(shown)}{more}: remove it or give "
            "another output"
        )


def _short(value: Any) -> str:
    return "none" if value is None else f"{value!r:.60}"
