"""The predictions of a video's frames, drawn into an MP4."""

from collections.abc import Iterator
from pathlib import Path

from ..data.images import MAX_PIXELS
from ..data.video import Frame, Video, open_video, written_video
from ..errors import UserError
from ..outputs import Inputs, check_output_file
from .bars import bar
from .drawing import Drawing
from .frame_lines import FrameLine, read_frame_lines


def draw_video_file(
    pred_file: Path, video_file: Path, out: Path, drawing: Drawing, max_pixels: int = MAX_PIXELS, upright: bool = True
) -> int:
    """Write the frames of `video_file` that `pred_file` has predictions of, drawn, into the MP4 `out`; how many.

    It has the video's frames a second, over n where the predictions are of every n-th frame. upright: as the
    predictions were made. UserError where they are none of this video's.
    """
    check_output_file("video_out", out, Inputs((("pred_file", pred_file), ("video", video_file))))
    step = step_of(pred_file)
    drawn, lines = 0, read_frame_lines(pred_file)
    with (
        open_video(video_file, max_pixels, upright) as video,
        written_video(out, video.rate / step) as write,
        bar(-(-video.count // step), "frame") as progress,
    ):
        for line, frame in _paired(lines, video, step, pred_file):
            write(drawing(frame.bgr, line.entry))
            drawn += 1
            progress.update()
    return drawn


def step_of(pred_file: Path) -> int:
    """Of every how many frames there are predictions, by the first two."""
    numbers = [line.number for line, _ in zip(read_frame_lines(pred_file), range(2))]
    return numbers[1] - numbers[0] if len(numbers) > 1 else 1


def _paired(
    lines: Iterator[FrameLine], video: Video, step: int, pred_file: Path
) -> Iterator[tuple[FrameLine, Frame]]:
    """Each line with its frame. UserError where they are not of one video."""
    frames = video.frames(step)
    for line in lines:
        frame = next((one for one in frames if one.number >= line.number), None)
        if frame is None or frame.number != line.number:
            every = f" among every {step}-th" if step > 1 else ""
            raise UserError(f"{pred_file}: it has frame {line.number}, which {video} does not have{every}")
        if line.size != frame.bgr.shape[:2]:
            sizes = " and ".join(f"{width} x {height}" for height, width in (line.size, frame.bgr.shape[:2]))
            raise UserError(f"{pred_file}: it is not of {video}: frame {line.number} has {sizes} pixels")
        yield line, frame
