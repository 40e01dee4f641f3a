"""Log lines: this project's to the terminal and to a file, MindSpore's own kept down."""

import datetime
import errno
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

PACKAGE = __name__.partition(".")[0]  # whose loggers are meant; its name differs in an installed wheel


def quiet_logs() -> None:
    """Only errors from MindSpore, unless GLOG_v says otherwise; from its C++ side where it is not imported yet."""
    if "GLOG_v" not in os.environ:
        os.environ.setdefault("GLOG_v", "3")
        logging.getLogger(f"ME.mindspore.log.{os.getpid()}").setLevel(logging.ERROR)  # which may have read it already


def start_logging(log_file: Path | None = None) -> None:
    """Send this project's log lines to the terminal and, where given, to a file."""
    root = logging.getLogger(PACKAGE)
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [_Terminal(sys.stdout)]
    if log_file is not None:
        handlers.append(_LogFile(log_file, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(_SeedFormatter())
        root.addHandler(handler)


def outlive_the_terminal() -> None:
    """From now on the program goes on where nobody reads what it prints (`| head`, a closed terminal, a full disk)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            setattr(sys, name, _Lasting(stream))


class _Lasting:
    """A text stream that is silent once it cannot be written."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._be_silent(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._be_silent(error)

    def _be_silent(self, error: OSError) -> None:
        """What was not written yet goes nowhere, else the interpreter's end fails over it."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if error.errno not in (errno.EPIPE, errno.EIO):  # nobody has gone: somebody will look for the lines
            logging.getLogger(PACKAGE).warning("what is printed gets lost from here on (%s)", error.strerror)


class _Terminal(logging.StreamHandler):
    """Lines that nobody reads any more (`| head -1`) end nothing. A bar makes room for a line, and comes after it."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _LogFile(logging.FileHandler):
    """The log of a run, which goes on without a log that cannot be written; that is said once."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._is_lost = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_lost:
            self._is_lost = True
            print(f"warning: {self.baseFilename} cannot be written ({error.strerror})", file=sys.stderr, flush=True)


class _SeedFormatter(logging.Formatter):
    """`[2023-08-16T06:57:11.629] INFO: text`; the text alone of a record that is marked as plain (`log_words`)."""

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "plain", False):
            return record.getMessage()
        moment = datetime.datetime.fromtimestamp(record.created)
        return f"[{moment.isoformat(timespec='milliseconds')}] {record.levelname}: {record.getMessage()}"
