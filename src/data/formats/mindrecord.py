"""A COCO subset converted to MindRecord, read at random: its labels, and its image files as if in a folder.

MindSpore's own readers go through a file in one pass, or page by page (`MindPage`: 26 ms a row at 20,000 rows, and
slower the more there are). Training asks for images in an order of its own, so a row is read here in one go from where
the record's index (the `.db` file that MindSpore writes beside each shard) says that it lies. That index is private to
MindSpore: once its own reader gives a row by number as fast as a file is read, `Shard` and `_read_index` can go.
"""

import os
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...config import Config
from ...errors import UserError, short
from ...reading import is_file, parse_json, read_bytes, read_json
from .coco import read_content
from .index import DetectionIndex
from .places import ALLOW, inside, shown
from .rules import USUAL_RULES, Rules

MANIFEST = "dataset.json"  # of a converted subset: what is common to its shards
DONE_SUFFIX = ".done"  # beside a shard that is whole; written last
INDEX_SUFFIX = ".db"  # MindSpore's own, beside each shard
FORMAT = 1
MOST_NOTE = 2**16  # bytes of what is noted beside a shard
SCHEMA = {
    "index": {"type": "int64"},  # place of the image in the order of ascending image ids
    "crc32": {"type": "int64"},  # of the annotations followed by the image
    "annotations": {"type": "bytes"},  # JSON: {"image": the label file's entry, "annotations": the image's own}
    "image": {"type": "bytes"},  # the image file as it is; empty where it was missing
}
INDEX_FIELDS = ("index", "crc32")
BLOB_FIELDS = ["annotations", "image"]  # in the order in which MindSpore lays them down
LEAST_ROW = 24  # bytes: the length of the whole, and that of either field
DAMAGE = (  # what damaged bytes raise where they are read
    OSError, ValueError, KeyError, IndexError, TypeError, RecursionError, OverflowError, struct.error, sqlite3.Error,
)  # fmt: skip
KINDS = {"images": int, "shards": list, "other": dict, "strays": list}  # of what the manifest has
SUBSETS = {"train": "train", "val": "validation"}  # folders below mindrecord_dir


def open_mindrecord(cfg: Config, split: str) -> DetectionIndex:
    """The converted subset of the configuration's training ('train') or validation ('val') data."""
    return read_mindrecord(record_folder(cfg, split), cfg.coco_classes[1:], Rules.from_config(cfg))


def found_mindrecord(folder: Path, split: str) -> bool:
    """Whether the folder holds a converted subset."""
    return is_file(folder / MANIFEST)


def record_folder(cfg: Config, split: str) -> str:
    """Its folder: below `mindrecord_dir`, or `train_dataset` and `val_dataset` themselves where that is empty."""
    if cfg.mindrecord_dir:
        return str(Path(cfg.mindrecord_dir) / SUBSETS[split])
    return getattr(cfg, f"{split}_dataset")


def read_mindrecord(folder: str | Path, classes: Sequence[str], rules: Rules = USUAL_RULES) -> DetectionIndex:
    """What `src.data.mindrecord` made of a COCO subset: the index is that of the subset itself.

    UserError as `formats.coco.read_coco`, and if the folder holds no whole converted subset.
    """
    folder = Path(folder)
    content, images = read_records(folder, rules.allow_outside)
    return read_content(content, images, classes, folder / MANIFEST, rules)


@dataclass(frozen=True)
class Row:
    """Where one row's bytes lie in a shard, and its checksum."""

    index: int
    crc32: int
    offset: int
    length: int


class Shard:
    """One MindRecord file, open for reading rows at random from any thread or forked process."""

    def __init__(self, path: Path):
        self.path = path
        if not is_file(path):
            raise OSError("it is no regular file")
        self._file = os.open(path, os.O_RDONLY)
        (length,) = struct.unpack("<Q", os.pread(self._file, 8, 0))
        size = os.fstat(self._file).st_size
        if length > size:
            raise OSError("its header is longer than the file")
        header = parse_json(os.pread(self._file, length, 8))
        if header["schema"][0]["blob_fields"] != BLOB_FIELDS:
            raise UserError(f"{path} holds {short(header['schema'][0]['blob_fields'])}, not {BLOB_FIELDS}")
        self.rows = [
            Row(index, crc32, header["header_size"] + page * header["page_size"] + start, end - start)
            for page, start, end, index, crc32 in _read_index(path)
        ]
        for row in self.rows:
            is_whole = all(type(value) is int for value in (row.index, row.crc32, row.offset, row.length))
            if not is_whole or row.offset < 0 or row.length < LEAST_ROW or row.offset + row.length > size:
                raise OSError(f"row {short(row.index)} does not lie in it")

    def __del__(self):
        if hasattr(self, "_file"):
            os.close(self._file)

    def labels(self, row: Row) -> tuple[dict, int]:
        """The row's labels, and the number of bytes of its image. One of `DAMAGE` where they are damaged."""
        (length,) = struct.unpack(">Q", os.pread(self._file, 8, row.offset + 8))
        if length > row.length - LEAST_ROW:
            raise OSError("its labels are longer than the row")
        labels = parse_json(os.pread(self._file, length, row.offset + 16))
        if not isinstance(labels["image"]["file_name"], str) or not isinstance(labels["annotations"], list):
            raise ValueError("its labels are none")
        return labels, row.length - LEAST_ROW - length

    def image(self, row: Row) -> bytes:
        """The row's image file. OSError where the bytes are not those that were written."""
        blob = os.pread(self._file, row.length, row.offset)
        if len(blob) != row.length:
            raise OSError(f"{self.path} is cut off")
        (labels,) = struct.unpack_from(">Q", blob, 8)
        image = blob[LEAST_ROW + labels :]
        if zlib.crc32(image, zlib.crc32(blob[16 : 16 + labels])) != row.crc32:
            raise OSError(f"{self.path}: row {row.index} is damaged")
        return image


@dataclass(frozen=True)
class RecordFile:
    """An image inside a shard; answers to what is asked of a `pathlib.Path` when a file is read."""

    shard: Shard
    row: Row
    file_name: str
    size: int

    @property
    def name(self) -> str:
        return PurePosixPath(self.file_name).name

    def is_file(self) -> bool:
        """Whether the image was there when the data set was converted."""
        return self.size > 0

    def read_bytes(self) -> bytes:
        return self.shard.image(self.row)

    def __str__(self) -> str:
        return f"{self.shard.path}:{self.file_name}"


class RecordFolder:
    """The images of a converted subset; `folder / file_name` is one of them."""

    def __init__(self, files: dict[str, RecordFile]):
        self._files = files

    def __truediv__(self, file_name: str) -> RecordFile:
        return self._files[file_name]


def read_records(folder: Path, allow_outside: bool = False) -> tuple[dict, RecordFolder]:
    """The content of the label file that was converted, and its images.

    allow_outside: the shards may lie outside of the folder.
    UserError if there is no converted subset, one by another version, or one that is not whole.
    """
    manifest = read_manifest(folder)
    content = manifest["other"] | {"images": [], "annotations": list(manifest["strays"])}
    files = {}
    for name, path in shard_files(folder, manifest, allow_outside):
        check_whole(path)
        shard = open_shard(path)
        for row in shard.rows:
            try:
                labels, size = shard.labels(row)
                image, annotations, file_name = labels["image"], labels["annotations"], labels["image"]["file_name"]
            except DAMAGE:
                raise UserError(
                    f"{shard.path}: row {row.index} is damaged; delete {name}{DONE_SUFFIX} and convert again"
                ) from None
            content["images"].append(image)
            content["annotations"] += annotations
            files[file_name] = RecordFile(shard, row, file_name, size)
    if len(content["images"]) != manifest["images"]:
        raise UserError(f"{folder} has {len(content['images'])} images; {MANIFEST} says {manifest['images']}")
    return content, RecordFolder(files)


def read_manifest(folder: Path) -> dict:
    """What is common to the shards of `folder`. UserError if it is no converted subset of this version."""
    if not is_file(folder / MANIFEST):
        raise UserError(
            f"{folder} holds no converted data set (no {MANIFEST}); `python -m src.data.mindrecord` makes one"
        )
    manifest = read_json(folder / MANIFEST)
    is_ours = isinstance(manifest, dict) and manifest.get("format") == FORMAT
    if not is_ours or not KINDS.keys() <= manifest.keys():
        raise UserError(f"{folder / MANIFEST} was not written by this version; convert the data set again")
    for name, kind in KINDS.items():
        if type(manifest[name]) is not kind:
            raise UserError(f"{folder / MANIFEST} is damaged: '{name}' is {short(manifest[name])}")
    for place, name in enumerate(manifest["shards"]):
        if not isinstance(name, str) or not name:
            raise UserError(f"{folder / MANIFEST} is damaged: shards[{place}] is {short(name)}")
    return manifest


def shard_files(folder: Path, manifest: dict, allow_outside: bool = False) -> list[tuple[str, Path]]:
    """Name and file of every shard. UserError for one outside of the folder."""
    found = []
    for name in manifest["shards"]:
        path = inside(str(name), folder)
        if path is None and not allow_outside:
            raise UserError(
                f"{folder / MANIFEST}: it names the shard {shown(name)}, outside of the data set's folder; {ALLOW} "
                "reads it"
            )
        found.append((str(name), path or folder / name))
    return found


def check_whole(path: Path) -> dict:
    """What the conversion noted of a shard when it was done. UserError unless shard and index have that size still."""
    again = "run `python -m src.data.mindrecord` again, it goes on where it was"
    try:
        done = parse_json(read_bytes(path.with_name(path.name + DONE_SUFFIX), MOST_NOTE))
        written = [done["bytes"], done["index_bytes"]]
        if any(type(number) is not int for number in (done["rows"], *written)):
            raise ValueError("it counts no rows, or no bytes")
        sizes = [path.stat().st_size, path.with_name(path.name + INDEX_SUFFIX).stat().st_size]
    except DAMAGE:
        raise UserError(f"{path} is not finished: {again}") from None
    if sizes != written:
        raise UserError(f"{path} or its index is not of the size that was written: {again}")
    return done


def open_shard(path: Path) -> Shard:
    """UserError where the file or its index cannot be understood."""
    try:
        return Shard(path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read, it or its index is damaged ({error})") from None


def _read_index(path: Path) -> list[tuple[int, ...]]:
    """(page, start and end within it, index, crc32) of every row, by ascending index."""
    address = f"{path.resolve().as_uri()}{INDEX_SUFFIX}?mode=ro&immutable=1"
    fields = ", ".join(f"{name}_0" for name in INDEX_FIELDS)
    query = f"SELECT PAGE_ID_BLOB, PAGE_OFFSET_BLOB, PAGE_OFFSET_BLOB_END, {fields} FROM INDEXES ORDER BY index_0"
    database = sqlite3.connect(address, uri=True)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        if database.execute("SELECT type FROM sqlite_master WHERE name = 'INDEXES'").fetchall() != [("table",)]:
            raise OSError("its index has no table of rows")  # a view is a program, which may run for ever
        rows = database.execute(query).fetchall()
        if not all(type(number) is int for row in rows for number in row):
            raise OSError("its index holds what are no numbers")
        return rows
    finally:
        database.close()
