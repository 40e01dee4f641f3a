"""A label file's categories against the classes of a configuration."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError, short
from .fields import Id, identity, text
from .fields import name as read_name
from .ids import IdTable
from .report import Report

BACKGROUND = "background"


@dataclass(frozen=True)
class Category:
    """One entry of a label file. supercategory: empty where the file has none."""

    id: Id
    name: str
    supercategory: str = ""


@dataclass
class ClassMap:
    """The classes of a data set. ids: a category id of each; labels: category id -> 0-based class, None: left out."""

    names: tuple[str, ...]
    ids: list[Id]
    labels: dict[Id, int | None]
    table: IdTable = field(init=False)

    def __post_init__(self) -> None:
        self.table = IdTable(self.labels)


def read_categories(entries: Sequence[dict], path: Path) -> list[Category]:
    """The categories of a COCO label file. UserError for an id or a name that is none, or an id with two names."""
    found: dict[Id, Category] = {}
    categories = []
    for place, entry in enumerate(entries):
        own, own_name = identity(entry["id"]), read_name(entry["name"])
        if own is None:
            raise UserError(f"{path}: categories[{place}] has id {short(entry['id'])}; it must be a number or a text")
        if own_name is None:
            raise UserError(f"{path}: category {short(own)} has name {short(entry['name'])}; it must be a text")
        first = found.setdefault(own, Category(own, own_name, text(entry.get("supercategory")) or ""))
        if first.name != own_name:
            names = f"{short(first.name)} and {short(own_name)}"
            raise UserError(f"{path}: category id {short(own)} has two names, {names}")
        categories.append(first)
    return categories


def match_categories(
    categories: Sequence[Category],
    used: Iterable[object],
    classes: Sequence[str],
    rule: str,
    path: Path,
    report: Report,
) -> ClassMap:
    """The file's category ids of each class, matched by name; what is odd is noted in `report`.

    used: the category id of every annotation. classes: names in label order, without background; none takes the file's
    own, in its order. rule: the key `classes`. UserError where a category that is used is no class, under "exact".
    """
    ids = _ids_by_name(categories, report)
    table = IdTable(one.id for one in categories)
    counts = Counter(table.find(value) for value in used)
    objects = {name: sum(counts[own] for own in found) for name, found in ids.items()}
    background = [name for name in ids if name.strip("_ ").lower() == BACKGROUND and name not in classes]
    for name in background:
        report.notes.append(f"the category {short(name)} is dropped, with its {objects[name]} annotations")
    kept = [name for name in ids if name not in background]
    classes = tuple(classes) or _own_classes(categories, kept, objects, report)
    others = [name for name in kept if name not in classes]
    lacking = [name for name in classes if name not in ids]
    _check_others([name for name in others if objects[name]], lacking, classes, ids, rule, path)
    _note_others(others, lacking, objects, report)
    labels = {own: classes.index(name) if name in classes else None for name, found in ids.items() for own in found}
    return ClassMap(classes, _class_ids(classes, ids), labels)


def agreed_ids(pairs: Sequence[tuple[str, Id]]) -> dict[str, Id]:
    """The id of each class of these (name, id): where all are numbers and the pairs agree those, else 1, 2, ..."""
    ids = dict(pairs)
    agree = all(ids[name] == own for name, own in pairs) and len(set(ids.values())) == len(ids)
    if agree and all(isinstance(own, int) for own in ids.values()):
        return ids
    return {name: number for number, name in enumerate(ids, start=1)}


def _ids_by_name(categories: Sequence[Category], report: Report) -> dict[str, list[Id]]:
    """The ids of each name, both in the file's order; what is there more than once is noted."""
    ids: dict[str, list[Id]] = {}
    for one in categories:
        ids.setdefault(one.name, [])
        if one.id not in ids[one.name]:
            ids[one.name].append(one.id)
    repeated = [own for own, count in Counter(one.id for one in categories).items() if count > 1]
    if repeated:
        report.notes.append(f"categories are listed more than once with the same id and name: {shortened(repeated)}")
    for name, found in ids.items():
        if len(found) > 1:
            report.notes.append(f"the category {short(name)} has {len(found)} ids, {shortened(found)}: one class")
    return ids


def _own_classes(
    categories: Sequence[Category], kept: Sequence[str], objects: dict[str, int], report: Report
) -> tuple[str, ...]:
    """The file's classes: without those that are only the supercategory of others (Roboflow's entry 0)."""
    parents = {one.supercategory for one in categories if one.supercategory != one.name}
    above = [name for name in kept if name in parents and not objects[name]]
    if above:
        report.notes.append(f"only the supercategory of others, without annotations: {shortened(above)}: no class")
    return tuple(name for name in kept if name not in above)


def _check_others(
    used: Sequence[str], lacking: Sequence[str], classes: Sequence[str], ids: dict, rule: str, path: Path
) -> None:
    """UserError where categories with annotations are no classes, unless that is asked for and some class is left."""
    if not used or (rule == "subset" and len(lacking) < len(classes)):
        return
    how = "`classes: subset` leaves out the objects of categories that are no classes"
    if rule == "subset":
        how = "`classes: subset` needs one that is in both"
    raise UserError(
        f"coco_classes does not match the categories of {path}: only in coco_classes: {shortened(lacking)}; "
        f"only in the file: {shortened([name for name in ids if name not in classes])}; {how}"
    )


def _note_others(others: Sequence[str], lacking: Sequence[str], objects: dict[str, int], report: Report) -> None:
    unused = [name for name in others if not objects[name]]
    left_out = [name for name in others if objects[name]]
    if unused:
        report.notes.append(f"categories that no annotation uses and that are no class: {shortened(unused)}")
    if left_out:
        count = sum(objects[name] for name in left_out)
        report.notes.append(
            f"{count} annotations of categories that are no class are left out of training and scores "
            f"(classes: subset): {shortened(left_out)}"
        )
    if lacking:
        report.notes.append(
            f"classes that the file does not have: {shortened(lacking)}: no truth for them, and an evaluation counts "
            "no AP of them"
        )


def _class_ids(classes: Sequence[str], ids: dict[str, list[Id]]) -> list[Id]:
    """The first id of each class; a free number for one that the file does not have."""
    taken = IdTable(own for found in ids.values() for own in found)
    chosen: list[Id] = []
    for label, name in enumerate(classes, start=1):
        if name in ids:
            chosen.append(ids[name][0])
            continue
        while taken.find(label) is not None or label in chosen:
            label += 1
        chosen.append(label)
    return chosen


def shortened(names: Sequence[object]) -> str:
    """A list for a message, at most 20 of it."""
    return f"[{', '.join(map(short, names[:20]))}{', ...' if len(names) > 20 else ''}]"
