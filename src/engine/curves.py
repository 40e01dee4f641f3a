"""The curves of a run for everybody: numbers as CSV, pictures as PNG."""

import contextlib
import csv
import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from ..errors import UserError
from ..files import write_bytes, write_text

logger = logging.getLogger(__name__)

Row = dict[str, float]


class CsvTable:
    """A CSV file of numbers that grows by rows, a step or an epoch each; the first row names the columns."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows at the end, all of them or none; the first call writes the header.

        Where they have other columns than the file, since a resumed run counts something else, it gets them all, empty
        where a row has none. UserError if they cannot be written.
        """
        if not rows:
            return
        text = io.StringIO(newline="")
        names = self._widened(rows)
        try:
            with open(self.path, "ab", buffering=0) as file:
                size = file.seek(0, io.SEEK_END)
                _write(text, rows, names, with_header=not size)
                left = text.getvalue().encode()
                try:
                    while left:  # where a disk gets full, a part is written first
                        left = left[file.write(left) :]
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from None

    def read(self) -> list[Row]:
        """All rows, NaN for an empty cell; lines that a kill or a broken disk has left incomplete are passed over."""
        return [row for _, row in self._lines()[1]]

    def cut(self, last_step: int) -> None:
        """Drop the rows after a global step, which a resumed run writes again, and what is no row.

        A file with lines that are no rows, but for a last one that a kill has cut off, is kept as `NAME.damaged` too.
        """
        if not self.path.exists():
            return
        header, lines = self._lines()
        content = self.path.read_bytes()
        whole_lines = content.count(b"\n")
        if content and whole_lines - 1 != len(lines):
            kept_as = self.path.with_name(f"{self.path.name}.damaged")
            write_bytes(kept_as, content)
            logger.warning(
                "%s: %d of its lines are no rows and are dropped; the file as it was is %s",
                self.path, max(whole_lines - len(lines), 1), kept_as.name,
            )  # fmt: skip
        kept = [line for line, row in lines if row["global_step"] <= last_step]
        if not kept:
            self.path.unlink()
            return
        write_text(self.path, "".join([header, *kept]))

    def _widened(self, rows: Sequence[Row]) -> list[str]:
        """The names of the file's columns, which has those of the rows from now on."""
        own, names = list(rows[0]), []
        if self.path.exists():
            with open(self.path, encoding="utf-8", errors="replace", newline="") as file:
                names = file.readline().rstrip("\n").split(",")
        if "global_step" not in names:
            return own
        new = [name for name in own if name not in names]
        if not new:
            return names
        header, lines = self._lines()
        text = [header.rstrip("\n"), *(line.rstrip("\n") + "," * len(new) for line, _ in lines)]
        text[0] += f",{','.join(new)}"
        write_text(self.path, "".join(f"{line}\n" for line in text))
        return names + new

    def _lines(self) -> tuple[str, list[tuple[str, Row]]]:
        """The header, and every whole row with its text."""
        if not self.path.exists():
            return "", []
        header, *lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) or [""]
        names = header.rstrip("\n").split(",")
        found = []
        for line in lines if "global_step" in names else ():
            cells = line.rstrip("\n").split(",")
            if len(cells) == len(names) and line.endswith("\n"):
                with contextlib.suppress(ValueError):
                    found.append((line, {name: float(cell or "nan") for name, cell in zip(names, cells)}))
        return header, found


def plot_losses(rows: Sequence[Row], path: Path) -> None:
    """The total, each loss, and the learning rate on an axis of its own, over steps."""
    pyplot = _pyplot()
    steps = [row["global_step"] for row in rows]
    figure, axis = pyplot.subplots(figsize=(9, 5), dpi=110)
    for name in [name for name in rows[0] if name.startswith("loss")]:
        values = _smooth([row[name] for row in rows])
        axis.plot(steps, values, label=name, linewidth=2.2 if name == "loss" else 1.1)
    axis.set_xlabel("step")
    axis.set_ylabel("loss (running mean)")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    rate_axis = axis.twinx()
    rate_axis.plot(steps, [row["lr"] for row in rows], color="0.6", linestyle="--", linewidth=1, label="lr")
    rate_axis.set_ylabel("learning rate")
    rate_axis.set_ylim(bottom=0)
    lines = axis.get_lines() + rate_axis.get_lines()
    axis.legend(lines, [line.get_label() for line in lines], loc="upper right")
    figure.tight_layout()
    _save(figure, path)


def plot_metrics(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """A panel for each of the metrics `names`, over epochs."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(names), figsize=(4.5 * len(names), 4), dpi=110, squeeze=False)
    for axis, name in zip(panels[0], names):
        axis.plot([row["epoch"] for row in rows], [row[name] for row in rows], marker="o", markersize=3)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("epoch")
        axis.set_title(name)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    _save(figure, path)


def _save(figure, path: Path) -> None:
    """Write a picture whole, or leave the one of before with a warning: a run does not end over it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png")
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("%s: the picture cannot be written (%s)", path, error.strerror)
        with contextlib.suppress(OSError):
            temporary.unlink()
    finally:
        _pyplot().close(figure)


def _write(file: TextIO, rows: Sequence[Row], names: Sequence[str], with_header: bool) -> None:
    writer = csv.DictWriter(file, names, lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _smooth(values: list[float], window: int = 20) -> list[float]:
    """Mean of each value and up to `window` - 1 before it."""
    smoothed = []
    for k in range(len(values)):
        part = values[max(0, k - window + 1) : k + 1]
        smoothed.append(sum(part) / len(part))
    return smoothed
