"""Labels that are likely wrong, by what a detector sees: a list to go through, the likeliest first.

A detector that has learned from many labels disagrees with a few: where it is sure of something that has no label, or
finds nothing where one is. Each entry has a suspicion from 0 to 1, so that all kinds mix in one list. Of detections
from a score of 0.3 on:

- missing: a detection for which there is no label: it overlaps no object to the threshold, none of its class that is
  still free to be its own, no better detection, and lies in no crowd region: its score x (1 - the best IoU with any
  object)
- class: a detection on an object of another class, of whose own class nothing better is there: its score x IoU x what
  is left of the label (1 - the score of the detection that takes it) x the share below
- moved: a detection that touches an object of its class (IoU from 0.1 on) which none takes: its score x (1 - IoU)

And where none of these is about an object, nor any detection takes it:

- unfound: (1 - the best score x IoU of any detection, of whatever class and score) x the share below

The share is that of the objects of its class and size that are found: a detector that overlooks many tells little.
Of entries about one object the likeliest stays.
"""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from .detection_matches import BACKGROUND, CONFUSION, LOCALISATION, Matches

KINDS = ("missing", "class", "moved", "unfound")
AREAS = (32**2, 96**2)  # pixels, between small, medium and large objects, as COCO has them
LEAST = 0.1  # suspicion of an entry
SURE = 0.3  # score of a detection that says so
IN_CROWD = 0.5  # share of a detection that may be one of a crowd


@dataclass(frozen=True)
class LabelError:
    """detection, item: indices of the detection that says so and of the object that is meant; -1 for none."""

    kind: str
    suspicion: float
    image: int
    detection: int
    item: int


def likely_label_errors(matches: Matches) -> list[LabelError]:
    """All with a suspicion of 0.1 at least, likeliest first, of equal ones those of the first image."""
    found = [*_missing(matches), *_about_objects(matches)]
    found = [one for one in found if one.suspicion >= LEAST]
    return sorted(found, key=lambda one: (-one.suspicion, one.image, KINDS.index(one.kind), one.detection, one.item))


def _missing(matches: Matches) -> list[LabelError]:
    is_free = np.append(matches.taker < 0, False)  # nothing, the target -1, is not
    is_alone = np.isin(matches.outcome, (BACKGROUND, LOCALISATION)) & ~is_free[matches.target]
    is_missing = is_alone & (matches.touching < matches.iou_threshold) & (matches.in_crowd < IN_CROWD)
    found: list[LabelError] = []
    seen = np.flatnonzero(matches.score >= SURE)
    for part in np.split(seen, np.flatnonzero(np.diff(matches.image[seen])) + 1):
        if not is_missing[part].any():
            continue
        overlaps = np.asarray(coco_mask.iou(matches.box[part], matches.box[part], [0] * len(part)))
        is_first = ~(np.tril(overlaps, -1) >= matches.iou_threshold).any(axis=1)  # nothing better lies on it
        for detection in part[is_first & is_missing[part]].tolist():
            suspicion = matches.score[detection] * (1 - matches.touching[detection])
            found.append(LabelError("missing", float(suspicion), int(matches.image[detection]), detection, -1))
    return found


def _about_objects(matches: Matches) -> list[LabelError]:
    """The likeliest entry of each object."""
    best: dict[int, LabelError] = {}

    def add(kind: str, suspicion: float, detection: int, item: int) -> None:
        image = int(matches.object_image[item])
        if item not in best or suspicion > best[item].suspicion:
            best[item] = LabelError(kind, float(suspicion), image, detection, item)

    found = _found_shares(matches)
    takers = np.append(matches.score, 0.0)[matches.taker]  # 0 where there is none
    is_error = np.isin(matches.outcome, (CONFUSION, LOCALISATION)) & (matches.score >= SURE)
    for detection in np.flatnonzero(is_error).tolist():
        item = int(matches.target[detection])
        score, iou = matches.score[detection], matches.target_iou[detection]
        if matches.outcome[detection] == CONFUSION and score > takers[item]:
            add("class", score * iou * (1 - takers[item]) * found[item], detection, item)
        elif matches.outcome[detection] == LOCALISATION and matches.taker[item] < 0:
            add("moved", score * (1 - iou), detection, item)
    for item in np.flatnonzero(matches.taker < 0).tolist():
        if item not in best:
            add("unfound", (1 - matches.support[item]) * found[item], -1, item)
    return list(best.values())


def _found_shares(matches: Matches) -> np.ndarray:
    """(N,) the share of the objects of each one's class and size that are found."""
    kind = matches.object_label * (len(AREAS) + 1) + np.searchsorted(AREAS, matches.object_area)
    total = np.bincount(kind, minlength=1)
    taken = np.bincount(kind, weights=matches.taker >= 0, minlength=1)
    return (taken / np.maximum(total, 1))[kind]
