"""What happens to values on their way from a source's layout to ours. Each takes and returns one array of a layer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Of the configured model: anchors at a position of one pyramid level are scales x ratios; `class_layers` begin the
    names of parameters whose shape follows the number of classes.
    """

    scales: int = 1
    ratios: int = 3
    class_layers: tuple[str, ...] = ()


def background_last(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Class scores (1 + C, ...), background first -> background last."""
    return np.roll(value, -1, axis=0)


def no_background_boxes(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Box deltas (4 (1 + C), ...) with background first -> (4 C, ...); class-agnostic ones stay."""
    return value if value.shape[0] == 4 else value[4:]


def no_background_masks(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Masks (1 + C, ...) with background first -> (C, ...)."""
    return value if value.shape[0] == 1 else value[1:]


def ratios_outermost(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Anchors of a position (sizes x ratios [x 4], ...), ratios running fastest -> sizes running fastest.

    An array with another number of anchors than the configured one stays; its shape is complained about later.
    """
    anchors = layout.scales * layout.ratios
    if value.shape[0] not in (anchors, 4 * anchors):
        return value
    parts = value.reshape(layout.scales, layout.ratios, value.shape[0] // anchors, *value.shape[1:])
    return parts.swapaxes(0, 1).reshape(value.shape)


def pointwise(value: np.ndarray, layout: Layout) -> np.ndarray:
    """A convolution of width one (out, in, 1) -> a linear layer (out, in)."""
    return value[:, :, 0] if value.ndim == 3 and value.shape[2] == 1 else value


CHANGES: dict[str, Callable[[np.ndarray, Layout], np.ndarray]] = {
    "background_last": background_last,
    "no_background_boxes": no_background_boxes,
    "no_background_masks": no_background_masks,
    "ratios_outermost": ratios_outermost,
    "pointwise": pointwise,
}
