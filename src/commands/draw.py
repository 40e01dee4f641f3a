"""What draw_predictions.py does: pictures of the predictions that infer.py wrote."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.arguments import Arguments, number, number_or_file, whole_number
from ..config.thresholds import read_thresholds
from ..data.decoding import ImageRules
from ..data.images import MAX_PIXELS
from ..errors import UserError, counted
from ..inference.draw_video import draw_video_file
from ..inference.drawing import COLOURS, SCORE, Drawing
from ..inference.fonts import FontBook
from ..inference.frame_lines import is_of_video
from ..inference.visualize import draw_prediction_file

DESCRIPTION = (
    "Draw the predictions that infer.py wrote: one overlay with boxes, masks, class names and scores for every image, "
    "or a video of a video's."
)
OF_VIDEO, OF_IMAGES = ("video", "video_out"), ("out_dir", "labels")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    _require_together(arguments)
    window = tuple(arguments.image_window or ())
    if window and window[0] >= window[1]:
        raise UserError(f"--image_window is {window[0]:g} {window[1]:g}; the lower number comes first")
    least = arguments.score_thr
    least = read_thresholds(least) if isinstance(least, str) else least
    rules = ImageRules(arguments.exif, window or None)
    if arguments.video:
        drawing = Drawing(least, arguments.colours, FontBook(arguments.font))
        files = (Path(one) for one in (arguments.pred_file, arguments.video, arguments.video_out))
        drawn = draw_video_file(*files, drawing, arguments.max_image_pixels, rules.upright)
        print(f"{counted(drawn, 'frame')} in {arguments.video_out}")
        return
    limits = least, arguments.max_image_pixels, bool(arguments.allow_outside)
    looks = arguments.font, arguments.colours, arguments.labels
    written, problems = draw_prediction_file(arguments.pred_file, arguments.out_dir, *limits, rules, *looks)
    for problem in problems:
        print(f"not drawn: {problem}", file=sys.stderr)
    print(f"{len(written)} overlays in {arguments.out_dir}, {len(problems)} images not drawn")
    if problems and not written:
        gone = all(problem.endswith("is missing") for problem in problems)
        hint = ": their names are as infer.py was given them, so draw from the folder in which it ran" if gone else ""
        raise UserError(f"{arguments.pred_file}: none of its {len(problems)} images could be drawn{hint}")


def _require_together(arguments: argparse.Namespace) -> None:
    """UserError for options of a video without one, and for those of images with one."""
    video = [name for name in OF_VIDEO if getattr(arguments, name)]
    others = [name for name in OF_IMAGES if getattr(arguments, name)]
    if not video and not arguments.out_dir:
        raise UserError("--out_dir is missing; see --help")
    if not video and is_of_video(arguments.pred_file):
        raise UserError(f"{arguments.pred_file} is of a video: give it as --video, and --video_out FILE.mp4")
    if video and others:
        raise UserError(f"--{others[0]} is for images, --{video[0]} for a video: leave one of them out")
    if len(video) == 1:
        raise UserError(f"--{next(name for name in OF_VIDEO if name not in video)} is missing; see --help")
    if arguments.video_out and Path(arguments.video_out).suffix.lower() != ".mp4":
        raise UserError(f"--video_out {arguments.video_out}: the video is an MP4; give a name that ends in .mp4")


def _parser() -> Arguments:
    parser = Arguments(description=DESCRIPTION)
    parser.add_argument("--pred_file", required=True, help="JSON file written by infer.py; of a video its lines")
    parser.add_argument("--out_dir", default="", help="folder for the overlays; made if it is not there")
    parser.add_argument("--video", default="", help="the video that pred_file is of, to be drawn into --video_out")
    parser.add_argument("--video_out", default="", help="MP4 file of the drawn video")
    truth = "COCO label file, or data set of any format that training reads: its objects are drawn beside"
    parser.add_argument("--labels", default="", help=truth)
    lowest = "lowest score to draw (%(default)s), or a file of one a class: thresholds.yaml of a report"
    parser.add_argument("--score_thr", type=number_or_file(-1e6, 1e6), default=SCORE, help=lowest)
    own = "one colour an object of a picture, or one a class, in every picture the same (%(default)s)"
    parser.add_argument("--colours", choices=COLOURS, default=COLOURS[0], help=own)
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
    return parser
