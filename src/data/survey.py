"""What a data set holds, in numbers and names, whatever task it is for: for pages, and for `check` in words."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from ..errors import plain
from .formats.image_folder import ImageFolder
from .formats.index import DetectionIndex
from .formats.segmentation_list import SegmentationDataset
from .images import ImageFile, differs_in_size
from .near_duplicates import Duplicate, Fingerprint, across, within

MOST_LABELS = 500  # label pictures that are counted
SHOWN, LONGEST = 3, 100  # names in a line, characters of each


@dataclass(frozen=True)
class Distribution:
    """Numbers of a data set. logarithmic: how a diagram shows them."""

    title: str
    unit: str
    values: np.ndarray
    logarithmic: bool = False

    def line(self) -> str:
        low, middle, high = np.quantile(self.values, (0.05, 0.5, 0.95))
        unit = f" {self.unit}" if self.unit else ""
        low, middle, high = (f"{one:,.4g}" if one < 1000 else f"{one:,.0f}" for one in (low, middle, high))
        return f"{self.title}: median {middle}{unit}, 5% below {low}, 5% above {high}"


@dataclass(frozen=True)
class ClassTable:
    """A row a class, its name first; the second column is what a diagram shows."""

    header: tuple[str, ...]
    rows: list[tuple]


@dataclass(frozen=True)
class Survey:
    """source: where the labels stand; files: of all images, in the order of the data set; classes: works the table
    out; distributions: what the labels alone tell; lines: what was odd, as it was logged; named: by what is odd, the
    names; why_unusable: of an image that can be read, in one line, why its labels do not fit it, or nothing;
    most_checked: images that are asked it, as it takes time; 0 for all.
    """

    source: str
    files: Sequence[ImageFile]
    classes: Callable[[], ClassTable]
    distributions: list[Distribution] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)
    why_unusable: Callable[[int], str] = lambda index: ""
    most_checked: int = 0


def survey_objects(dataset: DetectionIndex, size: tuple[int, int]) -> Survey:
    """size: (h, w) of the network's input."""
    records = [dataset.record(index) for index in range(len(dataset))]
    sides, fitted = [], []
    for record in records:
        scale = min(size[1] / record.width, size[0] / record.height)
        own = [((b[2] - b[0]) * (b[3] - b[1])) ** 0.5 for b in (item.box for item in record.objects if not item.crowd)]
        sides += own
        fitted += [side * scale for side in own]
    distributions = [
        Distribution("side of an object (root of its box's area)", "px", np.array(sides), True),
        Distribution(f"the same in the network's input of {size[1]}x{size[0]}", "px", np.array(fitted), True),
        Distribution("objects in an image", "", np.array([len(record.objects) for record in records])),
    ]

    def classes() -> ClassTable:
        objects = Counter(item.label for one in records for item in one.objects if not item.crowd)
        crowds = Counter(item.label for one in records for item in one.objects if item.crowd)
        images = Counter(label for one in records for label in {item.label for item in one.objects})
        rows = [(name, objects[k], crowds[k], images[k]) for k, name in enumerate(dataset.classes)]
        return ClassTable(("class", "objects", "crowds", "images"), rows)

    def other_size(index: int) -> str:
        one = records[index]
        found = differs_in_size(one.path, one.height, one.width)
        entry = f"its entry in the label file {one.width} x {one.height}"
        return "" if found is None else f"{one.path} has {found[1]} x {found[0]} pixels, {entry}"

    report = dataset.report
    lists = {one.name: getattr(report, one.name) for one in fields(report) if one.name != "notes"}
    named = {name.replace("_", " "): list(found) for name, found in lists.items() if found and isinstance(found, list)}
    return Survey(
        str(dataset.annotation_file),
        [record.path for record in records],
        classes,
        [one for one in distributions if len(one.values)],
        report.lines(),
        named,
        other_size,
    )


def survey_labels(dataset: SegmentationDataset) -> Survey:
    names = dataset.labels.names
    looked_at = range(0, len(dataset), -(-len(dataset) // MOST_LABELS))

    def classes() -> ClassTable:
        pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
        for index in looked_at:
            label = dataset.read_label(index)
            if label is not None:
                counts = np.bincount(label.ravel(), minlength=256)
                pixels += counts
                images += counts > 0
        share = 100 * pixels / max(int(pixels.sum()), 1)
        rows = [(name, float(share[k]), int(images[k])) for k, name in enumerate(names)]
        rows.append(("(ignored)", float(share[len(names) :].sum()), int(images[len(names) :].max())))
        part = "" if len(looked_at) == len(dataset) else f" of {len(looked_at)}"
        return ClassTable(("class", "% of the pixels", f"label pictures{part}"), rows)

    def unusable(index: int) -> str:
        return "" if all(one is not None for one in dataset.read(index)) else dataset.why_unreadable(index)

    named = {"missing files": [str(path) for path in dataset.missing]} if dataset.missing else {}
    files = [Path(image) for image, _ in dataset.samples]
    return Survey(str(dataset.list_file), files, classes, [], [], named, unusable, MOST_LABELS)


def survey_classes(dataset: ImageFolder) -> Survey:
    def classes() -> ClassTable:
        counts = Counter(label for _, label in dataset.images)
        return ClassTable(("class", "images"), [(name, counts[k]) for k, name in enumerate(dataset.classes)])

    files = [Path(path) for path, _ in dataset.images]
    return Survey(str(dataset.folder), files, classes, lines=list(dataset.notes))


def image_sizes(found: Sequence[Fingerprint | None]) -> list[Distribution]:
    """Of the images that could be read."""
    sizes = np.array([one.size for one in found if one is not None]).reshape(-1, 2)
    if not len(sizes):
        return []
    return [
        Distribution("longer side of an image", "px", sizes.max(1)),
        Distribution("width / height of an image", "", sizes[:, 0] / sizes[:, 1]),
    ]


def duplicate_lines(sets: dict[str, tuple[Survey, list[Fingerprint | None]]]) -> Iterator[str]:
    """In words: what is in a set twice, and in two sets. sets: by name, with the fingerprints of all files."""
    names = list(sets)
    for number, name in enumerate(names):
        survey, found = sets[name]
        yield _line(f"{name} images are another {name} image", within(found), survey, survey)
        for other in names[number + 1 :]:
            line = f"{other} images are a {name} image too"
            yield _line(line, across(found, sets[other][1]), survey, sets[other][0])


def _line(what: str, pairs: list[Duplicate], first: Survey, second: Survey) -> str:
    if not pairs:
        return f"no {what}"
    same = sum(one.is_same_file for one in pairs)
    some = [f"{_name(second, one.second)} is {_name(first, one.first)}" for one in pairs[:SHOWN]]
    more = ", ..." if len(pairs) > SHOWN else ""
    return f"WARNING: {len(pairs)} {what}, {same} of them byte for byte: {', '.join(some)}{more}"


def _name(survey: Survey, index: int) -> str:
    return plain(survey.files[index].name, LONGEST)
