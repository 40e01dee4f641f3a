"""Log lines: this project's to the terminal and to a file, MindSpore's own kept down."""

import datetime
import logging
import os
import sys
from pathlib import Path

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
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if log_file is not None:
        handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(_SeedFormatter())
        root.addHandler(handler)


class _SeedFormatter(logging.Formatter):
    """`[2023-08-16T06:57:11.629] INFO: text`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created)
        return f"[{moment.isoformat(timespec='milliseconds')}] {record.levelname}: {record.getMessage()}"
