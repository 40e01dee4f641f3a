"""Draw the predictions that infer.py wrote: one overlay with boxes, masks, class names and scores for every image."""

import argparse
import sys

from src.errors import UserError
from src.inference.visualize import draw_prediction_file
from src.process.command import entry_point


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pred_file", required=True, help="JSON file written by infer.py")
    parser.add_argument("--out_dir", required=True, help="folder for the overlays; made if it is not there")
    parser.add_argument("--score_thr", type=float, default=0.3, help="lowest score to draw (%(default)s)")
    outside = "1: images that lie neither below the working folder nor below pred_file's are read too (%(default)s)"
    parser.add_argument("--allow_outside", type=int, choices=(0, 1), default=0, help=outside)
    arguments = parser.parse_args()

    places = arguments.pred_file, arguments.out_dir
    written, problems = draw_prediction_file(*places, arguments.score_thr, bool(arguments.allow_outside))
    for problem in problems:
        print(f"not drawn: {problem}", file=sys.stderr)
    print(f"{len(written)} overlays in {arguments.out_dir}, {len(problems)} images not drawn")
    if problems and not written:
        raise UserError(f"{arguments.pred_file}: none of its {len(problems)} images could be drawn")


if __name__ == "__main__":
    main()
