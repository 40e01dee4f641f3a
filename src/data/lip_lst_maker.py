"""Write train.lst and val.lst of a LIP tree: `python -m src.data.lip_lst_maker --root ROOT`.

ROOT/<subset>_id.txt names the samples, one id a line; a sample is ROOT/TrainVal_images/<subset>_images/ID.jpg with
ROOT/TrainVal_parsing_annotations/<subset>_segmentations/ID.png.
"""

from pathlib import Path

from ..config.arguments import Arguments
from ..errors import UserError
from ..process.command import entry_point
from ..reading import need_folder
from .formats import sample_list
from .formats.text_lines import read_lines

IMAGE_SUFFIX, LABEL_SUFFIX = ".jpg", ".png"


def image_folder(root: Path, subset: str) -> Path:
    return root / "TrainVal_images" / f"{subset}_images"


def label_folder(root: Path, subset: str) -> Path:
    return root / "TrainVal_parsing_annotations" / f"{subset}_segmentations"


def make_lists(root: Path, overwrite: bool = False) -> None:
    """Write both lists. UserError, and nothing written: a missing folder or id file, a subset without samples,
    or a list that is there with other lines, unless it may be overwritten.
    """
    need_folder(root)
    sample_list.write_lists(root, {subset: _samples(root, subset) for subset in sample_list.SUBSETS}, overwrite)


def _samples(root: Path, subset: str) -> tuple[sample_list.Pairs, list[str]]:
    images = sample_list.files_by_name(image_folder(root, subset), "*", IMAGE_SUFFIX, root)
    labels = sample_list.files_by_name(label_folder(root, subset), "*", LABEL_SUFFIX, root)
    id_file = root / f"{subset}_id.txt"
    ids = _read_ids(id_file)
    names = set(ids)
    pairs, notes = sample_list.pair(
        {name: path for name, path in images.items() if name in names},
        {name: path for name, path in labels.items() if name in names},
        str(id_file),
    )
    files = images.keys() | labels.keys()
    notes += sample_list.count_line(str(id_file), "ids with neither image nor label", names - files)
    notes += sample_list.count_line(str(id_file), "images or labels whose id is not in it", files - names)
    if len(ids) > len(names):
        notes.append(f"{id_file}: {len(ids) - len(names)} repeated ids, taken once")
    return pairs, notes


def _read_ids(path: Path) -> list[str]:
    """Ids in the order of the file, without blank lines and file name endings."""
    try:
        lines = read_lines(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return [line.removesuffix(IMAGE_SUFFIX).removesuffix(LABEL_SUFFIX) for _, line in lines]


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(prog="python -m src.data.lip_lst_maker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds TrainVal_images and train_id.txt")
    parser.add_argument("--overwrite", action="store_true", help="replace lists that are there with other lines")
    arguments = parser.parse_args(argv)
    make_lists(arguments.root, arguments.overwrite)


if __name__ == "__main__":
    main()
