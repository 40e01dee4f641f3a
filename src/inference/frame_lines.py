"""What infer.py writes of a video: a line of JSON a frame, in their order.

`{"frame": 12, "time": 0.48, "height": 720, "width": 1280, "predictions": [...]}`; a segmenter's have `classes`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..data.formats.fields import number
from ..errors import UserError, short
from ..files import written_whole
from ..reading import open_regular, parse_json, read_start, why
from .prediction_entries import problem_of, problem_of_map, problem_of_size

LONGEST_LINE = 2**28  # bytes
BEGINNING = b'{"frame": '


@dataclass(frozen=True)
class FrameLine:
    """number: of the frame in its video, from 0; seconds: from its beginning; size: height and width in pixels; entry:
    as that of an image.
    """

    number: int
    seconds: float
    size: tuple[int, int]
    entry: dict


def as_line(number: int, seconds: float, size: tuple[int, int], entry: dict) -> dict:
    """A frame's line, as JSON has it. size: its height and width in pixels."""
    return {"frame": number, "time": seconds, "height": size[0], "width": size[1]} | entry


def write_frame_lines(lines: Iterable[dict], output: Path) -> None:
    """Write lines that `as_line` gave, whole or not at all."""
    with written_whole(output, sync=True) as file:
        for line in lines:
            file.write(json.dumps(line).encode() + b"\n")


def is_of_video(path: str | Path) -> bool:
    """Whether a file begins as one of lines, not as that of images."""
    try:
        return read_start(path, len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def read_frame_lines(path: Path) -> Iterator[FrameLine]:
    """The lines, one after the other, each checked as far as drawing needs it. UserError, naming file and line."""
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({why(error)})") from None
    before = -1
    with file:
        for place, content in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
            if not content.strip():
                continue
            line = _checked(content, before, f"{path}, line {place}")
            before = line.number
            yield line
    if before < 0:
        raise UserError(f"{path} has no lines: infer.py writes one a frame of a video")


def _checked(content: bytes, before: int, where: str) -> FrameLine:
    """UserError for what is no line of a frame that comes after number `before`."""
    if len(content) > LONGEST_LINE:
        raise UserError(f"{where}: is longer than {LONGEST_LINE:,} bytes")
    try:
        found = parse_json(content)
    except ValueError as error:
        raise UserError(f"{where}: not the JSON that infer.py writes of a video ({error}); is it cut off?") from None
    if not isinstance(found, dict) or type(found.get("frame")) is not int:
        raise UserError(f"{where}: not a frame of a video, as infer.py writes it: {short(found)}")
    seconds = None if isinstance(found.get("time"), str) else number(found.get("time"))
    if found["frame"] <= before or seconds is None:
        problem = f"frame {short(found['frame'])} at time {short(found.get('time'))}"
        raise UserError(f"{where}: {problem} after frame {before}; frames stand in their order")
    entry = entry_of(found)
    problem = problem_of_size(found) or (problem_of_map if "classes" in entry else problem_of)(entry)
    if problem:
        raise UserError(f"{where}: not the structure infer.py writes ({problem})")
    return FrameLine(found["frame"], seconds, (found["height"], found["width"]), entry)


def entry_of(line: dict) -> dict:
    """What a line says of its frame, as the entry of an image: that of a classifier has no size."""
    entry = {key: value for key, value in line.items() if key not in ("frame", "time")}
    found = entry.get("predictions")
    if isinstance(found, list) and found and all(isinstance(one, dict) and "class" not in one for one in found):
        entry = {key: value for key, value in entry.items() if key not in ("height", "width")}
    return entry
