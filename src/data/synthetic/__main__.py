"""Small data sets of drawn shapes, in the layouts of the real ones: `python -m src.data.synthetic coco OUT ...`.

The same arguments give byte-identical labels and the same pictures.
"""

from collections.abc import Callable
from pathlib import Path

from ...config.arguments import Arguments, whole_number
from ...errors import UserError
from ...process.command import entry_point
from .cityscapes import write_cityscapes
from .coco import write_coco, write_fine_coco
from .imagenet import write_imagenet
from .lip import write_lip

LAYOUTS: dict[str, Callable[[Path, int, int, int, int], None]] = {
    "coco": write_coco,
    "coco-fine": write_fine_coco,
    "imagenet": write_imagenet,
    "cityscapes": write_cityscapes,
    "lip": write_lip,
}


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(prog="python -m src.data.synthetic", description=__doc__)
    parser.add_argument(
        "layout", choices=sorted(LAYOUTS), help="layout of the data set; coco-fine draws shapes of fine boundaries"
    )
    parser.add_argument("out", type=Path, help="folder to make; it must not hold anything yet")
    parser.add_argument("--images", type=whole_number(1, 1_000_000), default=200, help="training images (default 200)")
    parser.add_argument(
        "--val-images",
        type=whole_number(0, 1_000_000),
        default=0,
        help="validation images (default a quarter, at least 8)",
    )
    parser.add_argument("--size", type=whole_number(32, 8192), default=128, help="longer side in pixels (default 128)")
    parser.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=0, help="other seeds give other pictures")
    arguments = parser.parse_args(argv)
    if arguments.out.exists() and (not arguments.out.is_dir() or any(arguments.out.iterdir())):
        raise UserError(f"{arguments.out} is there already and not an empty folder: nothing is written over")
    val_images = arguments.val_images or max(8, arguments.images // 4)
    try:
        LAYOUTS[arguments.layout](arguments.out, arguments.images, val_images, arguments.size, arguments.seed)
    except OSError as error:
        raise UserError(f"{arguments.out} cannot be written: {error.strerror or error}") from None
    print(f"{arguments.images} training and {val_images} validation images written to {arguments.out}")


if __name__ == "__main__":
    main()
