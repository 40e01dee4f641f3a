"""pycocotools' evaluation of masks where some objects have a box alone."""

import numpy as np

from .table_eval import TableEval

ON = 0.5  # COCO's lowest threshold


class MaskEval(TableEval):
    """A predicted mask on an object without a mask is neither right nor wrong, at any threshold.

    It is on one if half of it lies in the object's box and no object with a mask is its own (IoU 0.5). A crowd region
    would have it wrong from the threshold on above the share of it that lies inside: a mask that is a pixel too wide on
    each side of a box of 20 x 20, 400 of its 484 pixels inside, would be wrong at 0.85, 0.90 and 0.95.
    """

    def overlaps(self, detections: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """(detections, objects), of regions 1 or what a crowd has, the share of the detection that lies inside."""
        overlaps = super().overlaps(detections, objects)
        regions = self.objects.is_bare[objects]
        if not regions.any():
            return overlaps
        masked = ~self.objects.is_crowd[objects]
        has_own = (overlaps[:, masked] >= ON).any(axis=1, keepdims=True)
        is_on = (overlaps[:, regions] >= ON) & ~has_own
        overlaps[:, regions] = np.where(is_on, 1.0, overlaps[:, regions])
        return overlaps
