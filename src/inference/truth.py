"""What is true of images, as predictions are drawn: of those of a data set, and of others by their files' names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config import default_config
from ..data import masks as mask_codec
from ..data.formats import open_detection
from ..data.formats.index import DetectionIndex, ImageRecord
from ..errors import UserError, counted, listed
from ..reading import is_folder, is_there, no_file


class Truth:
    """The objects that label files have of some images, found by the images' names.

    notes: what did not fit, a line each.
    """

    def __init__(self, labels: str | Path, dataset: DetectionIndex, entries: Mapping[str, dict]):
        """entries: of infer.py, by image."""
        self._dataset = dataset
        classes = (one["class"] for entry in entries.values() for one in entry["predictions"])
        self._labels = {one["name"]: one.get("label") for one in classes}
        records = [dataset.record(index) for index in range(len(dataset))]
        places, unclear = matched(list(entries), [str(record.path) for record in records])
        sizes = {name: (records[place].height, records[place].width) for name, place in places.items()}
        others = [name for name, size in sizes.items() if size != (entries[name]["height"], entries[name]["width"])]
        self._places = {name: place for name, place in places.items() if name not in others}
        unknown = [name for name in entries if name not in places and name not in unclear]
        unpredicted = [str(record.path) for place, record in enumerate(records) if place not in places.values()]
        self.notes = [
            f"{what.format(labels=labels, images=counted(len(names), 'image'))}: {listed(map(_name, names))}"
            for names, what in (
                (unknown, "{labels} lacks {images} of pred_file, drawn without truth"),
                (unclear, "names do not tell which of {labels} is meant by {images} of pred_file, drawn without truth"),
                (others, "{labels} has another size of {images} of pred_file, drawn without truth"),
                (unpredicted, "{labels} has {images} without predictions here"),
            )
            if names
        ]

    @classmethod
    def read(cls, labels: str | Path, entries: Mapping[str, dict], allow_outside: bool = False) -> "Truth":
        """labels: a COCO file, or a data set of any format that training reads. UserError for what is none."""
        if not is_there(labels):
            raise UserError(f"labels: {labels} {no_file(labels)}")
        key = "val_dataset" if is_folder(labels) or Path(labels).suffix != ".json" else "val_annotations"
        cfg = default_config([f"--{key}", str(labels), "--allow_outside", str(int(allow_outside))])
        return cls(labels, open_detection(cfg, "val"), entries)

    def of(self, name: str) -> dict | None:
        """The entry of an image with its objects in the place of predictions; None where nothing is known of it.

        A class that is predicted somewhere has the number that it has there: it is drawn in the same colour.
        """
        if name not in self._places:
            return None
        record = self._dataset.record(self._places[name])
        objects = truth_of(record, self._dataset.classes)
        for one in objects:
            one["class"]["label"] = self._labels.get(one["class"]["name"])
        return {"height": record.height, "width": record.width, "predictions": objects}


def matched(names: Sequence[str], others: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """name -> place in `others` of the path that ends as it does: the same file name, and the more folders before it
    the better. And the names that several are equally good for, or that share one with another name.

    x/a.jpg of [x/a.jpg, y/a.jpg, b.jpg] is the first; a.jpg alone may be the first and the second.
    """
    by_name: dict[str, list[int]] = {}
    parts = [_parts(path) for path in others]
    for place, path in enumerate(parts):
        by_name.setdefault(path[-1], []).append(place)
    best: dict[str, list[int]] = {}
    length: dict[str, int] = {}
    for name in names:
        own = _parts(name)
        lengths = {place: _common_tail(own, parts[place]) for place in by_name.get(own[-1], ())}
        length[name] = max(lengths.values(), default=0)
        best[name] = [place for place, common in lengths.items() if common == length[name]]
    takers: dict[int, list[str]] = {}
    for name, places in best.items():
        if len(places) == 1:
            takers.setdefault(places[0], []).append(name)
    found = {}
    for place, claiming in takers.items():
        longest = max(length[name] for name in claiming)
        nearest = [name for name in claiming if length[name] == longest]
        if len(nearest) == 1:
            found[nearest[0]] = place
    unclear = [name for name in names if best[name] and name not in found and _is_unclear(name, best, takers, length)]
    return {name: found[name] for name in names if name in found}, unclear


def _is_unclear(name: str, best: Mapping, takers: Mapping, length: Mapping) -> bool:
    """Whether nobody knows which is meant; not where another name is plainly nearer to the only one."""
    if len(best[name]) > 1:
        return True
    return length[name] == max(length[other] for other in takers[best[name][0]])


def _name(path: str) -> str:
    return Path(path).name


def _parts(path: str) -> tuple[str, ...]:
    return Path(os.path.abspath(path)).parts


def _common_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names two paths have in common at their ends."""
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def truth_of(record: ImageRecord, class_names: Sequence[str]) -> list[dict]:
    """An image's objects, without crowds, as `draw_overlay` takes predictions."""
    found = []
    for item in record.objects:
        if item.crowd:
            continue
        x1, y1, x2, y2 = item.box
        one = {
            "bbox": {"x_min": x1, "y_min": y1, "width": x2 - x1, "height": y2 - y1},
            "class": {"label": item.label, "name": class_names[item.label]},
            "score": 1.0,
        }
        if item.segmentation is not None:
            one["mask"] = mask_codec.to_rle(item.segmentation, record.height, record.width)
        found.append(one)
    return found
