"""Small pictures for the README out of large ones: see scripts/make_pictures.sh."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CHOSEN = (1, 3, 4, 9)  # of the overlays, by number from 1
SIDE = 300  # pixels of one of them
COLOURS = 64
LINE, ABOVE = 204, 48  # the grey of the line under a heading; from that line to above the heading, in pixels


def overlays(target: Path, sources: list[Path]) -> None:
    """The chosen pictures in a row, each cut to a square."""
    squares = [square(cv2.imread(str(sources[k - 1]))) for k in CHOSEN]
    cv2.imwrite(str(target), np.hstack(squares), [cv2.IMWRITE_JPEG_QUALITY, 85])


def square(picture: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3): the middle of a picture (H, W, 3)."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def save_small(target: Path, picture: Image.Image) -> None:
    """As PNG of few colours."""
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def sections(page: np.ndarray, first: int, last: int) -> np.ndarray:
    """The part of a page (H, W, 3) from above its first-th heading to above the one behind the last, from 1."""
    lines = np.flatnonzero((page == LINE).all(2).mean(1) > 0.9)
    starts = [max(0, row - ABOVE) for k, row in enumerate(lines) if not k or row - lines[k - 1] > 2]
    return page[starts[first - 1] : starts[last]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("overlay", "small", "report"))
    parser.add_argument("target", type=Path)
    parser.add_argument("sources", nargs="+", help="pictures; for a report its picture, the first and the last section")
    arguments = parser.parse_args()
    if arguments.kind == "overlay":
        overlays(arguments.target, sorted(Path(one) for one in arguments.sources))
    elif arguments.kind == "small":
        save_small(arguments.target, Image.open(arguments.sources[0]))
    else:
        page = np.asarray(Image.open(arguments.sources[0]).convert("RGB"))
        save_small(arguments.target, Image.fromarray(sections(page, *map(int, arguments.sources[1:]))))


if __name__ == "__main__":
    main()
