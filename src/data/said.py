"""What has been said already: a command opens its data several times, and says what is odd about them once."""

from collections.abc import Iterable

said_already: set[tuple[str, str]] = set()  # (source, line), in this process


def unsaid(source: object, lines: Iterable[str]) -> list[str]:
    """Those of the lines on `source` that nobody in this process has said yet; from now on they are said."""
    new = [(str(source), line) for line in lines if (str(source), line) not in said_already]
    said_already.update(new)
    return [line for _, line in new]
