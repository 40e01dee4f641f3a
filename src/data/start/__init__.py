"""A configuration to start from: what a folder of data holds, and the values that follow from it, each with a reason.

A task that can be started so is a file here that gives its choices, and a line in `STARTS`.
"""

from collections.abc import Callable

from . import classification, detection, segmentation
from .recipe import Choices, Wish
from .told import Told

STARTS: dict[str, Callable[[Told, Wish], Choices]] = {
    "detection": detection.choices,
    "segmentation": segmentation.choices,
    "classification": classification.choices,
}
