"""Pictures of one image side by side, each under its word: truth, prediction, where they differ."""

from collections.abc import Mapping

import cv2
import numpy as np

from .overlay import blend, enlarged

LONGEST_SIDE = 1024  # of each picture; larger ones are made smaller
GAP, BAR = 6, 26  # pixels between two, and of the line above them
WHITE, INK = 255, 0
WRONG_COLOUR = (54, 67, 244)  # BGR
DIMMED = 0.45  # of the image's grey where a map of errors has nothing to say


def in_a_row(pictures: Mapping[str, np.ndarray], longest: int = LONGEST_SIDE) -> np.ndarray:
    """Pictures (h, w, 3) of one size in one, with a line above that has the word of each; small ones enlarged."""
    scaled = [enlarged(picture)[0] for picture in pictures.values()]
    height, width = scaled[0].shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        scaled = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in scaled]
        height, width = scaled[0].shape[:2]
    page = np.full((height + BAR, len(scaled) * (width + GAP) - GAP, 3), WHITE, np.uint8)
    for place, (word, picture) in enumerate(zip(pictures, scaled)):
        left = place * (width + GAP)
        page[BAR:, left : left + width] = picture
        corner = (left + 4, BAR - 8)
        cv2.putText(page, word, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (INK,) * 3, 1, cv2.LINE_AA)
    return page


def coloured(image: np.ndarray, label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The image (h, w, 3) BGR with the class colours over it; ignored pixels show the image. palette: (C, 3) BGR."""
    is_class = label < len(palette)
    picture = blend(image, palette[np.where(is_class, label, 0)])
    return np.where(is_class[..., None], picture, image)


def segmentation_row(
    image: np.ndarray, label: np.ndarray, predicted: np.ndarray, palette: np.ndarray, longest: int
) -> np.ndarray:
    """Image (h, w, 3) BGR, truth, prediction and errors side by side: wrong pixels red, ignored ones black.

    label, predicted: of one size, stretched to the image's where that is another. longest: side of each picture.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    label, predicted = (cv2.resize(one, size, interpolation=cv2.INTER_NEAREST) for one in (label, predicted))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    errors = (grey * DIMMED).astype(np.uint8)
    is_counted = label < len(palette)
    errors[is_counted & (label != predicted)] = WRONG_COLOUR
    errors[~is_counted] = 0
    pictures = {
        "image": image,
        "truth": coloured(image, label, palette),
        "prediction": coloured(image, predicted, palette),
        "errors": errors,
    }
    return in_a_row(pictures, longest)
