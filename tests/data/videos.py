"""Small videos whose frames tell which they are, written by OpenCV."""

from pathlib import Path

import cv2
import numpy as np

from src.process.environment import quiet_videos

CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80"}


def frame(number: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """(h, w, 3): grey of 10 times its number."""
    return np.full((*size, 3), number * 10, np.uint8)


def write_video(path: Path, count: int = 20, size: tuple[int, int] = (64, 96), rate: float = 10) -> Path:
    """Frames 0, 1, ...; path: of plain letters."""
    quiet_videos()  # FFmpeg looks at it once
    codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate, size[::-1])
    assert writer.isOpened()
    for number in range(count):
        writer.write(frame(number, size))
    writer.release()
    return path


def grey(image: np.ndarray) -> int:
    """The number of a frame, by its grey."""
    return round(float(image.mean()) / 10)
