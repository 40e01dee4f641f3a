"""Diagrams for a page, as the bytes of PNG pictures."""

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

MOST_LABELS = 40  # classes of a confusion matrix whose numbers are still written into it
LONGEST_LABEL, LETTER = 32, 0.07  # letters of a name beside an axis, and the inches that one takes
DPI = 100


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, unit: bool = True) -> bytes:
    """Each line's (x, y) values by its name. unit: both axes go from 0 to 1."""
    figure, axis = _figure(6.4, 4.2)
    drawn = [axis.plot(across, up, linewidth=1.3)[0] for across, up in lines.values()]
    if unit:
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.02)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.3)
    if 0 < len(lines) <= 20:
        axis.legend(drawn, _labels(lines), fontsize=7, ncols=1 + len(lines) // 11)  # names with a _ before them too
    return _png(figure)


def histogram(values: Sequence[float], x: str, bins: int = 40, logarithmic: bool = False) -> bytes:
    """How many values lie where; logarithmic: bins of equal ratio, for positive values."""
    figure, axis = _figure(5.2, 3.2)
    values = np.asarray(values, np.float64)
    least, most = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if logarithmic and most > least > 0:
        axis.hist(values, bins=np.geomspace(least, most, bins))
        axis.set_xscale("log")
        _plain_numbers(axis.xaxis)
    else:
        around = 0.5 * (abs(least) or 1.0) if most == least else 0.0  # one bar, with its value in the middle
        axis.hist(values, bins=1 if around else bins, range=(least - around, most + around))
        axis.ticklabel_format(useOffset=False)
        if around:
            axis.set_xticks([least])
    axis.set_xlabel(x)
    axis.set_ylabel("count")
    return _png(figure)


def bars(counts: Mapping[str, float], x: str) -> bytes:
    """One bar a name, the first at the top."""
    labels = _labels(counts)
    figure, axis = _figure(5.0 + _room(labels), 1.0 + 0.24 * max(1, len(counts)))
    axis.barh(range(len(counts)), list(counts.values()))
    axis.set_yticks(range(len(counts)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(x)
    return _png(figure)


def confusion(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> bytes:
    """(R, C) counts: truth down, prediction across; coloured by the share of its row, the counts written in."""
    rows, columns = _labels(rows), _labels(columns)
    side = max(3.0, 0.42 * max(counts.shape))
    figure, axis = _figure(min(side + 1.0 + _room(rows), 40), min(side + 0.5 + _room(columns), 40))
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    if max(counts.shape) <= MOST_LABELS:
        for (row, column), value in np.ndenumerate(counts):
            if value:
                colour = "white" if share[row, column] > 0.6 else "black"
                axis.text(column, row, f"{int(value)}", ha="center", va="center", fontsize=7, color=colour)
    return _png(figure)


def _labels(names: Iterable[str]) -> list[str]:
    """Names as there is room for them beside an axis."""
    return [name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 3]}..." for name in names]


def _room(labels: Sequence[str]) -> float:
    """Inches for the longest label."""
    return LETTER * max(map(len, labels), default=0)


def _figure(width: float, height: float):
    """A figure of this size in inches, and its axis; none of pyplot's, which would keep it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="tight")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _plain_numbers(axis) -> None:
    """1, 2, 5, 10, 20, ... on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _png(figure) -> bytes:
    from matplotlib.ticker import FixedFormatter

    file = io.BytesIO()
    for axis in figure.axes:  # a name of a class is no formula
        named = [one for one in (axis.xaxis, axis.yaxis) if isinstance(one.get_major_formatter(), FixedFormatter)]
        for text in (*(label for one in named for label in one.get_ticklabels()), *axis.texts):
            text.set_parse_math(False)
        if axis.get_legend():
            for text in axis.get_legend().get_texts():
                text.set_parse_math(False)
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
