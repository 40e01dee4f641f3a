"""Write train.lst and val.lst of a folder of images and masks: `python -m src.data.custom_lst_maker --root ROOT`.

A sample is ROOT/images/X.jpg with ROOT/masks/X.png, of which --val_split holds a share out; or ROOT/train/images/X.jpg
with ROOT/train/masks/X.png (and val), or ROOT/images/train/X.jpg with ROOT/masks/train/X.png.
"""

from pathlib import Path

from ..config.arguments import Arguments, number
from ..errors import UserError
from ..process.command import entry_point
from ..reading import need_folder
from .formats import sample_list
from .formats.mask_folders import find_place, folder_names, read_pairs
from .held_out import split_part


def make_lists(root: Path, share: float = 0.0, overwrite: bool = False) -> None:
    """Write both lists. share: of the images that is held out where the folder has no split of its own.

    UserError, and nothing written: no such folders, nothing in them that belongs together, no share where one is
    needed, or a list that is there with other lines, unless it may be overwritten.
    """
    need_folder(root)
    places = {split: find_place(root, split, "custom") for split in sample_list.SUBSETS}
    if None in places.values():
        missing = next(split for split, place in places.items() if place is None)
        raise UserError(f"{root} has no {folder_names('custom')}, or none for {missing}")
    if not any(place.is_whole for place in places.values()):
        sample_list.write_lists(root, {split: read_pairs(place, root) for split, place in places.items()}, overwrite)
        return
    if not share:
        raise UserError(f"{root} has no val/ of its own: --val_split 0.15 holds a share of the images out")
    pairs, notes = read_pairs(places["train"], root)
    names = [Path(image).name for image, _ in pairs]
    parts = {split: [pairs[k] for k in split_part(names, split, share, root)] for split in sample_list.SUBSETS}
    lists = {split: (part, notes if split == "train" else []) for split, part in parts.items()}
    sample_list.write_lists(root, lists, overwrite)


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(prog="python -m src.data.custom_lst_maker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds images and masks")
    share = "share of the images, 0 to 0.9, for val.lst, told by a hash of their names"
    parser.add_argument("--val_split", type=number(0, 0.9), default=0.0, help=share)
    parser.add_argument("--overwrite", action="store_true", help="replace lists that are there with other lines")
    arguments = parser.parse_args(argv)
    make_lists(arguments.root, arguments.val_split, arguments.overwrite)


if __name__ == "__main__":
    main()
