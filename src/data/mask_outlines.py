"""Masks as polygons, which annotation tools show and people correct; a hole is cut open to the outside by a slit.

The outline of a bitmap runs along the edges of its pixels: pixel (x, y) is the square from (x, y) to (x + 1, y + 1), so
that COCO's rasterising gives the same pixels again. It is then simplified as far as nothing that matters is lost.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .rle import moved

KEPT = 0.98  # share of a mask that its largest parts hold: smaller ones are specks; no more of it is filled holes
OUTSIDE = 0.05  # share of the side of a mask's box that a speck may reach out of that of the other parts, or a pixel
TOLERANCES = (1.0, 0.75, 0.5)  # pixels that a simplified outline may be off
LEAST_IOU = 0.96  # of what is simplified with the mask; the strictest threshold of COCO's scores is 0.95


def mask_outlines(mask: dict, kept: float = KEPT, tolerances: Sequence[float] = TOLERANCES) -> list[list[float]]:
    """Polygons x, y, x, y, ... in pixels of a compressed RLE, the largest part first; none of an empty mask.

    kept: 1 keeps every part and hole. tolerances: the first one is taken whose outlines reach `LEAST_IOU`; without any
    the outline is exact.
    """
    parts = _parts(mask, kept)
    for tolerance in tolerances if parts else ():
        simple = [_polygon(outer, holes, tolerance) for outer, holes in parts]
        if _iou(mask, simple) >= LEAST_IOU:
            return simple
    return [_polygon(outer, holes, 0.0) for outer, holes in parts]


def _parts(mask: dict, kept: float) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """(outer ring, rings of its holes) of the parts that are kept; a ring is (n, 2) int32 x, y of pixels' corners."""
    left, top, width, height = (int(side) for side in coco_mask.toBbox(mask))
    if not width * height:
        return []
    bits = coco_mask.decode(moved(mask, (height, width), (-top, -left)))  # however large the image is
    # Each pixel as four: the contour through their centres then knows on which side of a pixel it runs.
    fourfold = cv2.copyMakeBorder(np.repeat(np.repeat(bits, 2, 0), 2, 1), 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    contours, tree = cv2.findContours(fourfold, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [(contour[:, 0] + 1) // 2 - 1 + np.int32([left, top]) for contour in contours]
    areas = [_area(ring) for ring in rings]
    parents = tree[0][:, 3]
    total = float(bits.sum())
    small = _within(sorted((areas[k], k) for k in np.flatnonzero(parents >= 0)), (1 - kept) * total)
    holes: dict[int, list[int]] = {k: [] for k in np.flatnonzero(parents < 0).tolist()}
    for k in np.flatnonzero(parents >= 0).tolist():
        holes[int(parents[k])].append(k)
    sizes = sorted((areas[k] - sum(areas[hole] for hole in holes[k]), k) for k in holes)
    specks = _inside(_within(sizes, (1 - kept) * total), {k: rings[k] for k in holes})
    largest = [k for _, k in reversed(sizes) if k not in specks]
    return [(rings[k], [rings[hole] for hole in holes[k] if hole not in small]) for k in largest]


def _within(sizes: Sequence[tuple[float, int]], most: float) -> set[int]:
    """As many of (size, number), ascending, as together reach no more than `most`."""
    together = np.cumsum([size for size, _ in sizes])
    return {number for (_, number), size in zip(sizes, together) if size <= most}


def _inside(specks: set[int], outer: dict[int, np.ndarray]) -> set[int]:
    """Those specks without which the box around all outer rings is nearly the same."""
    if not specks:
        return specks
    rest = np.concatenate([ring for k, ring in outer.items() if k not in specks])
    low, high = rest.min(0), rest.max(0)
    slack = np.maximum(OUTSIDE * (high - low), 1.0)
    return {k for k in specks if (outer[k].min(0) >= low - slack).all() and (outer[k].max(0) <= high + slack).all()}


def _area(ring: np.ndarray) -> float:
    x, y = ring.astype(np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _polygon(outer: np.ndarray, holes: Sequence[np.ndarray], tolerance: float) -> list[float]:
    ring = _simple(outer, tolerance)
    # From left to right: what lies on a hole's left is in the ring already.
    for hole in sorted((_simple(one, tolerance) for one in holes), key=lambda one: one[:, 0].min()):
        ring = _cut_open(ring, hole)
    return ring.astype(np.float64).ravel().tolist()


def _simple(ring: np.ndarray, tolerance: float) -> np.ndarray:
    ring = ring[(ring != np.roll(ring, 1, 0)).any(1)]
    simple = cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0]
    return simple if len(simple) > 2 else ring


def _cut_open(ring: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The ring, and the hole in it, joined by a slit of no width from the hole's leftmost point to the left."""
    start = int(hole[:, 0].argmin())
    x, y = hole[start].astype(np.float64)
    ahead = np.roll(ring, -1, 0).astype(np.float64)
    (x1, y1), (x2, y2) = ring.astype(np.float64).T, ahead.T
    crosses = (np.minimum(y1, y2) <= y) & (y < np.maximum(y1, y2))
    at = x1 + (x2 - x1) * np.divide(y - y1, y2 - y1, out=np.zeros_like(y1), where=y1 != y2)
    at = np.where(crosses & (at <= x), at, -np.inf)
    edge = int(at.argmax())
    if at[edge] == -np.inf:  # of simplified rings a hole may reach over the ring
        return ring
    corner = np.array([[at[edge], y]])
    around = np.roll(hole, -start, 0)
    return np.concatenate([ring[: edge + 1], corner, around, around[:1], corner, ring[edge + 1 :]])


def _iou(mask: dict, polygons: list[list[float]]) -> float:
    drawn = coco_mask.merge(coco_mask.frPyObjects(polygons, *mask["size"]))
    return float(coco_mask.iou([drawn], [mask], [0])[0, 0])
