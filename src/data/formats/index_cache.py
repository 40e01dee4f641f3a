"""What a reader made of a large folder of label files, kept among the user's caches for the next time.

Hundreds of thousands of files take minutes to read, their names, sizes and times seconds. What is kept is taken where
all of these, the keys that say how labels are to be taken and the code of the readers are as they were; anything else,
a damaged file too, is as if nothing was kept. Only this user can write there, so it is not checked as labels are.

    MAGIC, stamp (64 characters), length of the header (8 bytes), header (JSON), arrays, SHA-256 of all of it
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import os
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...config import EXTRA_KEYS, Config, leaves
from ...errors import UserError
from ...files import written_whole
from ...process.caches import LABEL_SWITCH, is_switched_off, user_caches
from ...process.graph_store import make_private
from ...reading import read_bytes, read_start
from .index import DetectionIndex, ImageRecord, ObjectRecord
from .report import Report

logger = logging.getLogger(__name__)

MAGIC = b"MSVZLABELS1\n"
STAMP = 64  # characters
ENDING = ".labels"
LEAST = 2000  # files from which on something is kept
LIMIT = 4 * 2**30  # bytes of all that is kept
READERS = Path(__file__).parents[1]  # whose code is part of the stamp
FURTHER_KEYS = ("train_dataset", "val_dataset", "max_image_pixels", "allow_outside")  # beside those that score
ARRAYS = {  # of all objects, one after the other; polygons: numbers of polygons, of their values, and the values
    "objects": np.int32, "box": np.float64, "written": np.float64, "area": np.float64, "label": np.int32,
    "crowd": np.uint8, "kind": np.uint8, "polygons": np.int32, "lengths": np.int32, "values": np.float64,
}  # fmt: skip
NO_MASK, POLYGONS, RUNS = range(3)


def opened(cfg: Config, split: str, kind: str, root: Path, read: Callable[[], DetectionIndex]) -> DetectionIndex:
    """What `read` gives, or what it gave the last time.

    kind: the format's name; root: the folder of all files that `read` looks at. Nothing is kept of small folders, and
    where files may lie outside of them.
    """
    if cfg.allow_outside or is_switched_off(LABEL_SWITCH):
        return read()
    stamp = folder_stamp(root)
    if stamp is None:
        return read()
    path = user_caches() / "labels" / f"{_key(cfg, split, kind, root)}{ENDING}"
    found = load(path, stamp)
    if found is not None:
        logger.info("%s: as it was when it was read before (%s)", root, path)
        return found
    index = read()
    if index.raw is None and all(isinstance(index.record(k).path, Path) for k in range(len(index))):
        _keep(index, path, stamp)
    return index


def folder_stamp(root: Path) -> str | None:
    """A number over names, sizes and times of all files below a folder, and the readers' code.

    Links are followed. None where there are few files, or where some folder cannot be read.
    """
    total, count = hashlib.sha256(_code().encode()), 0
    try:
        for name, facts in _files(root):
            total.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
            count += 1
    except OSError:
        return None
    return total.hexdigest() if count >= LEAST else None


def save(index: DetectionIndex, path: Path, stamp: str) -> None:
    """Write an index whole or not at all. UserError where it cannot be written."""
    arrays, runs = _arrays(index)
    header = {
        "annotation_file": str(index.annotation_file),
        "classes": index.classes,
        "category_ids": index.category_ids,
        "images": [[str(one.path), one.image_id, one.width, one.height] for one in _records(index)],
        "missing": sorted(index.missing),
        "report": dataclasses.asdict(index.report),
        "runs": runs,
        "arrays": {name: len(array) for name, array in arrays.items()},
    }
    text, total = json.dumps(header).encode(), hashlib.sha256()
    with written_whole(path) as file:
        for part in (MAGIC, stamp.encode(), struct.pack("<Q", len(text)), text, *arrays.values()):
            total.update(part)
            file.write(part)
        file.write(total.digest())


def load(path: Path, stamp: str) -> DetectionIndex | None:
    """The index in a file; None where there is none of this stamp, or it is not as it was written."""
    start = MAGIC + stamp.encode()
    try:
        if read_start(path, len(start)) != start:
            return None
        content = memoryview(read_bytes(path))
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("damaged")
        (length,) = struct.unpack("<Q", content[len(start) : len(start) + 8])
        place = len(start) + 8 + length
        header = json.loads(bytes(content[len(start) + 8 : place]))
        arrays = {}
        for name, kind in ARRAYS.items():
            arrays[name] = np.frombuffer(content, kind, header["arrays"][name], place)
            place += arrays[name].nbytes
        return _index(header, arrays)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error, UserError) as error:
        logger.info("%s is damaged, or cannot be read (%s): the label files are read", path, error)
        return None


def _keep(index: DetectionIndex, path: Path, stamp: str) -> None:
    reason = make_private(path.parent)
    if not reason:
        try:
            save(index, path, stamp)
            _tidy(path)
            return
        except UserError as error:
            reason = str(error)
    logger.info("nothing is kept of the labels: %s, %s", path.parent, reason)


def _tidy(newest: Path) -> None:
    """Back to the limit: what was written first goes first."""
    found = []
    for path in newest.parent.glob(f"*{ENDING}"):
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append((facts.st_mtime_ns, facts.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total > LIMIT and path != newest:
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def _key(cfg: Config, split: str, kind: str, root: Path) -> str:
    """Of what is asked for: the folder, the format, the split, and all keys that may reach its reader."""
    own = {item.name for one in EXTRA_KEYS for item in dataclasses.fields(one)} | set(FURTHER_KEYS)
    named = {one.name: one.value for one in leaves(cfg) if one.matters == "scores" or one.name.split(".")[0] in own}
    text = json.dumps([os.path.realpath(root), kind, split, named], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@functools.cache
def _code() -> str:
    total = hashlib.sha256()
    for path in sorted(READERS.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder, in a fixed order, with links followed, each folder once."""
    waiting, known = [str(root)], set()
    while waiting:
        folder = waiting.pop()
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in known:
            continue
        known.add((facts.st_dev, facts.st_ino))
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            try:
                if entry.is_dir():
                    waiting.append(entry.path)
                    continue
                yield entry.path, entry.stat()
            except FileNotFoundError:  # a link that leads nowhere
                yield entry.path, entry.stat(follow_symlinks=False)


def _records(index: DetectionIndex) -> Iterator[ImageRecord]:
    return (index.record(number) for number in range(len(index)))


def _arrays(index: DetectionIndex) -> tuple[dict[str, np.ndarray], list[dict]]:
    """The objects as arrays, and the RLEs among their masks."""
    objects = [item for record in _records(index) for item in record.objects]
    masks = [item.segmentation for item in objects]
    outlines = [mask for mask in masks if isinstance(mask, list)]
    polygons = list(chain.from_iterable(outlines))
    none = (np.nan,) * 4
    found = {
        "objects": [len(record.objects) for record in _records(index)],
        "box": list(chain.from_iterable(item.box for item in objects)),
        "written": list(chain.from_iterable(none if one.written_box is None else one.written_box for one in objects)),
        "area": [np.nan if item.area is None else item.area for item in objects],
        "label": [item.label for item in objects],
        "crowd": [item.crowd for item in objects],
        "kind": [NO_MASK if one is None else POLYGONS if isinstance(one, list) else RUNS for one in masks],
        "polygons": list(map(len, outlines)),
        "lengths": list(map(len, polygons)),
        "values": np.fromiter(chain.from_iterable(polygons), np.float64),
    }
    runs = [mask for mask in masks if isinstance(mask, dict)]
    return {name: np.ascontiguousarray(found[name], kind) for name, kind in ARRAYS.items()}, runs


def _index(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> DetectionIndex:
    masks = _masks(arrays, header["runs"])
    boxes, written = (map(tuple, arrays[name].reshape(-1, 4).tolist()) for name in ("box", "written"))
    areas, labels, crowds = (arrays[name].tolist() for name in ("area", "label", "crowd"))
    objects = (
        ObjectRecord(box, label, bool(crowd), mask, None if own[0] != own[0] else own, None if area != area else area)
        for box, label, crowd, mask, own, area in zip(boxes, labels, crowds, masks, written, areas)
    )
    records = [
        ImageRecord(Path(path), own, width, height, tuple(next(objects) for _ in range(count)))
        for (path, own, width, height), count in zip(header["images"], arrays["objects"].tolist())
    ]
    return DetectionIndex(
        Path(header["annotation_file"]),
        header["classes"],
        records,
        header["category_ids"],
        Report(**header["report"]),
        missing=header["missing"],
        is_checked=True,
    )


def _masks(arrays: dict[str, np.ndarray], runs: list[dict]) -> Iterator[object]:
    values, ends = arrays["values"].tolist(), np.cumsum(arrays["lengths"], dtype=np.int64).tolist()
    polygons = (values[end - length : end] for end, length in zip(ends, arrays["lengths"].tolist()))
    counts, codes = iter(arrays["polygons"].tolist()), iter(runs)
    for kind in arrays["kind"].tolist():
        if kind == POLYGONS:
            yield [next(polygons) for _ in range(next(counts))]
        else:
            yield next(codes) if kind == RUNS else None
