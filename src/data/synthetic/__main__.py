"""Small data sets of drawn shapes, in the layouts of the real ones: `python -m src.data.synthetic coco OUT ...`.

The same arguments give byte-identical labels and the same pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

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
    parser = argparse.ArgumentParser(prog="python -m src.data.synthetic", description=__doc__)
    parser.add_argument(
        "layout", choices=sorted(LAYOUTS), help="layout of the data set; coco-fine draws shapes of fine boundaries"
    )
    parser.add_argument("out", type=Path, help="folder to make; it must not hold anything yet")
    parser.add_argument("--images", type=int, default=200, help="training images (default 200)")
    parser.add_argument("--val-images", type=int, default=0, help="validation images (default a quarter, at least 8)")
    parser.add_argument("--size", type=int, default=128, help="longer side in pixels (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other pictures")
    arguments = parser.parse_args(argv)
    if arguments.images < 1 or arguments.size < 32 or arguments.val_images < 0 or arguments.seed < 0:
        raise UserError("--images must be at least 1, --size at least 32, --val-images and --seed at least 0")
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
