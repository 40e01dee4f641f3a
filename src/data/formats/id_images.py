"""Pictures whose pixels are ids of objects, 0 where there is none: reading them, and each id's mask."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ..images import MAX_PIXELS, SIZE_KEY, read_content

FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow knows some that run programs
MOST_OBJECTS = 100_000  # of a picture
MODES = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32}


def read_ids(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray | str:
    """(h, w) whole numbers of a picture of one channel, or why there are none, in a few words."""
    content = read_content(path)
    return decoded_ids(content, max_pixels) if content else "it is missing, or empty"


def decoded_ids(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray | str:
    """The same of a file's content. A palette's indices are the numbers, as they are of a grey picture's values."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                return f"it has {picture.width} x {picture.height} pixels, and {SIZE_KEY} is {max_pixels}"
            if picture.mode not in MODES:
                return f"it has pixels of the kind {picture.mode}, not one whole number each"
            if getattr(picture, "n_frames", 1) > 1:
                return f"it has {picture.n_frames} pages"
            ids = np.asarray(picture).astype(MODES[picture.mode], copy=False)
    except Exception:  # Pillow's readers raise many kinds for broken files
        return "it is no picture, or cut off"
    return "it has negative numbers" if ids.min(initial=0) < 0 else ids


def read_masks_by_id(path: Path, max_pixels: int) -> tuple[tuple[int, int], dict[int, dict] | str]:
    """(width, height) of a picture, and each number's RLE or why there are none."""
    ids = read_ids(path, max_pixels)
    if isinstance(ids, str):
        return (0, 0), ids
    try:
        return ids.shape[::-1], masks_by_id(ids)
    except ValueError as error:
        return (0, 0), str(error)


def masks_by_id(ids: np.ndarray) -> dict[int, dict]:
    """The RLE of every number but 0, in increasing order, all from one look at the picture.

    ValueError in a few words for more numbers than a picture has objects.

    >>> {number: code["size"] for number, code in masks_by_id(np.array([[0, 7], [7, 2]])).items()}
    {2: [2, 2], 7: [2, 2]}
    """
    height, width = ids.shape
    flat = ids.ravel(order="F")  # column by column, as RLE counts
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    order = np.flatnonzero(values)
    order = order[np.argsort(values[order], kind="stable")]
    numbers, firsts = np.unique(values[order], return_index=True)
    if len(numbers) > MOST_OBJECTS:
        raise ValueError(f"it has {len(numbers):,} numbers; at most {MOST_OBJECTS:,} are objects")
    masks = {}
    for number, runs in zip(numbers.tolist(), np.split(order, firsts[1:])):
        edges = np.empty(2 * len(runs), np.int64)
        edges[0::2], edges[1::2] = starts[runs], ends[runs]
        counts = np.diff(edges, prepend=0, append=flat.size).tolist()
        code = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        masks[number] = {"size": [height, width], "counts": code["counts"].decode("ascii")}
    return masks
