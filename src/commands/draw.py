"""What draw_predictions.py does: pictures of the predictions that infer.py wrote."""

import sys

from ..config.arguments import Arguments, number, number_or_file, whole_number
from ..config.thresholds import read_thresholds
from ..data.decoding import ImageRules
from ..data.images import MAX_PIXELS
from ..errors import UserError
from ..inference.visualize import draw_prediction_file

DESCRIPTION = (
    "Draw the predictions that infer.py wrote: one overlay with boxes, masks, class names and scores for every image."
)


def main() -> None:
    parser = Arguments(description=DESCRIPTION)
    parser.add_argument("--pred_file", required=True, help="JSON file written by infer.py")
    parser.add_argument("--out_dir", required=True, help="folder for the overlays; made if it is not there")
    lowest = "lowest score to draw (%(default)s), or a file of one a class: thresholds.yaml of a report"
    parser.add_argument("--score_thr", type=number_or_file(-1e6, 1e6), default=0.3, help=lowest)
    parser.add_argument(
        "--max_image_pixels", type=whole_number(1, 2**30), default=MAX_PIXELS, help="pixels of an image (%(default)s)"
    )
    outside = "1: images that lie neither below the working folder nor below pred_file's are read too (%(default)s)"
    parser.add_argument("--allow_outside", type=int, choices=(0, 1), default=0, help=outside)
    parser.add_argument("--font", default="", help="font file for class names in a script that the usual fonts lack")
    parser.add_argument(
        "--exif", choices=("auto", "stored"), default="auto", help="as the predictions were made (%(default)s)"
    )
    window = "values of images with more than 8 bits a channel that are black and white; by default each file's range"
    parser.add_argument("--image_window", nargs=2, type=number(-1e38, 1e38), metavar=("LOW", "HIGH"), help=window)
    arguments = parser.parse_args()

    window = tuple(arguments.image_window or ())
    if window and window[0] >= window[1]:
        raise UserError(f"--image_window is {window[0]:g} {window[1]:g}; the lower number comes first")
    least = arguments.score_thr
    least = read_thresholds(least) if isinstance(least, str) else least
    limits = least, arguments.max_image_pixels, bool(arguments.allow_outside)
    rules = ImageRules(arguments.exif, window or None)
    written, problems = draw_prediction_file(arguments.pred_file, arguments.out_dir, *limits, rules, arguments.font)
    for problem in problems:
        print(f"not drawn: {problem}", file=sys.stderr)
    print(f"{len(written)} overlays in {arguments.out_dir}, {len(problems)} images not drawn")
    if problems and not written:
        raise UserError(f"{arguments.pred_file}: none of its {len(problems)} images could be drawn")
