"""infer.py for segmentation: an index PNG, a colour PNG and a blended overlay of every image."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..config import Config
from ..data.images import log_if_too_large, read_bgr
from ..data.label_sets import label_set
from ..errors import UserError
from .segment import make_segmenter
from .visualize import unique_stems

OPACITY = 0.5


def segment_files(
    cfg: Config, model, paths: Sequence[Path], out: Path
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Write NAME_index.png, NAME_color.png and NAME_overlay.png into `out` for every image.

    Index pictures hold class numbers (0, 1, ...), one channel. Returns the files of each image, and the images that
    cannot be read. UserError if a file cannot be written.
    """
    labels = label_set(cfg)
    segmenter = make_segmenter(cfg, model, labels)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"pred_output {out} cannot be made a folder: {error.strerror}") from None
    written, unreadable = {}, []
    for path, stem in zip(paths, unique_stems(paths)):
        image = read_bgr(path, upright=True, max_pixels=cfg.max_image_pixels)
        if image is None:
            log_if_too_large(path, cfg.max_image_pixels)
            unreadable.append(path)
            continue
        label = segmenter.scores(image).label_map(image.shape[:2])
        colour = labels.palette[label][..., ::-1]
        pictures = {"index": label, "color": colour, "overlay": blend(image, colour)}
        written[path] = [out / f"{stem}_{kind}.png" for kind in pictures]
        for target, picture in zip(written[path], pictures.values()):
            if not cv2.imwrite(str(target), picture):
                raise UserError(f"{target}: cannot be written")
    return written, unreadable


def blend(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: the image with the class colours over it."""
    return cv2.addWeighted(image, 1 - OPACITY, np.ascontiguousarray(colour), OPACITY, 0)
