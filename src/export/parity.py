"""Whether an exported file gives the network's outputs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mindspore import nn

from ..errors import UserError
from ..inference.backends import ExportedModel, run_model
from ..models.detection.detections import BOXES_ALONE, Detections
from ..models.pointrend_segmentation import PointRendSegmenter
from .near_ties import Limits, near_ties

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of the largest output, where outputs are above 1
BOX_TOLERANCE = 0.01  # pixels
SCORE_TOLERANCE = 1e-4
MASK_TOLERANCE, MASK_CELLS_APART = 1e-3, 1e-3  # of a probability; share of cells that may be further apart
PAIR_DISTANCE = 0.1  # pixels
POINTS_APART = 1e-3  # share of the places of logits that are refined at points
UNPAIRED = 0.02  # share of detections that are no near ties themselves, but of proposals that are,
A_SWAP, MANY = 2, 10  # or so many of at least so many

Inputs = dict[str, np.ndarray]
Outputs = tuple[np.ndarray, ...]
Compare = Callable[[str, Outputs, Outputs, nn.Cell], str]  # (case, expected, found, network) -> line


def batches_of(cases: dict[str, Inputs], size: int) -> dict[str, Inputs]:
    """Cases of one image each as cases of `size` images: each begins with its own image, the others' follow in turn."""
    names = list(cases)
    if size == 1:
        return cases
    turned = {name: [cases[names[(place + k) % len(names)]] for k in range(size)] for place, name in enumerate(names)}
    return {
        name: {port: np.concatenate([one[port] for one in images]) for port in images[0]}
        for name, images in turned.items()
    }


def assert_parity(model, exported: ExportedModel, cases: dict[str, Inputs]) -> None:
    """Run both on every case and log the largest differences; UserError where they are above tolerance.

    The outputs that the network declares decide how they are compared. A detector that finds nothing on any case agrees
    without having been compared, which is said.
    """
    detected = False
    compare = COMPARISONS.get(tuple(model.output_names), compare_dense)
    for name, inputs in cases.items():
        expected, found = run_model(model, *inputs.values()), run_model(exported, *inputs.values())
        images = len(expected[0]) if compare is compare_detections else 1
        for image in range(images):
            case = name if images == 1 else f"{name}, image {image + 1} of {images}"
            own = [tuple(one[image : image + 1] for one in side) if images > 1 else side for side in (expected, found)]
            logger.info("%s: %s", case, compare(case, *own, model))
            detected = detected or compare is not compare_detections or len(valid_detections(own[0])[0]) > 0
    if not detected:
        logger.warning(
            "the network detects nothing on these images, so its detections were not compared: name images "
            "with objects by --val_dataset"
        )


def compare_dense(case: str, expected: Outputs, found: Outputs, model: nn.Cell | None = None) -> str:
    """Element by element, against the size of the output."""
    worst, limit = 0.0, TOLERANCE
    for left, right in zip(expected, found, strict=True):
        if left.shape != right.shape:
            raise UserError(f"{case}: the file gives {list(right.shape)}, the network {list(left.shape)}")
        difference = float(np.abs(left - right).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(left).max()))
        if not difference <= allowed:  # also for NaN
            raise UserError(
                f"{case}: the file differs from the network by {difference:.2e}, more than {allowed:.2e}; it is removed"
            )
        worst, limit = max(worst, difference), max(limit, allowed)
    return f"largest difference {worst:.2e} (allowed {limit:.2e})"


def compare_refined(case: str, expected: Outputs, found: Outputs, model: nn.Cell | None = None) -> str:
    """Place by place, as `compare_dense`, but a few may be further apart.

    Rounding decides which points come last among those that are looked at anew, and a point that one side alone has
    looked at has another value.
    """
    (left,), (right,) = expected, found
    if left.shape != right.shape:
        raise UserError(f"{case}: the file gives {list(right.shape)}, the network {list(left.shape)}")
    difference = np.abs(left - right).max(axis=1)
    allowed = TOLERANCE * max(1.0, float(np.abs(left).max()))
    apart = float((~(difference <= allowed)).mean())  # also for NaN
    if apart > POINTS_APART:
        raise UserError(
            f"{case}: the file differs from the network by more than {allowed:.2e} in {apart:.2%} of all places, more "
            f"than {POINTS_APART:.2%} (by {difference.max():.2e} at most); it is removed"
        )
    return f"{1 - apart:.3%} of all places within {allowed:.2e}, largest difference {difference.max():.2e}"


@dataclass(frozen=True)
class DetectionDifference:
    """Largest differences of detections that were paired: boxes in pixels, scores, mask probabilities, and the share
    of mask cells within `MASK_TOLERANCE`; unpaired: how many of either side have no partner, ties: of these the near
    ties (`near_ties.py`); has_masks: there are masks to compare.
    """

    count: int
    unpaired: int = 0
    box: float = 0.0
    score: float = 0.0
    mask: float = 0.0
    mask_cells: float = 1.0
    ties: int = 0
    has_masks: bool = True

    def __str__(self) -> str:
        ties = f" ({self.ties} of them near ties)" if self.unpaired else ""
        masks = f", masks {self.mask:.1e} ({self.mask_cells:.3%} of cells agree)" if self.has_masks else ""
        return (
            f"{self.count} detections, {self.unpaired} without a partner{ties}; largest differences: boxes "
            f"{self.box:.1e} px, scores {self.score:.1e}{masks}"
        )


def compare_detections(case: str, expected: Outputs, found: Outputs, model: nn.Cell | None = None) -> str:
    """Detections of one image, (1, D, ...) each as `TwoStageDetector.detections` gives them, with masks or without.

    Where `model` tells what chose them, near ties may differ.
    """
    difference = detection_difference(expected, found, _limits(model))
    allowed = max(UNPAIRED * difference.count, A_SWAP if difference.count >= MANY else 0)
    limits = (
        ("boxes", difference.box, BOX_TOLERANCE),
        ("scores", difference.score, SCORE_TOLERANCE),
        ("mask cells", 1.0 - difference.mask_cells, MASK_CELLS_APART),
        ("number of detections without a partner", difference.unpaired - difference.ties, allowed),
    )
    for what, value, limit in limits:
        if not value <= limit:
            raise UserError(
                f"{case}: the file differs from the network in its {what} by {value:.2e}, more than {limit:.2e} "
                f"({difference}); it is removed"
            )
    return str(difference)


def _limits(model: nn.Cell | None) -> Limits | None:
    selector = getattr(model, "selector", None)
    if selector is None:
        return None
    nms = selector.nms
    return Limits(selector.score_threshold, nms.iou_threshold, nms.max_output, selector.nms_class_agnostic)


def detection_difference(expected: Outputs, found: Outputs, limits: Limits | None = None) -> DetectionDifference:
    """How far apart the detections of one image are, paired by `pair_detections`; limits: what chose them."""
    left, right = valid_detections(expected), valid_detections(found)
    if len(left) != len(right):
        raise UserError(f"the file gives {len(right)} arrays of detections, the network {len(left)}")
    pairs = pair_detections(left, right)
    rows, partners = (list(side) for side in zip(*pairs)) if pairs else ([], [])
    count, unpaired = len(left[0]), len(left[0]) + len(right[0]) - 2 * len(pairs)
    alone = [k for k in range(count) if k not in rows], [k for k in range(len(right[0])) if k not in partners]
    ties = near_ties(left, right, alone, limits) if limits else 0
    has_masks = len(left) > len(BOXES_ALONE) - 1
    if not pairs:
        return DetectionDifference(count, unpaired, ties=ties, has_masks=has_masks)
    box, score = (float(np.abs(left[k][rows] - right[k][partners]).max()) for k in (0, 1))
    mask = np.abs(left[3][rows] - right[3][partners]) if has_masks else np.zeros(1)
    cells = float((mask <= MASK_TOLERANCE).mean())
    return DetectionDifference(count, unpaired, box, score, float(mask.max()), cells, ties, has_masks)


def pair_detections(left: Outputs, right: Outputs) -> list[tuple[int, int]]:
    """Every detection of the left with the nearest one of its class on the right, by their numbers.

    Either side: boxes (N, 4), scores, labels, ... . Nearly equal scores may stand in another order, so places do not
    tell; a detection without one within `PAIR_DISTANCE` has no partner.
    """
    free = set(range(len(right[0])))
    pairs = []
    for i in range(len(left[0])):
        near = [(np.abs(left[0][i] - right[0][j]).max(), j) for j in free if left[2][i] == right[2][j]]
        distance, j = min(near, default=(np.inf, -1))
        if distance <= PAIR_DISTANCE:
            free.remove(j)
            pairs.append((i, j))
    return pairs


def valid_detections(outputs: Outputs) -> Outputs:
    """boxes, scores, labels and, where there are any, masks of the slots of the one image that are in use."""
    boxes, scores, labels, valid, *masks = (output[0] for output in outputs)
    return boxes[valid], scores[valid], labels[valid], *(one[valid] for one in masks)


COMPARISONS: dict[tuple[str, ...], Compare] = {  # by the `output_names` of a network; element by element otherwise
    **dict.fromkeys((Detections._fields, BOXES_ALONE), compare_detections),
    PointRendSegmenter.output_names: compare_refined,
}
