"""The tasks by the name that the key `task` takes. A new one is a file beside these and a line here.

Each is imported when it is first asked for, and MindSpore with it: what needs neither does not wait for them.
"""

from collections import ChainMap
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config

if TYPE_CHECKING:
    from mindspore import nn

    from .reporting import Reporting
    from .task import Evaluator, Task

__all__ = ["TASKS", "Evaluator", "Task", "build_model", "evaluating"]


class _WhenAsked(MutableMapping):
    """By name an object, or the module of this room and the class in it of which one is made when it is asked for."""

    def __init__(self, **found: Any):
        self._found = found

    def __getitem__(self, name: str) -> Any:
        found = self._found[name]
        if isinstance(found, tuple):
            module, kind = found
            found = self._found[name] = getattr(import_module(f".{module}", __package__), kind)()
        return found

    def __setitem__(self, name: str, task: Any) -> None:
        self._found[name] = task

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


TASKS: MutableMapping[str, "Task"] = _WhenAsked(
    detection=("detection", "Detection"),
    segmentation=("segmentation", "Segmentation"),
    classification=("classification", "Classification"),
)
# What scores the predictions in `prediction_path`: of the tasks for which that takes no network a part of them.
SCORING = ChainMap(_WhenAsked(detection=("detection_scores", "DetectionScoring")), TASKS)


def build_model(cfg: Config) -> "nn.Cell":
    """The network that the configuration describes, freshly initialised."""
    return TASKS[cfg.task].build_model(cfg)


def evaluating(cfg: Config) -> "Task | Reporting":
    """What eval.py asks: the task, or the part of it that scores the predictions that are there already.

    With a checkpoint beside them it is the task: whether they are its own stands in the checkpoint, which MindSpore
    reads.
    """
    is_there = cfg.prediction_path and Path(cfg.prediction_path).exists()
    is_alone = is_there and not cfg.checkpoint_path and not cfg.format_only
    return (SCORING if is_alone else TASKS)[cfg.task]


def __getattr__(name: str) -> Any:
    if name in ("Evaluator", "Task"):
        return getattr(import_module(".task", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
