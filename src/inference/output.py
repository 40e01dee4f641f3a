"""Predictions on image files as one JSON file."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Config, score_settings
from ..errors import UserError
from ..files import written_whole
from .bars import bar
from .draw_inferred import InferredPictures
from .inputs import said
from .unfinished import Unfinished, describe_files, unfinished

logger = logging.getLogger(__name__)

SHOWN = 5  # names a line lists
Entries = Iterable[tuple[str | Path, dict | None]]  # image, what is found there; None where it cannot be read
Found = Callable[[], Iterable[tuple[str, dict]]]  # the readable images' entries, from the first one each time


def write_json(found: Found, output: Path) -> None:
    """What `json.dumps({...}, indent=1)` gives, one image after the other."""
    images = predictions = 0
    with written_whole(output, sync=True) as file:
        for path, entry in found():
            file.write(b",\n" if images else b"{\n")
            file.write(json.dumps({path: entry}, indent=1)[2:-2].encode())
            images, predictions = images + 1, predictions + len(entry["predictions"])
        file.write(b"\n}" if images else b"{}")
    logger.info("%d predictions on %d images written to %s", predictions, images, output)


def write_predictions(
    cfg: Config,
    paths: Sequence[Path],
    output: Path,
    predict: Callable[[Sequence[Path]], Entries],
    facts: Mapping[str, Any],
    group: int = 0,
    write: Callable[[Found, Path], None] | None = write_json,
    pictures: InferredPictures | None = None,
) -> None:
    """Write {path: entry} of the images `paths`; an entry has `predictions`, and is None where an image cannot be read.

    predict: entries of some of the images, in their order. They are kept as they come, and a run that was stopped goes
    on after them, see `unfinished`, whose group is `test_batch_size` unless it is given. facts: what decides about them
    beside the checkpoint and the keys that matter to scores. write: what makes the output of them once all are there,
    None for pictures alone. pictures: of each image, too; a run that goes on draws those of before anew.
    """
    with unfinished(output, origin_of(cfg, paths) | facts, len(paths), group or cfg.test_batch_size) as part:
        before = part.entries() if pictures else ()
        with bar(part.total, done=0 if pictures else part.done) as progress:
            for path, entry in before:
                pictures.write(path, entry)
                progress.update()
            for path, entry in predict(paths[part.done :]):
                part.append(str(path), entry)
                if pictures:
                    pictures.write(str(path), entry)
                progress.update()
        if pictures:
            pictures.finish()
        _finish(part, output, cfg.pred_input, write)


def write_entries(entries: Entries, output: Path, pred_input: str, count: int) -> None:
    """The same of `count` images from entries that are always worked out anew."""
    content = {str(path): entry for path, entry in entries}
    report_unreadable([path for path, entry in content.items() if entry is None], pred_input, count)
    write_json(lambda: ((path, entry) for path, entry in content.items() if entry is not None), output)


def origin_of(cfg: Config, paths: Sequence[Path]) -> dict[str, Any]:
    """What decides about the predictions on image files, by name."""
    return weights_and_keys(cfg) | {"images": f"{len(paths)}, {describe_files((path,) for path in paths)}"}


def weights_and_keys(cfg: Config) -> dict[str, Any]:
    """The checkpoint and every key that may change a prediction in its last digit."""
    from ..checkpoint import checkpoint_hash  # MindSpore's reader, which what only draws or scores does without

    others = ("fold_batchnorm", "backend", "device_target", "mode")
    named = score_settings(cfg) | {name: getattr(cfg, name) for name in others}
    named |= {"fast_inference": True} if cfg.fast_inference else {}  # what was begun before there was one is without
    return {"checkpoint": checkpoint_hash(cfg.checkpoint_path) if cfg.checkpoint_path else ""} | named


def report_unreadable(unreadable: Sequence[str | Path], pred_input: str | list[str], count: int) -> None:
    """Name images that cannot be read; UserError if that is all `count` of them."""
    if unreadable:
        logger.warning("%d images cannot be read: %s", len(unreadable), ", ".join(map(str, unreadable[:SHOWN])))
    if len(unreadable) == count:
        raise UserError(f"{said(pred_input)}: none of its {count} images can be read")


def _finish(
    part: Unfinished, output: Path, pred_input: str | list[str], write: Callable[[Found, Path], None] | None
) -> None:
    unreadable = [path for path, entry in part.entries() if entry is None]
    if len(unreadable) == part.total:
        part.remove()
    report_unreadable(unreadable, pred_input, part.total)
    if write is None:
        logger.info("%d pictures written to %s", part.total - len(unreadable), output)
    else:
        write(lambda: ((path, entry) for path, entry in part.entries() if entry is not None), output)
    part.remove()
