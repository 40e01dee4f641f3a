"""The outputs of a detector by name."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Detections(NamedTuple):
    """D slots an image, best first; arrays of a batch (B, D, ...) or of one image (D, ...).

    boxes (..., 4) xyxy in pixels of the network's input; scores; labels, 0-based classes; valid: which slots are used;
    masks (..., M, M) probabilities inside the boxes, or None for a detector without masks (it returns the
    other four).

    Networks return a plain tuple in this order: in graph mode a named tuple is made by falling back to the Python
    interpreter, and the export to MINDIR refuses it.
    """

    boxes: Any
    scores: Any
    labels: Any
    valid: Any
    masks: Any = None

    def of_image(self, i: int) -> "Detections":
        """The slots of one image of a batch."""
        return Detections(*(None if array is None else array[i] for array in self))


BOXES_ALONE = Detections._fields[:4]  # outputs of a detector without masks
ALONE = "boxes"  # a detector's third input where it is to give no more than these


def as_detections(outputs: Sequence[Any]) -> Detections:
    """What a detector, or an exported one, returned."""
    return Detections(*outputs)
