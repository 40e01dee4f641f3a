"""Configuration keys of infer.py on videos, and of what it draws."""

from .choices import MOST_STEPS
from .schema import key, keys


@keys(matters="never", on_resume="free")
class InferenceKeys:
    frame_step: int = key(1, "video: only every n-th frame", low=1, high=1_000_000)
    max_frames: int = key(0, "video: at most so many frames; 0 takes all", low=0, high=MOST_STEPS)
    draw: str = key(
        "",
        "folder for the images with what infer.py finds on them, as draw_predictions.py draws it (segmentation: the "
        "colours over the image); of a video an MP4 in it, or this .mp4; pred_output may be left out then",
    )
    draw_score_thr: float | str = key(
        0.3, "least score of an object that draw draws, or a file of one a class", low=0, high=1
    )
    draw_colours: str = key(
        "object", "draw: a colour an object of each picture, or a class, in all the same", choices=("object", "class")
    )
