"""Convert COCO data to MindRecord shards: `python -m src.data.mindrecord --config_path C --mindrecord_dir D ...`.

Writes D/train from train_dataset and D/validation from val_dataset: the image files as they are, and their annotations.
A stopped conversion goes on with the shards that are not whole. With --verify_only it only reads everything back.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..config import Config, parse_cli
from ..config.arguments import Arguments
from ..config.train_sets import set_count
from ..errors import UserError
from ..files import write_text
from ..process.command import entry_point
from ..process.log_words import Words
from ..process.logs import quiet_logs
from ..reading import is_file, is_folder
from .formats.coco import coco_source, open_coco
from .formats.index import DetectionIndex
from .formats.mindrecord import (
    DONE_SUFFIX,
    FORMAT,
    INDEX_FIELDS,
    INDEX_SUFFIX,
    MANIFEST,
    SCHEMA,
    SUBSETS,
    check_whole,
    open_shard,
    read_manifest,
    shard_files,
)
from .formats.report import named
from .images import is_image, is_there
from .read_ahead import read_ahead

SPLIT = {folder: split for split, folder in SUBSETS.items()}
SHARD_BYTES = 2**30  # of a shard where mindrecord_shards does not say how many there are
BATCH = 32  # rows handed over at once
READERS = 2  # threads that read and decode image files
LEAST_PAGE, USUAL_PAGE, LARGEST_PAGE = 2**15, 2**25, 2**28  # bytes; MindRecord's own limits and default
PAGE_UNIT = 2**12
FRAME = 64  # bytes at most that MindRecord adds to a row
LEAST_HEADER, LARGEST_HEADER = 2**14, 2**27


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--verify_only", action="store_true")
    known, rest = parser.parse_known_args(argv)
    cfg = parse_cli(__doc__, rest, required=("mindrecord_dir",), command="mindrecord")
    quiet_logs()
    if set_count(cfg) > 1:
        raise UserError(
            f"train_dataset names {set_count(cfg)} data sets: convert each of them to a mindrecord_dir of its own; the "
            "folders train in those are training data sets again, [R1/train, R2/train]"
        )
    subsets = [name for name, split in SPLIT.items() if coco_source(cfg, split)]
    if known.verify_only:
        found = [name for name in SPLIT if is_folder(Path(cfg.mindrecord_dir) / name)]
        if not found:
            raise UserError(f"{cfg.mindrecord_dir} holds no converted data set to verify")
        for name in found:
            print(f"{name}: {verify(Path(cfg.mindrecord_dir) / name, cfg.allow_outside)}", flush=True)
    elif subsets:
        datasets = {name: open_coco(cfg, SPLIT[name]) for name in subsets}
        words = Words("mindrecord", cfg.log_style)
        words.say("create")
        for name, dataset in datasets.items():
            convert(cfg, dataset, Path(cfg.mindrecord_dir) / name)
            print(f"{name}: {verify(Path(cfg.mindrecord_dir) / name)}", flush=True)
        words.say("created", folder=cfg.mindrecord_dir)
    else:
        raise UserError("nothing to convert: give --train_dataset or --val_dataset")


def convert(cfg: Config, dataset: DetectionIndex, folder: Path) -> None:
    """Write the shards of `dataset` that are not whole in `folder` yet.

    UserError if the folder holds another data set or division, if another conversion is at work there, or if it cannot
    be written.
    """
    source = Source(dataset)
    with _locked(folder):
        manifest = _plan(cfg, source) | source.common()
        if is_file(folder / MANIFEST):
            if read_manifest(folder) != manifest:
                raise UserError(f"{folder} holds another data set or number of shards: give another mindrecord_dir")
        else:
            write_text(folder / MANIFEST, json.dumps(manifest))
        bounds = shard_bounds(len(source), len(manifest["shards"]))
        for name, first, end in zip(manifest["shards"], bounds, bounds[1:]):
            try:
                check_whole(folder / name)
                print(f"{folder / name}: whole already", flush=True)
            except UserError:
                _write_shard(folder / name, source.rows(first, end), manifest)
                print(f"{folder / name}: images {first + 1} to {end} of {len(source)}", flush=True)
    if source.refused:
        print(f"{folder}: {len(source.refused)} files are no images: not packed ({named(source.refused)})", flush=True)


def shard_bounds(images: int, shards: int) -> list[int]:
    """Number of the first image of each shard, and of images."""
    return [images * i // shards for i in range(shards + 1)]


class Source:
    """A COCO data set as rows of `SCHEMA`; `refused` are the names of files that turned out to be no images."""

    def __init__(self, dataset: DetectionIndex):
        self.dataset, self.refused = dataset, []

    def __len__(self) -> int:
        return len(self.dataset)

    def rows(self, first: int, end: int) -> Iterator[dict]:
        """Rows `first` to `end` - 1."""
        images = read_ahead(self._image, range(first, end), READERS, ahead=BATCH)
        for index, image in zip(range(first, end), images):
            labels = self._labels(index)
            checksum = zlib.crc32(image, zlib.crc32(labels))
            yield {"index": index, "crc32": checksum, "annotations": labels, "image": image}

    def _image(self, index: int) -> bytes:
        """The file, empty where it is missing or does not decode: a link in a data set may lead to any file."""
        path = self.dataset.record(index).path
        content = path.read_bytes() if is_there(path) else b""
        if content and not is_image(content):
            self.refused.append(path.name)
            return b""
        return content

    def sizes(self) -> list[int]:
        """Bytes of each row's fields of variable length."""
        paths = [self.dataset.record(index).path for index in range(len(self))]
        images = [path.stat().st_size if is_there(path) else 0 for path in paths]
        return [size + len(self._labels(index)) for index, size in enumerate(images)]

    def common(self) -> dict:
        """The part of the label file that belongs to no image, and a hash of all of it."""
        return {
            "labels_sha256": hashlib.sha256(self.dataset.annotation_file.read_bytes()).hexdigest(),
            "other": self.dataset.raw.rest,
            "strays": self.dataset.raw.strays,
        }

    def _labels(self, index: int) -> bytes:
        image, annotations = self.dataset.raw.images[index]
        return json.dumps({"image": image, "annotations": annotations}).encode()


def verify(folder: Path, allow_outside: bool = False) -> str:
    """Read every row of every shard back, by MindSpore's reader and by ours; one line of what was found.

    allow_outside: the shards may lie outside of the folder.
    UserError naming the first shard and row that is not what was written.
    """
    manifest = read_manifest(folder)
    expected, payload, stored = 0, 0, 0
    for _, path in shard_files(folder, manifest, allow_outside):
        done = check_whole(path)
        count, size = _verify_shard(path, expected)
        if count != done["rows"]:
            raise UserError(f"{path} has {count} rows; {done['rows']} were written")
        expected, payload, stored = expected + count, payload + size, stored + done["bytes"] + done["index_bytes"]
    if expected != manifest["images"]:
        raise UserError(f"{folder} has {expected} images; {manifest['images']} were to be written")
    count = len(manifest["shards"])
    return f"{expected} images in {count} shards verified; {payload:,} bytes of images in {stored:,} bytes"


def _verify_shard(path: Path, first: int) -> tuple[int, int]:
    """Number of rows and of bytes of images in a shard whose rows start at number `first`."""
    from mindspore.mindrecord import FileReader

    again = f"delete {path.name}{DONE_SUFFIX} and convert again"
    shard, count, size = open_shard(path), 0, 0
    try:
        with contextlib.closing(FileReader(str(path), num_consumer=1)) as reader:
            for row, item in zip(shard.rows, reader.get_next(), strict=True):
                checksum = zlib.crc32(item["image"], zlib.crc32(item["annotations"]))
                if (row.index, item["index"]) != (first + count,) * 2 or checksum != item["crc32"]:
                    raise UserError(f"{path}: row {first + count} is not what was written; {again}")
                if shard.image(row) != item["image"]:
                    raise UserError(f"{path}: the index does not lead to row {first + count}; {again}")
                count, size = count + 1, size + len(item["image"])
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({str(error).strip().splitlines()[0]}); {again}") from None
    return count, size


def _plan(cfg: Config, source: Source) -> dict:
    """Shard names, and page and header sizes that leave little of the files empty.

    All shards of a MindRecord data set must agree in both. Page sizes up to the usual one are tried on the images.
    """
    sizes = [size + FRAME for size in source.sizes()]
    shards = max(1, min(cfg.mindrecord_shards or math.ceil(sum(sizes) / SHARD_BYTES), len(sizes)))
    bounds = shard_bounds(len(sizes), shards)
    parts = [sizes[first:end] for first, end in zip(bounds, bounds[1:])]
    least = max(LEAST_PAGE, _round_up(max(sizes), PAGE_UNIT))
    if least > LARGEST_PAGE:
        raise UserError(f"an image with its annotations has {least:,} bytes; MindRecord takes {LARGEST_PAGE:,}")
    tried = [least]
    while tried[-1] < USUAL_PAGE:
        tried.append(_round_up(tried[-1] * 17 // 16, PAGE_UNIT))
    page = min(tried, key=lambda candidate: candidate * sum(_pages(part, candidate) for part in parts))
    needed = 8192 + 256 * max(_pages(part, page) for part in parts) + 64 * max(map(len, parts)) // BATCH
    header = LEAST_HEADER
    while header < min(needed, LARGEST_HEADER):
        header *= 2
    names = [f"shard-{i + 1:0{len(str(shards))}d}-of-{shards}.mindrecord" for i in range(shards)]
    return {"format": FORMAT, "images": len(sizes), "shards": names, "page_size": page, "header_size": header}


def _pages(sizes: list[int], page: int) -> int:
    """Pages of a shard: rows in order, each page filled until the next row does not fit, and one page of numbers."""
    count, used = 1, page
    for size in sizes:
        if used + size > page:
            count, used = count + 1, 0
        used += size
    return count


def _write_shard(path: Path, rows: Iterator[dict], manifest: dict) -> None:
    """Write a shard and its index aside, move both into place, and note last that they are whole."""
    from mindspore.mindrecord import FileWriter

    aside = path.parent / f".{path.name}.tmp"
    done = path.with_name(path.name + DONE_SUFFIX)
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of a killed conversion
        done.unlink(missing_ok=True)
        aside.mkdir()
        writer = FileWriter(str(aside / path.name), shard_num=1)
        writer.set_header_size(manifest["header_size"])
        writer.set_page_size(manifest["page_size"])
        writer.add_schema(SCHEMA, "COCO images with their annotations")
        writer.add_index(list(INDEX_FIELDS))
        count, batch = 0, []
        for row in rows:
            batch.append(row)
            count += 1
            if len(batch) == BATCH:
                writer.write_raw_data(batch)
                batch = []
        if batch:
            writer.write_raw_data(batch)
        writer.commit()
        sizes = []
        for target in (path, path.with_name(path.name + INDEX_SUFFIX)):
            written = aside / target.name
            with open(written, "rb") as file:
                os.fsync(file.fileno())
            written.chmod(0o644)  # MindSpore leaves them to their owner alone
            sizes.append(written.stat().st_size)
            os.replace(written, target)
        aside.rmdir()
    except (RuntimeError, OSError) as error:
        raise UserError(f"{path} cannot be made: {str(error).strip().splitlines()[0]}") from None
    write_text(done, json.dumps({"rows": count, "bytes": sizes[0], "index_bytes": sizes[1]}))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep another conversion out of `folder`, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    with os.fdopen(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another conversion is at work in {folder}") from None
        yield


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


if __name__ == "__main__":
    main()
