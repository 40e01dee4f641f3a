"""Write labels of any format as COCO's, or as labelme's: `python -m src.data.convert IN OUT [--to labelme] ...`.

OUT gets labels.json and data/ (labelme: a JSON file beside each image); OUT/train and OUT/validation have them where IN
holds both. OUT is made whole or not at all, and must be new. Keys of the configuration that say how labels are to be
taken (--allow_outside 1, --crowd_rle objects) come after OUT.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Config, default_config
from ..config.arguments import Arguments
from ..config.choices import AUTO
from ..errors import UserError, listed
from ..files import sweep, temporary_folder, write_bytes
from ..outputs import is_within
from ..process.command import entry_point
from ..process.logs import quiet_logs
from ..reading import is_file, is_folder
from .formats import FORMATS, open_detection
from .formats.categories import agreed_ids
from .formats.fields import Id
from .formats.index import DetectionIndex
from .formats.mindrecord import RecordFile
from .formats.report import named
from .images import is_image, is_there, read_content
from .label_writers import file_names, write_coco, write_labelme
from .read_ahead import read_ahead

SUBSETS = {"train": "train", "val": "validation"}  # folders of OUT, where IN has both
WRITTEN = ("coco", "labelme")
READERS, AHEAD = 4, 32  # threads that read image files, and files that they are ahead


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(
        prog="python -m src.data.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="IN", help="folder of the labels and images")
    parser.add_argument("target", metavar="OUT", help="folder to make")
    parser.add_argument("--format", default=AUTO, choices=(AUTO, *FORMATS), help="of IN (%(default)s: told by it)")
    parser.add_argument("--to", default=WRITTEN[0], choices=WRITTEN, help="what to write (%(default)s)")
    parser.add_argument("--images", default="copy", choices=("copy", "link"), help="images in OUT (%(default)s)")
    known, rest = parser.parse_known_args(argv)
    quiet_logs()
    places = {f"{split}_{what}": value for split in SUBSETS for what, value in
              (("dataset", known.source), ("data_type", known.format))}  # fmt: skip
    cfg = replace(default_config(rest), **places)
    convert(cfg, Path(known.target), known.to, known.images == "link")


def convert(cfg: Config, target: Path, to: str = WRITTEN[0], link: bool = False) -> None:
    """Write the configuration's data into the new folder `target`; what was written is printed.

    to: one of `WRITTEN`. link: images become links to those of the source. UserError for what is wrong with the data,
    and where the target is there already, lies in the source, or cannot be written.
    """
    target = _checked_target(cfg, target)
    datasets = _open(cfg)
    ids = _category_ids(list(datasets.values()))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.name)
        with temporary_folder(target) as folder:
            for split, dataset in datasets.items():
                _write(dataset, folder / SUBSETS[split] if len(datasets) > 1 else folder, ids, to, link)
            os.rename(folder, target)
    except OSError as error:
        raise UserError(f"OUT {target}: cannot be written ({error.strerror})") from None
    for split, dataset in datasets.items():
        place = target / SUBSETS[split] if len(datasets) > 1 else target
        print(f"{place}: {len(dataset)} images, {dataset.report.objects} objects, {len(ids)} classes: {listed(ids)}")


def _checked_target(cfg: Config, target: Path) -> Path:
    source = Path(cfg.train_dataset)
    target = Path(os.path.realpath(target))
    if os.path.lexists(target) and (not is_folder(target) or os.listdir(target)):
        raise UserError(f"OUT {target} is there already: give a new folder")
    folder = source.parent if is_file(source) else source
    if is_folder(folder) and is_within(target, folder):
        raise UserError(f"OUT {target} lies in IN, whose labels it would join: give another folder")
    return target


def _open(cfg: Config) -> dict[str, DetectionIndex]:
    """The splits that the source holds; one where both are the same images."""
    found, problems = {}, {}
    for split in SUBSETS:
        try:
            found[split] = open_detection(cfg, split)
        except UserError as error:
            problems[split] = error
    if not found:
        raise problems["train"]
    if len(found) == 2 and found["train"].paths() == found["val"].paths():
        del found["val"]
    for split, problem in problems.items():
        print(f"no {SUBSETS[split]} data: {problem}", file=sys.stderr)
    return found


def _category_ids(datasets: Sequence[DetectionIndex]) -> dict[str, Id]:
    """The id of each class: the format's own where they are numbers on which the splits agree, else 1, 2, ..."""
    return agreed_ids([pair for one in datasets for pair in zip(one.classes, one.category_ids)])


def _write(dataset: DetectionIndex, folder: Path, ids: dict[str, Id], to: str, link: bool) -> None:
    names = file_names(dataset)
    images = folder / "data" if to == "coco" else folder
    _write_images(dataset, names, images, link)
    if to == "coco":
        write_coco(dataset, names, ids, folder)
    else:
        write_labelme(dataset, names, folder)


def _write_images(dataset: DetectionIndex, names: Sequence[str], folder: Path, link: bool) -> None:
    """The image files; those that are missing, and files that are no images, are named."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [dataset.record(index).path for index in range(len(dataset))]
    left_out = []
    contents = read_ahead(lambda path: None if link else _content(path), paths, READERS, AHEAD)
    for name, path, content in zip(names, paths, contents):
        if link and is_there(path) and not isinstance(path, RecordFile):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.path.realpath(path), folder / name)
        elif content := _content(path) if link else content:
            write_bytes(folder / name, content)
        else:
            left_out.append(path.name)
    if left_out:
        print(f"{len(left_out)} images are missing, or no images: not written ({named(left_out)})", file=sys.stderr)


def _content(path) -> bytes:
    """The file of an image, empty where it is none: a link in a data set may lead to any file."""
    content = read_content(path)
    return content if content and is_image(content) else b""


if __name__ == "__main__":
    main()
