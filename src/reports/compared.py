"""Two reports brought together: the images and classes that both have, and what each says of them, by task."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import UserError, listed, plain
from ..evaluation import resampled_classes, resampled_detection
from ..evaluation.bootstrap import Statistics
from ..evaluation.coco_eval import AREAS, KINDS
from ..evaluation.table_eval import MatchTable
from .saved import Saved

IOUS = 10  # thresholds, a bit each
ALL = "all"


@dataclass(frozen=True)
class Name:
    """Of a statistic, to which so many images have something to say. kind: bbox or segm of a detector's; of a score
    (`score`) or of a class; size: one of AREAS.
    """

    score: str
    images: int
    kind: str = ""
    of_class: str = ""
    size: str = ALL

    @property
    def words(self) -> str:
        return " ".join(one for one in (self.kind, self.score) if one)


@dataclass(frozen=True)
class Compared:
    """images: their names; rows: of both reports' images.csv, where they stand; statistics: of both, with `names`.

    measure: what is said of each image, `values` of both (NaN: nothing); less_is_better of it. outcome: its words
    beside the numbers. work: rows that each resample takes. remarks: what was left out, a line each.
    """

    images: list[str]
    rows: tuple[np.ndarray, np.ndarray]
    classes: list[str]
    names: list[Name]
    statistics: tuple[Statistics, Statistics]
    measure: str
    values: tuple[np.ndarray, np.ndarray]
    less_is_better: bool
    work: int
    remarks: list[str] = field(default_factory=list)

    @property
    def gains(self) -> np.ndarray:
        """(I,) how much better the second report is in each image."""
        return (self.values[0] - self.values[1]) if self.less_is_better else (self.values[1] - self.values[0])


def compared(first: Saved, second: Saved) -> Compared:
    """UserError where the reports are of different tasks, or have no class or no image in common."""
    one, two = first.task, second.task
    if one != two:
        raise UserError(
            f"{first.folder} is of {plain(one)}, {second.folder} of {plain(two)}: only reports of the same task can be "
            "compared"
        )
    if one not in COMPARED:
        raise UserError(f"{first.folder}: reports of {plain(one)} cannot be compared")
    common = [name for name in first.classes if name in set(second.classes)]
    if not common:
        raise UserError(f"{first.folder} and {second.folder} have no class in common")
    return COMPARED[one](_Both(first, second, common))


class _Both:
    """Both reports, with the classes that they share."""

    def __init__(self, first: Saved, second: Saved, classes: list[str]):
        self.saved, self.classes, self.remarks = (first, second), classes, []
        own = {name: k for k, name in enumerate(classes)}
        # of each report's classes their place among the common ones, -1 where there is none
        self.labels = [np.array([own.get(name, -1) for name in one.classes], np.int64) for one in self.saved]
        for one, labels in zip(self.saved, self.labels):
            if alone := [name for name, label in zip(one.classes, labels) if label < 0]:
                self.remarks.append(
                    f"{len(alone)} classes of {one.folder} are not in the other report and left out: {listed(alone)}"
                )

    def tables(self, file: str, names: Sequence[str]) -> list[dict[str, list[str]]]:
        return [one.table(file, names) for one in self.saved]

    def common_images(self, keys: Sequence[Sequence[tuple]]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the images that both reports have, by keys; of equal keys the first is the first, and so on."""
        numbered = [_numbered(one) for one in keys]
        rows = [(row, numbered[1][key]) for key, row in numbered[0].items() if key in numbered[1]]
        if not rows:
            raise UserError(f"{self.saved[0].folder} and {self.saved[1].folder} have no image in common")
        for one, own in zip(self.saved, numbered):
            if len(own) > len(rows):
                self.remarks.append(
                    f"{len(own) - len(rows)} of {len(own)} images of {one.folder} are not in the other report and left "
                    "out"
                )
        first, second = zip(*rows)
        return np.array(first), np.array(second)

    def say_other_labels(self, truths: Sequence[np.ndarray]) -> None:
        """truths: of each report (N, 3) rows of an image, a class, and how much of it there is."""
        if not np.array_equal(*truths):
            one, two = ({tuple(row) for row in truth.tolist()} for truth in truths)
            images = len({row[0] for row in one ^ two})
            self.remarks.append(
                f"{images} images have other labels in the second report: what differs in them may be the labels"
            )


def _numbered(keys: Sequence[tuple]) -> dict[tuple, int]:
    seen, found = Counter(), {}
    for row, key in enumerate(keys):
        found[key, seen[key]] = row
        seen[key] += 1
    return found


def _places(rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) of each row its place in `rows`, -1 where it is not there."""
    found = np.full(count, -1)
    found[rows] = np.arange(len(rows))
    return found


def _detection(both: _Both) -> Compared:
    file = "images.csv"
    tables = both.tables(file, ("image", "image_id", "errors"))
    are_unique = all(len(set(one["image"])) == len(one["image"]) for one in tables)
    keys = [list(zip(one["image"])) if are_unique else list(zip(one["image"], one["image_id"])) for one in tables]
    rows = both.common_images(keys)
    errors = [
        saved.numbers(file, "errors", table["errors"])[own] for saved, table, own in zip(both.saved, tables, rows)
    ]
    has = [one.facts.get("kinds") if isinstance(one.facts.get("kinds"), Mapping) else {} for one in both.saved]
    kinds = [kind for kind in KINDS if all(kind in one for one in has)]
    if not kinds:
        raise UserError(f"{both.saved[0].folder} and {both.saved[1].folder} have neither boxes nor masks in common")
    for kind in KINDS:
        if kind not in kinds and any(kind in one for one in has):
            both.remarks.append(f"Only one of the reports has scores of {kind}: left out")
    found: list[dict[str, MatchTable]] = []
    for saved, table, own, labels in zip(both.saved, tables, rows, both.labels):
        images = _places(own, len(table["image"]))
        found.append({kind: _match_table(saved, kind, images, labels) for kind in kinds})
    truths = []
    for one in (tables[kinds[0]] for tables in found):
        pairs, counts = np.unique(np.stack([one.object_image, one.object_label], 1), axis=0, return_counts=True)
        truths.append(np.column_stack([pairs, counts]))
    both.say_other_labels(truths)
    names = []
    for kind in kinds:
        names += _detection_names(kind, found[0][kind], both.classes, len(rows[0]))
    statistics = [resampled_detection.ap_statistics(one, len(both.classes)) for one in found]
    work = sum(len(table.image) + len(table.object_image) for one in found for table in one.values())
    return Compared(
        _shown(tables[0]["image"], rows[0]), rows, both.classes, names, tuple(statistics), "errors", tuple(errors),
        True, work, both.remarks,
    )  # fmt: skip


def _detection_names(kind: str, table: MatchTable, classes: Sequence[str], images: int) -> list[Name]:
    """To a score by size, and to those of a class, the images with such objects have something to say."""
    objects = np.stack([table.object_image, table.object_label], 1)
    pairs = {
        area: np.unique(objects[~ignored], axis=0) for area, ignored in zip(AREAS, table.object_ignored.astype(bool).T)
    }
    of_size = {area: len(np.unique(one[:, 0])) for area, one in pairs.items()}
    of_class = {area: np.bincount(one[:, 1], minlength=len(classes)).tolist() for area, one in pairs.items()}
    scores = [(score, of_size.get(score.removeprefix("AP_"), images)) for score in resampled_detection.SCORES]
    of_classes = [Name("AP", of_class[area][k], kind, one, area) for k, one in enumerate(classes) for area in AREAS]
    return [Name(score, count, kind) for score, count in scores] + of_classes


def _match_table(saved: Saved, kind: str, images: np.ndarray, labels: np.ndarray) -> MatchTable:
    """The matches of a kind in the common images and classes. images, labels: the new number of each, -1 for none."""
    file = f"matches_{kind}.npz"
    own = ("image", "label", "score", "rank", "matched", "ignored", "object_image", "object_label", "object_ignored")
    arrays = saved.arrays(file, own)
    for first in ("image", "object_image"):
        group = [name for name in own if name.startswith("object_") == (first == "object_image")]
        for name in group:
            array, wide = arrays[name], name in ("matched", "ignored", "object_ignored")
            wanted = (len(arrays[first]), len(AREAS)) if wide else (arrays[first].size,)
            if arrays[first].ndim != 1 or array.shape != wanted or (array.dtype.kind == "f") != (name == "score"):
                raise UserError(f"{saved.folder / file} is damaged: {name} has another shape or type")
            most = {"image": len(images), "label": len(labels), "matched": 1 << IOUS, "ignored": 1 << IOUS}
            high = most.get(name.removeprefix("object_")) if name != "object_ignored" else 2
            if len(array) and (not np.isfinite(array).all() or (high and not 0 <= array.min() <= array.max() < high)):
                raise UserError(f"{saved.folder / file} is damaged: {name} goes beyond what there is")
    whole = {name: arrays[name].astype(np.int64) for name in ("image", "label", "object_image", "object_label")}
    image, label = images[whole["image"]], labels[whole["label"]]
    object_image, object_label = images[whole["object_image"]], labels[whole["object_label"]]
    kept = (image >= 0) & (label >= 0)
    kept_objects = (object_image >= 0) & (object_label >= 0)
    bits = 1 << np.arange(IOUS)
    matched, ignored = ((arrays[name][kept][:, :, None] & bits) > 0 for name in ("matched", "ignored"))
    return MatchTable(
        image[kept], label[kept], arrays["score"][kept].astype(np.float64), arrays["rank"][kept], matched, ignored,
        object_image[kept_objects], object_label[kept_objects], arrays["object_ignored"][kept_objects].astype(bool),
    )  # fmt: skip


def _segmentation(both: _Both) -> Compared:
    file, pixels = "image_classes.csv", ("right", "labelled", "predicted")
    tables = both.tables("images.csv", ("image", "mIoU"))
    rows = both.common_images([list(zip(one["image"])) for one in tables])
    values, statistics, truths, pairs, work = [], [], [], [], 0
    parts = both.tables(file, ("image", "class", *pixels))
    for saved, table, part, own, labels in zip(both.saved, tables, parts, rows, both.labels):
        values.append(saved.numbers("images.csv", "mIoU", table["mIoU"], high=1)[own])
        places = _places(own, len(table["image"]))
        label = saved.labels(file, "class", part["class"])
        image, label = places[_rows_of(saved, file, table["image"], part["image"], label)], labels[label]
        counts = np.stack([saved.numbers(file, name, part[name]) for name in pixels], 1)
        if np.isnan(counts).any() or (counts[:, 0] > counts[:, 1:].min(axis=1)).any():
            raise UserError(f"{saved.folder / file} is damaged: a number is missing, or more is right than there is")
        kept = (image >= 0) & (label >= 0)
        image, label, counts = image[kept], label[kept], counts[kept]
        statistics.append(resampled_classes.iou_statistics(image, label, counts, len(both.classes)))
        pairs.append(np.stack([image, label], 1))
        truth = np.column_stack([image, label, counts[:, 1].astype(np.int64)])[counts[:, 1] > 0]
        truths.append(np.unique(truth, axis=0))
        work += len(image)
    both.say_other_labels(truths)
    of_class = np.bincount(np.unique(np.concatenate(pairs), axis=0)[:, 1], minlength=len(both.classes)).tolist()
    names = [Name(one, len(rows[0])) for one in resampled_classes.SEGMENTATION]
    names += [Name("IoU", count, "", one) for one, count in zip(both.classes, of_class)]
    return Compared(
        _shown(tables[0]["image"], rows[0]), rows, both.classes, names, tuple(statistics), "mIoU", tuple(values), False,
        work, both.remarks,
    )  # fmt: skip


def _rows_of(saved: Saved, file: str, images: Sequence[str], named: Sequence[str], label: np.ndarray) -> np.ndarray:
    """(N,) the row of images.csv that each row of another table means, which has an image's classes in their order.

    An image that the list of the data names several times has its rows as often.
    """
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image, []).append(row)
    found, seen, last = np.empty(len(named), np.int64), Counter(), None
    for k, image in enumerate(named):
        if image not in rows:
            raise UserError(f"{saved.folder / file} is damaged: images.csv has no image {plain(image)}")
        if image != last or label[k] <= label[k - 1]:
            seen[image] += 1
        found[k], last = rows[image][min(seen[image], len(rows[image])) - 1], image
    return found


def _classification(both: _Both) -> Compared:
    file, flags = "images.csv", ("right", "in_top5")
    tables = both.tables(file, ("image", "truth", "probability_of_truth", *flags))
    rows = both.common_images([list(zip(one["image"])) for one in tables])
    values, statistics, truths = [], [], []
    for saved, table, own, labels in zip(both.saved, tables, rows, both.labels):
        label = labels[saved.labels(file, "truth", table["truth"])][own]
        right, in_top5 = (saved.numbers(file, name, table[name], high=1)[own] for name in flags)
        if not np.isin(np.concatenate([right, in_top5]), (0, 1)).all():
            raise UserError(f"{saved.folder / file} is damaged: right and in_top5 are 0 or 1")
        name = "probability_of_truth"
        values.append(saved.numbers(file, name, table[name], high=1 + 1e-6)[own])
        statistics.append(resampled_classes.accuracy_statistics(label, right, in_top5, len(both.classes)))
        truths.append(np.column_stack([np.arange(len(label)), label, np.ones_like(label)]))
    both.say_other_labels(truths)
    of_class = np.bincount(truths[0][truths[0][:, 1] >= 0, 1], minlength=len(both.classes)).tolist()
    names = [Name(one, sum(of_class)) for one in resampled_classes.CLASSIFICATION]
    names += [Name("accuracy", count, "", one) for one, count in zip(both.classes, of_class)]
    return Compared(
        _shown(tables[0]["image"], rows[0]), rows, both.classes, names, tuple(statistics), "probability of the truth",
        tuple(values), False, 2 * len(rows[0]), both.remarks,
    )  # fmt: skip


def _shown(images: Sequence[str], rows: np.ndarray) -> list[str]:
    return [images[row] for row in rows]


COMPARED: dict[str, Callable[[_Both], Compared]] = {
    "detection": _detection,
    "segmentation": _segmentation,
    "classification": _classification,
}
