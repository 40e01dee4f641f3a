"""Label formats of detection data. Each reader gives the common index, `index.DetectionIndex`.

A new format is a module with a reader and a line in `FORMATS`; `train_data_type` and `val_data_type` name it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ...config import Config
from ...errors import UserError
from . import coco, mindrecord
from .index import DetectionIndex


def dataset_key(cfg: Config, split: str) -> str:
    """The value of `train_dataset` or `val_dataset`."""
    return getattr(cfg, f"{split}_dataset")


@dataclass(frozen=True)
class Format:
    """read(cfg, split): the index of the configuration's training ('train') or validation ('val') data.

    It raises UserError for what is wrong with them. source(cfg, split): the folder or file that `read` looks at, empty
    where the configuration names none.
    """

    read: Callable[[Config, str], DetectionIndex]
    source: Callable[[Config, str], str] = dataset_key


FORMATS = {
    "coco": Format(coco.open_coco),
    "mindrecord": Format(mindrecord.open_mindrecord, mindrecord.record_folder),
}


def open_detection(cfg: Config, split: str) -> DetectionIndex:
    """The configuration's training ('train') or validation ('val') data. UserError for what is wrong with it."""
    return _format(cfg, split).read(cfg, split)


def detection_source(cfg: Config, split: str) -> str:
    """Where `open_detection` looks; empty where the configuration names nothing."""
    return _format(cfg, split).source(cfg, split)


def _format(cfg: Config, split: str) -> Format:
    name = getattr(cfg, f"{split}_data_type")
    if name not in FORMATS:
        raise UserError(f"{split}_data_type is {name!r}; it must be one of {', '.join(FORMATS)}")
    return FORMATS[name]
