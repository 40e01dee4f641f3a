"""Masks of a picture of ids, each given to the box that it fills best."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from ...reading import is_file
from .assembly import FoundObject, Tally
from .fields import numbers
from .id_images import read_masks_by_id

VOID = 255  # VOC's number of outlines between objects
LEAST = 0.5  # IoU of a mask's box and an object's, for them to belong together


def matched_masks(objects: Sequence[FoundObject], path: Path, tally: Tally, max_pixels: int) -> list[FoundObject]:
    """The objects with the masks that the picture has for them; without it, as they are."""
    if not is_file(path):
        return list(objects)
    _, by_number = read_masks_by_id(path, max_pixels)
    if isinstance(by_number, str):
        tally.add("pictures of masks cannot be read: their objects have none", f"{path.name}: {by_number}")
        return list(objects)
    masks = [code for number, code in by_number.items() if number != VOID]
    found = dict(_pairs([one.box for one in objects], masks))
    left_over = set(range(len(masks))) - set(found.values())
    if left_over:
        tally.add("pictures of masks have objects that fit no box: left out", path.name)
    return [
        replace(one, segmentation=masks[found[index]]) if index in found else one for index, one in enumerate(objects)
    ]


def _pairs(boxes: Sequence[object], masks: Sequence[dict]) -> list[tuple[int, int]]:
    """(object, mask) whose boxes overlap most, best first, each once."""
    usable = [index for index, box in enumerate(boxes) if numbers(box, 4) is not None]
    if not usable or not masks:
        return []
    ious = coco_mask.iou(
        np.array([boxes[index] for index in usable], np.float64),
        np.array([coco_mask.toBbox(one) for one in masks], np.float64),
        [0] * len(masks),
    )
    pairs, taken_objects, taken_masks = [], set(), set()
    for place in np.argsort(-ious, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(masks))
        if ious[row, column] < LEAST:
            break
        if row not in taken_objects and column not in taken_masks:
            pairs.append((usable[row], column))
            taken_objects.add(row)
            taken_masks.add(column)
    return pairs
