"""Write train.lst and val.lst of a Cityscapes tree: `python -m src.data.cityscapes_lst_maker --root ROOT`.

A sample is ROOT/leftImg8bit/<subset>/<city>/X_leftImg8bit.png with ROOT/gtFine/<subset>/<city>/X_gtFine_labelIds.png.
"""

from pathlib import Path

from ..config.arguments import Arguments
from ..process.command import entry_point
from ..reading import need_folder
from .formats import sample_list

IMAGES, IMAGE_SUFFIX = "leftImg8bit", "_leftImg8bit.png"
LABELS, LABEL_SUFFIX = "gtFine", "_gtFine_labelIds.png"  # beside _color, _instanceIds and _polygons.json


def make_lists(root: Path, overwrite: bool = False) -> None:
    """Write both lists. UserError, and nothing written, for a missing folder, a subset without a labelled image,
    or a list that is there with other lines, unless it may be overwritten.
    """
    need_folder(root)
    sample_list.write_lists(root, {subset: _samples(root, subset) for subset in sample_list.SUBSETS}, overwrite)


def _samples(root: Path, subset: str) -> tuple[sample_list.Pairs, list[str]]:
    images = sample_list.files_by_name(root / IMAGES / subset, "*/*", IMAGE_SUFFIX, root)
    labels = sample_list.files_by_name(root / LABELS / subset, "*/*", LABEL_SUFFIX, root)
    return sample_list.pair(images, labels, f"{root} ({subset})")


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(prog="python -m src.data.cityscapes_lst_maker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds leftImg8bit and gtFine")
    parser.add_argument("--overwrite", action="store_true", help="replace lists that are there with other lines")
    arguments = parser.parse_args(argv)
    make_lists(arguments.root, arguments.overwrite)


if __name__ == "__main__":
    main()
