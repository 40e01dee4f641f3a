"""The tasks by the name that the key `task` takes. A new one is a file beside these and a line here."""

from mindspore import nn

from ..config import Config
from .classification import Classification
from .detection import Detection
from .segmentation import Segmentation
from .task import Evaluator, Task

__all__ = ["TASKS", "Evaluator", "Task", "build_model"]

TASKS: dict[str, Task] = {task.name: task for task in (Detection(), Segmentation(), Classification())}


def build_model(cfg: Config) -> nn.Cell:
    """The network that the configuration describes, freshly initialised."""
    return TASKS[cfg.task].build_model(cfg)
