"""Regions of many objects (iscrowd 1): whether they are such, or objects that a tool marked so."""

from collections.abc import Sequence
from dataclasses import replace

from .index import ImageRecord
from .report import Report


def settle_crowds(records: Sequence[ImageRecord], rule: str, report: Report) -> list[ImageRecord]:
    """The records with their crowds as the key `crowd_rle` has them; what becomes an object is noted.

    auto: crowds, but objects where every object is one, as annotation tools write brush masks.
    """
    objects = sum(len(record.objects) for record in records)
    crowds = sum(item.crowd for record in records for item in record.objects)
    if not crowds or rule == "crowds" or (rule == "auto" and crowds < objects):
        return list(records)
    why = "every one is, as brush masks of annotation tools are" if rule == "auto" else "crowd_rle: objects"
    undo = "; `crowd_rle: crowds` keeps them crowds" if rule == "auto" else ""
    report.notes.append(f"{crowds} of {objects} objects are crowds (iscrowd 1): taken as objects ({why}){undo}")
    return [
        replace(record, objects=tuple(replace(item, crowd=False) for item in record.objects)) for record in records
    ]
