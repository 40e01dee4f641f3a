"""Videos: the frames of a file or of a camera, one at a time, and MP4 files of frames.

OpenCV hands a name to FFmpeg, which opens more than files: addresses, lists that name other files, rows of pictures
(`a_%02d.jpg`). So a file is opened here, looked at, and handed on as an open file without a name.
"""

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError
from ..files import temporary_folder
from ..process.environment import quiet_videos
from ..reading import open_regular, read_start, why
from .images import MAX_PIXELS, SIZE_KEY

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
# What the containers begin with, and where: the boxes of MP4 and QuickTime, RIFF's AVI, EBML of Matroska and WebM.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
EBML = b"\x1aE\xdf\xa3"
LOOKED_AT = 12  # bytes
CAMERA = re.compile(r"[0-9]{1,3}")
USUAL_RATE = 25.0  # frames a second, where a video does not say
MOST_RATE = 1000.0
CODEC = cv2.VideoWriter_fourcc(*"mp4v")  # MPEG-4 part 2: the one that OpenCV's wheels can write into an MP4
OPEN_FILES = "/proc/self/fd"
FULL = "No space left on device"

Source = Path | int  # a file, or the number of a camera


@dataclass(frozen=True, eq=False)
class Frame:
    """number: 0, 1, ... of the frames that can be read; seconds: from the beginning; bgr: (h, w, 3) uint8."""

    number: int
    seconds: float
    bgr: np.ndarray


def is_video(path: str | Path) -> bool:
    """Whether a regular file has a video's suffix and begins as one."""
    with contextlib.suppress(OSError):
        return has_video_suffix(path) and _begins_as_video(read_start(path, LOOKED_AT))
    return False


def has_video_suffix(path: str | Path) -> bool:
    """Whether a file is called as a video, whatever it is."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def camera_number(text: str) -> int | None:
    """The number of a camera that a text names, if no file or folder has that name."""
    return int(text) if CAMERA.fullmatch(text) and not os.path.lexists(text) else None


class Video:
    """A video that is open; `open_video` gives it.

    height, width: of its frames as they are given, in pixels; rate: frames a second; count: how many frames its header
    tells, 0 if none are told.
    """

    def __init__(self, source: Source, capture: "cv2.VideoCapture", max_pixels: int):
        self.source, self._capture, self._max_pixels = source, capture, max_pixels
        self.width = _whole(capture, cv2.CAP_PROP_FRAME_WIDTH)
        self.height = _whole(capture, cv2.CAP_PROP_FRAME_HEIGHT)
        if self.width * self.height > max_pixels:
            raise UserError(
                f"{self}: its frames have {self.width} x {self.height} pixels, and {SIZE_KEY} is {max_pixels}"
            )
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0 < rate <= MOST_RATE else USUAL_RATE
        self.count = 0 if self.is_camera else _whole(capture, cv2.CAP_PROP_FRAME_COUNT)

    @property
    def is_camera(self) -> bool:
        return isinstance(self.source, int)

    def __str__(self) -> str:
        return f"camera {self.source}" if self.is_camera else str(self.source)

    def frames(self, step: int = 1) -> Iterator[Frame]:
        """Every `step`-th frame, the first one too; each is worked out when it is asked for.

        A file that ends before its header says so is said to. UserError where nothing can be read.
        """
        number, started = 0, time.monotonic()
        while self._capture.grab():
            if number % step == 0:
                was_read, image = self._capture.retrieve()
                if not was_read or image is None:
                    break
                self._require_size(image)
                # OpenCV knows the time of the frame that it has just taken.
                seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if self.is_camera or not math.isfinite(seconds) or seconds < 0:
                    seconds = time.monotonic() - started if self.is_camera else number / self.rate
                yield Frame(number, round(seconds, 6), np.ascontiguousarray(image))
            number += 1
        if not number:
            raise UserError(f"{self}: not one frame can be read")
        if number + 1 < self.count:
            logger.warning("%s ends after %d of %d frames: it is cut off or damaged", self, number, self.count)

    def _require_size(self, image: np.ndarray) -> None:
        """A video may change the size of its frames in its midst."""
        height, width = image.shape[:2]
        if height * width > self._max_pixels:
            raise UserError(f"{self}: a frame has {width} x {height} pixels, and {SIZE_KEY} is {self._max_pixels}")


@contextlib.contextmanager
def open_video(source: Source, max_pixels: int = MAX_PIXELS, upright: bool = True) -> Iterator[Video]:
    """The video of a file or of a camera; UserError for what is none, and for frames of more than `max_pixels`.

    upright: frames are turned as the file says (telephones), instead of given as they are stored.
    """
    quiet_videos()
    with contextlib.ExitStack() as stack:
        if isinstance(source, int):
            capture = cv2.VideoCapture(source)
        else:
            capture = cv2.VideoCapture(stack.enter_context(_named(source)), cv2.CAP_FFMPEG)
        stack.callback(capture.release)
        if not capture.isOpened():
            if isinstance(source, int):
                raise UserError(f"camera {source} cannot be opened: there is none, or another program has it")
            raise UserError(f"{source}: no video that OpenCV reads, or cut off (an MP4's list of frames comes last)")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(upright))
        yield Video(source, capture, max_pixels)


@contextlib.contextmanager
def written_video(path: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """write(picture) for the frames of an MP4 file, (h, w, 3) uint8 BGR, which becomes `path` once the block has ended
    well, and nothing otherwise.

    rate: frames a second. The first picture says how large the frames are; others are made so large. UserError where
    the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(temporary_folder(path))
            writer = _Writer(path, folder, rate)
        except OSError as error:
            raise _not_written(path, error.strerror) from error
        stack.callback(writer.release)
        yield writer.write
        writer.release()
        writer.require_whole()
        try:
            os.replace(folder / _Writer.NAME, path)
        except OSError as error:
            raise _not_written(path, error.strerror) from error


class _Writer:
    """OpenCV's, which says nothing of what it could not write: that is found out here."""

    NAME = "frames.mp4"

    def __init__(self, path: Path, folder: Path, rate: float):
        self._path, self._folder, self._rate = path, folder, rate
        self._descriptor = os.open(folder, os.O_RDONLY)
        # A name of plain letters: OpenCV falls over those that are no text.
        is_there = os.path.isdir(OPEN_FILES)
        self._name = f"{OPEN_FILES}/{self._descriptor}/{self.NAME}" if is_there else os.fspath(folder / self.NAME)
        self._writer, self._size, self._count = None, (0, 0), 0

    def write(self, picture: np.ndarray) -> None:
        if self._writer is None:
            quiet_videos()
            self._size = picture.shape[1::-1]
            even = tuple(side + side % 2 for side in self._size)  # the codec knows no others
            self._writer = cv2.VideoWriter(self._name, cv2.CAP_FFMPEG, CODEC, self._rate, even)
            if not self._writer.isOpened():
                self._fail()
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        right, bottom = (side % 2 for side in self._size)
        if right or bottom:
            picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        self._writer.write(picture)
        self._count += 1
        if not os.fstatvfs(self._descriptor).f_bavail:
            self._fail()

    def release(self) -> None:
        if self._writer is not None:
            self._writer.release()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def require_whole(self) -> None:
        """UserError unless all frames are in the file."""
        if not self._count:
            raise UserError(f"{self._path}: there are no frames to be written")
        with contextlib.suppress(UserError), open_video(self._folder / self.NAME) as video:
            if video.count == self._count:
                return
        self._fail()

    def _fail(self) -> None:
        is_full = not os.statvfs(self._folder).f_bavail
        raise _not_written(self._path, FULL if is_full else "OpenCV has no MPEG-4 for it, or the disk takes no more")


def _not_written(path: Path, reason: str | None) -> UserError:
    return UserError(f"{path}: cannot be written ({reason})")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[str]:
    """What OpenCV is to open: the file, whatever its name is."""
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({why(error)})") from None
    with file:
        if not _begins_as_video(file.read(LOOKED_AT)):
            kinds = ", ".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
            raise UserError(f"{path} is no video: it does not begin as one ({kinds})")
        yield f"{OPEN_FILES}/{file.fileno()}" if os.path.isdir(OPEN_FILES) else os.path.abspath(path)


def _begins_as_video(start: bytes) -> bool:
    return start[4:8] in BOXES or (start[:4] == b"RIFF" and start[8:] == b"AVI ") or start.startswith(EBML)


def _whole(capture: "cv2.VideoCapture", key: int) -> int:
    value = capture.get(key)
    return int(value) if math.isfinite(value) and value > 0 else 0
