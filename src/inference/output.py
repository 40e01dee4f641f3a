"""Predictions on image files as one JSON file."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UserError
from ..files import write_text

logger = logging.getLogger(__name__)

SHOWN = 5  # names a line lists


def write_entries(
    entries: Iterable[tuple[str | Path, dict | None]], output: Path, pred_input: str, count: int
) -> None:
    """Write {path: entry} of `count` images; an entry has `predictions`, and is None where an image cannot be read."""
    content, unreadable = {}, []
    for path, entry in entries:
        if entry is None:
            unreadable.append(path)
        else:
            content[str(path)] = entry
    report_unreadable(unreadable, pred_input, count)
    write_text(output, json.dumps(content, indent=1))
    predictions = sum(len(entry["predictions"]) for entry in content.values())
    logger.info("%d predictions on %d images written to %s", predictions, len(content), output)


def report_unreadable(unreadable: Sequence[str | Path], pred_input: str, count: int) -> None:
    """Name images that cannot be read; UserError if that is all `count` of them."""
    if unreadable:
        logger.warning("%d images cannot be read: %s", len(unreadable), ", ".join(map(str, unreadable[:SHOWN])))
    if len(unreadable) == count:
        raise UserError(f"{pred_input}: none of its {count} images can be read")
