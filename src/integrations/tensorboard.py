"""A run's numbers and pictures as event files for TensorBoard, in tensorboardX's format.

Its `SummaryWriter` is passed by: where a disk is full the thread that it writes with ends, and whoever writes next
waits for ever. What is written here is on the disk when a method returns, and nothing of it lies in a forked worker.
"""

import importlib.util
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError
from .mlflow import POSITION

logger = logging.getLogger(__name__)

VERSION = "brain.Event:2"  # of the file's format
EVENTS = "events.out.tfevents."


class TensorboardRecord:
    """Events of one run in `folder`. UserError if the package is not there.

    done: steps that are done already; points after them, of a run that went further, are no longer shown.
    """

    def __init__(self, folder: Path, done: int):
        if importlib.util.find_spec("tensorboardX") is None:
            raise UserError("tensorboard is switched on, but the package is missing: pip install tensorboardX")
        from tensorboardX import RecordWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self.folder, self._file = folder, None
        is_new = not any(folder.glob(f"{EVENTS}*"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{EVENTS}{time.time():017.6f}.{socket.gethostname()}"  # in the order of their names they are read
            self._file = RecordWriter(str(folder.resolve() / name))
        except OSError as error:
            self._give_up(error)
        self._put([self._event(wall_time=time.time(), file_version=VERSION)])
        if not is_new:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._put([self._event(wall_time=time.time(), step=done + 1, session_log=start)])

    def write_losses(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Rows of losses.csv: every column as `train/NAME`."""
        numbers = [{f"train/{name}": one for name, one in row.items() if name not in POSITION} for row in rows]
        self._put([self._scalars(int(row["global_step"]), one) for row, one in zip(rows, numbers)])

    def write_epoch(self, step: int, loss: float, metrics: Mapping[str, float]) -> None:
        """An epoch's mean loss as `epoch/train_loss`, and every metric of its evaluation as `eval/NAME`."""
        metrics = {f"eval/{name}": value for name, value in metrics.items()}
        self._put([self._scalars(step, {"epoch/train_loss": loss} | metrics)])

    def write_pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """(h, w, 3) uint8 BGR by name, as `pictures/NAME`."""
        for name, picture in pictures.items():
            content = cv2.imencode(".jpg", picture)[1].tobytes()
            height, width = picture.shape[:2]
            image = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
            tag = f"pictures/{name.encode(errors='replace').decode()}"  # file names may hold what is no text
            summary = self._summary(value=[self._summary.Value(tag=tag, image=image)])
            self._put([self._event(wall_time=time.time(), step=step, summary=summary)])

    def close(self) -> None:
        """The run is over."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _scalars(self, step: int, numbers: Mapping[str, float]):
        values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        return self._event(wall_time=time.time(), step=step, summary=self._summary(value=values))

    def _put(self, events: list) -> None:
        if self._file is None:
            return
        try:
            for event in events:
                self._file.write(event.SerializeToString())
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """A run goes on without curves that cannot be written; that is said once."""
        logger.warning("%s: events for TensorBoard cannot be written (%s)", self.folder, error.strerror)
        self._file = None
