"""A page of the data: `python -m src.commands.browse --config_path C [--split train|val] [--augmented 1] [--out DIR]
[--images 60] [--most_files 100000] [--key value ...]`.

DIR/index.html shows images of the split with their labels as training has them (--augmented 1: as its first epoch has
them, random changes and all), everything that is odd about the data, pictures that are in them twice, in training and
validation above all, and how much of what there is. DIR is train_outputs/browse_SPLIT where nothing is named; an
earlier page of this command is replaced, nothing else.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config, parse_cli
from ..config.arguments import Arguments, whole_number
from ..data.decoding import ImageRules
from ..errors import UserError, counted
from ..inference.sample_pictures import spread
from ..inference.sheets import seen_by_training, without_augmentation
from ..pages.page import Page
from ..process.command import entry_point
from ..process.logs import PACKAGE, quiet_logs, start_logging
from ..reports import data_page
from ..reports.data_page import LookedAt
from ..reports.folder import check_page_folder, write_report
from ..tasks import TASKS
from .places import inputs_of

KIND = "data"  # of the page, in report.json
SPLITS = {"train": "training", "val": "validation"}
REQUIRED = ("train_dataset|train_annotations|mindrecord_dir",)


@dataclass(frozen=True)
class Options:
    """images: on the sheets; most_files: of each set, that are opened for sizes, duplicates and what is unreadable."""

    split: str = "train"
    augmented: bool = False
    out: str = ""
    images: int = 60
    most_files: int = 100_000


@entry_point
def main(argv: list[str] | None = None) -> None:
    usual = Options()
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--split", choices=tuple(SPLITS), default=usual.split)
    parser.add_argument("--augmented", type=whole_number(0, 1), default=0)
    parser.add_argument("--out", default=usual.out)
    parser.add_argument("--images", type=whole_number(1, 10_000), default=usual.images)
    parser.add_argument("--most_files", type=whole_number(1, 100_000_000), default=usual.most_files)
    own, rest = parser.parse_known_args(argv)
    cfg = parse_cli(__doc__, rest, REQUIRED, "browse")
    quiet_logs()
    start_logging()
    browse(cfg, Options(own.split, bool(own.augmented), own.out, own.images, own.most_files))


def browse(cfg: Config, options: Options) -> Path:
    """The page's path, which is printed with what it found. UserError for what is wrong with the data, and for a place
    that cannot be written or holds something else.
    """
    folder = Path(options.out or Path(cfg.train_outputs) / f"browse_{options.split}")
    check_page_folder("--out", folder, inputs_of(cfg), KIND)
    task, found, title = TASKS[cfg.task], {}, f"The data of {Path(cfg.origin[0]).name}" if cfg.origin else "The data"
    cfg = task.resolved(cfg)
    if options.split == "val" and not task.has_validation(cfg):
        raise UserError("--split val: the configuration names no validation data, and val_split holds none out")
    among: list[str] = []
    with _heard() as said:
        drawer, samples = task.drawer(cfg, options.split), task.samples(cfg, options.split)  # known to fit, before all

        def fill(new: Path) -> dict:
            sets, lines = _look_at_sets(cfg, options)
            page = Page(new, title)
            rules = ImageRules.from_config(cfg)
            data_page.summary(page, sets, lines)
            entries = spread(len(samples.keys), options.images)
            own = sets[SPLITS[options.split]]
            stream = (seen_by_training if options.augmented else without_augmentation)(samples, entries, cfg)
            shown = (
                (own.names[samples.keys[entry]], None if sample is None else drawer.draw(sample))
                for entry, sample in stream
            )
            words = _sheet_words(cfg, options, len(samples.keys), len(own.names))
            found["images"] = data_page.images(page, *words, shown)
            found["duplicates"] = len(data_page.duplicates(page, sets, cfg.max_image_pixels, rules))
            among.append(data_page.among_opened(sets))
            data_page.classes_and_sizes(page, sets, drawer.legend, cfg.font)
            data_page.oddities(page, sets, said.lines)
            found["unusable"] = sum(len(one.problems) for one in sets.values())
            page.write()
            return {"kind": KIND, "split": options.split, "augmented": options.augmented} | found

        write_report(folder, fill)
    print(
        f"{folder / 'index.html'}: {counted(found['images'], 'image')} of {SPLITS[options.split]}, "
        f"{counted(found['duplicates'], 'duplicate')}{among[0]}, {counted(found['unusable'], 'unusable image')}",
        flush=True,
    )
    return folder / "index.html"


def _look_at_sets(cfg: Config, options: Options) -> tuple[dict[str, LookedAt], list[str]]:
    """The sets that there are by their names in words, the split's own among them; and lines about them."""
    task, sets, lines = TASKS[cfg.task], {}, []
    for split, name in SPLITS.items():
        if split == "val" and not task.has_validation(cfg):
            lines.append("The configuration names no validation data.")
            continue
        try:
            survey = task.survey(cfg, split)
        except UserError as error:
            if split == options.split:
                raise
            lines.append(f"There are no {name} data: {error}")
            continue
        if survey is None:
            raise UserError(f"task {task.name} does not tell what its data hold")
        rules = ImageRules.from_config(cfg)
        sets[name] = data_page.look_at_files(survey, options.most_files, cfg.max_image_pixels, rules)
    return sets, lines


def _sheet_words(cfg: Config, options: Options, total: int, whole: int) -> tuple[str, list[str]]:
    """Title, behind the number of images that are shown, and notes. total: that take part, of all that there are."""
    left = whole - total
    title = f"of {counted(total, f'{SPLITS[options.split]} image')}"
    size = f"{cfg.img_width}x{cfg.img_height}"
    if options.augmented:
        how = f"As the first epoch of seed {cfg.seed} has them, in the network's input of {size}, changed at random."
    else:
        how = f"As the network gets them in its input of {size}, without random changes (--augmented 1 makes them)."
    notes = [f"{how} Labels are drawn from the sample's own boxes, masks and classes; evenly over the set."]
    if left:
        notes.append(f"{left} more {'takes' if left == 1 else 'take'} no part: see what is odd.")
    return title, notes


@dataclass
class _Lines(logging.Handler):
    """Warnings, as they are logged."""

    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    __hash__ = object.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _heard() -> Iterator[_Lines]:
    """What is warned of within the block."""
    handler, root = _Lines(), logging.getLogger(PACKAGE)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)


if __name__ == "__main__":
    main()
