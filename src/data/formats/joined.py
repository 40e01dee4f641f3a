"""Several data sets as one index: their images one after the other, their classes by name."""

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from .categories import agreed_ids, shortened
from .fields import Id
from .index import DetectionIndex, ImageRecord
from .report import Report, joined_name, unsaid

logger = logging.getLogger(__name__)


def joined(parts: Sequence[DetectionIndex]) -> DetectionIndex:
    """The index of all images of these data sets.

    classes: in the order in which they appear. category_ids: the sets' own where they are numbers on which all agree,
    else 1, 2, ... An image keeps its id where no two are alike, otherwise the number of its set stands before it. What
    was odd about a set has been said when it was read. `sets` tells of which set an image is.
    """
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    ids, notes = _category_ids(parts, classes), _lacking(parts, classes)
    records, sets, missing = [], [], set()
    ids_differ = len({str(own) for part in parts for own in part.image_ids}) == sum(map(len, parts))
    for number, part in enumerate(parts):
        missing |= {len(records) + index for index in part.missing}
        labels = [classes.index(name) for name in part.classes]
        for index in range(len(part)):
            record = _relabelled(part.record(index), labels)
            records.append(record if ids_differ else replace(record, image_id=f"{number + 1}/{record.image_id}"))
            sets.append(number)
    for line in unsaid("joined", notes):
        logger.warning(line)
    report = _joined_report(parts)
    report.notes += notes
    return parts[0].with_records(
        records,
        missing,
        sets=sets,
        classes=classes,
        category_ids=[ids[name] for name in classes],
        annotation_file=Path(joined_name([part.annotation_file for part in parts])),
        label_files=tuple(path for part in parts for path in part.label_files),
        raw=None,
        report=report,
    )


def _relabelled(record: ImageRecord, labels: Sequence[int]) -> ImageRecord:
    """With other numbers of the classes; the same record where they have the same."""
    if all(labels[item.label] == item.label for item in record.objects):
        return record
    objects = tuple(replace(item, label=labels[item.label]) for item in record.objects)
    return replace(record, objects=objects)


def _lacking(parts: Sequence[DetectionIndex], classes: Sequence[str]) -> list[str]:
    """A line for each set that does not have classes of the others; of classes that a configuration names its reader
    has said it.
    """
    others = [(part, [name for name in classes if name not in part.classes]) for part in parts]
    return [
        f"{part.annotation_file}: it has no {shortened(names)} of the other training data: what its images show of "
        "them is learned as background"
        for part, names in others
        if names
    ]


def _category_ids(parts: Sequence[DetectionIndex], classes: Sequence[str]) -> dict[str, Id]:
    """The id of each class, of the sets that have objects of it: a set that lacks it may have made one up."""
    pairs = []
    for part in parts:
        used = {item.label for index in range(len(part)) for item in part.record(index).objects}
        pairs += [(part.classes[label], part.category_ids[label]) for label in sorted(used)]
    known = {name for name, _ in pairs}
    for part in parts:
        new = [(name, own) for name, own in zip(part.classes, part.category_ids) if name not in known]
        pairs += new
        known |= {name for name, _ in new}
    return agreed_ids(sorted(pairs, key=lambda pair: classes.index(pair[0])))


def _joined_report(parts: Sequence[DetectionIndex]) -> Report:
    """What was left out or mended in all of them; what the index itself counts is counted anew."""
    found = Report()
    for part in parts:
        for item in fields(Report):
            if item.name == "notes":
                found.notes += [f"{part.annotation_file}: {note}" for note in part.report.notes]
            elif item.name != "looked_for":
                setattr(found, item.name, getattr(found, item.name) + getattr(part.report, item.name))
    return found
