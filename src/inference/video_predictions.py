"""infer.py on a video: a line of JSON a frame, kept as they come, and an MP4 of the drawn frames.

Frames are read, predicted and drawn one after the other. A run that goes on takes the lines that are there and draws
their frames anew: the MP4 is written from its beginning.
"""

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..config import Config
from ..config.thresholds import read_thresholds
from ..data.pictures import Picture
from ..data.video import Frame, Source, Video, written_video
from ..errors import UserError
from ..process import signals
from .bars import bar
from .drawing import Drawing, Reached
from .find import Predict
from .frame_lines import as_line, entry_of, write_frame_lines
from .output import weights_and_keys
from .unfinished import describe_files, unfinished

logger = logging.getLogger(__name__)

DRAWN = ".mp4"


@dataclass(frozen=True)
class Outputs:
    """lines: the file of JSON lines; drawn: the MP4. One of them may be None."""

    lines: Path | None
    drawn: Path | None

    @classmethod
    def from_config(cls, cfg: Config, source: Source) -> "Outputs":
        """`draw` is the MP4 itself, or a folder that gets one with the video's name."""
        drawn = Path(cfg.draw)
        if cfg.draw and drawn.suffix.lower() != DRAWN:
            stem = source.stem if isinstance(source, Path) else f"camera{source}"
            drawn /= f"{stem}_pred{DRAWN}"
        return cls(Path(cfg.pred_output) if cfg.pred_output else None, drawn if cfg.draw else None)

    @property
    def main(self) -> Path:
        """What the lines are kept beside until all are there."""
        return self.lines or self.drawn


def write_video_predictions(
    cfg: Config, video: Video, predict: Predict, drawing: Drawing, outputs: Outputs, facts: dict[str, Any]
) -> None:
    """Write what is asked for of every `frame_step`-th frame, `max_frames` at most.

    facts: what decides about the predictions beside the checkpoint and the keys that matter to scores. A camera is
    watched until a signal ends it, or `max_frames` are there: its outputs are whole then too.
    """
    origin = weights_and_keys(cfg) | facts | _origin_of(cfg, video)
    total, reached = _expected(cfg, video), Reached(drawing.least, "draw_score_thr")
    with (
        _told_to_stop(video) as stop,
        unfinished(outputs.main, origin, total, cfg.test_batch_size, "frame") as part,
        bar(total or 0, "frame") as progress,
    ):
        frames = islice(_until(stop, video.frames(cfg.frame_step)), cfg.max_frames or None)
        with ExitStack() as stack:
            write = None
            if outputs.drawn:
                write = stack.enter_context(written_video(outputs.drawn, video.rate / cfg.frame_step))
            before = ((frame, line) for (_, line), frame in zip(part.entries(), frames))
            for is_new, items in ((False, before), (True, _predicted(predict, frames, video))):
                for frame, line in items:
                    if is_new:
                        part.append(frame.number, line)
                    if write:
                        reached.add(entry := entry_of(line))
                        write(drawing(frame.bgr, entry))
                    progress.update()
        if outputs.lines:
            write_frame_lines((line for _, line in part.entries()), outputs.lines)
        written = " and ".join(str(path) for path in (outputs.lines, outputs.drawn) if path)
        reached.tell()
        logger.info("%d frames of %s written to %s", part.done, video, written)
        part.remove()


def _predicted(predict: Predict, frames: Iterator[Frame], video: Video) -> Iterator[tuple[Frame, dict]]:
    """Each frame with its line; the next ones are read while the network is busy."""
    first = next(frames, None)
    if first is None:
        return
    waiting: deque[Frame] = deque()

    def pictures() -> Iterator[Picture]:
        for frame in _with_first(first, frames):
            waiting.append(frame)
            yield Picture(f"{video}, frame {frame.number}", frame.bgr)

    for name, found in predict(pictures()):
        if found is None:
            raise UserError(f"{name} cannot be predicted")
        frame = waiting.popleft()
        yield frame, as_line(frame.number, frame.seconds, frame.bgr.shape[:2], found.to_json())


def _with_first(first: Frame, others: Iterable[Frame]) -> Iterator[Frame]:
    yield first
    yield from others


def _origin_of(cfg: Config, video: Video) -> dict[str, Any]:
    least = cfg.infer_score_thr
    least = read_thresholds(least) if isinstance(least, str) else least
    name = f"{video}, {time.time()}" if video.is_camera else describe_files([(video.source,)])
    steps = {"frame_step": cfg.frame_step, "max_frames": cfg.max_frames}
    return {"video": name, "infer_score_thr": least} | steps


def _expected(cfg: Config, video: Video) -> int | None:
    """How many frames there will be, as far as the video says how many it has."""
    if not video.count:
        return cfg.max_frames or None
    count = -(-video.count // cfg.frame_step)
    return min(count, cfg.max_frames) if cfg.max_frames else count


@contextmanager
def _told_to_stop(video: Video) -> Iterator[threading.Event]:
    """While a camera is watched a signal ends the watching, not the program, which goes on to write what there is; it
    ends behind the block. The second signal ends it at once.
    """
    stop, numbers = threading.Event(), []

    def take(number: int) -> None:
        if numbers:
            signals.leave(128 + number, "interrupted")
        numbers.append(number)
        stop.set()

    with signals.told_to(take) if video.is_camera else nullcontext():
        yield stop
    if numbers:
        raise KeyboardInterrupt if numbers[0] == signal.SIGINT else SystemExit(128 + numbers[0])


def _until(stop: threading.Event, frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if stop.is_set():
            return
        yield frame
