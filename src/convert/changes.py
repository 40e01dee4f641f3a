"""What happens to values on their way from a source's layout to ours. Each takes and returns one array of a layer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Of the configured model: anchors at a position of one pyramid level are scales x ratios; `class_layers` begin the
    names of parameters whose shape follows the number of classes; mask_classes: channels of a mask, the background's
    among them where `background_mask`; background_box: the background has box deltas too. starts: the model's own
    `starts_from`: beginnings of names of parameters that a network without one of its heads has in its place.
    """

    scales: int = 1
    ratios: int = 3
    class_layers: tuple[str, ...] = ()
    mask_classes: int = 80
    background_mask: bool = False
    background_box: bool = False
    starts: tuple[tuple[str, str], ...] = ()


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


def transposed(value: np.ndarray, layout: Layout) -> np.ndarray:
    """A linear layer stored (in, out) -> (out, in); a bias stays."""
    return value.T


def transposed_background_last(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Both."""
    return background_last(transposed(value, layout), layout)


def transposed_background_box(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Box deltas (in, 4 (1 + C)), background first -> (4 (C + 1), in) with the background last, or (4 C, in)."""
    value = transposed(value, layout)
    return np.roll(value, -4, axis=0) if layout.background_box else no_background_boxes(value, layout)


def background_mask_last(value: np.ndarray, layout: Layout) -> np.ndarray:
    """Coarse masks ((1 + C) * cells, ...), background first -> background last, where the model has one."""
    classes = layout.mask_classes
    if not layout.background_mask or value.shape[0] % classes:
        return value
    return np.roll(value.reshape(classes, -1, *value.shape[1:]), -1, axis=0).reshape(value.shape)


def point_inputs(value: np.ndarray, layout: Layout) -> np.ndarray:
    """A 1 x 1 convolution of points (out, fine + 1 + C, 1, 1), the background's coarse logit first -> a linear layer
    (out, fine + C + 1) with it last, where the model has one.
    """
    if value.ndim != 4:
        return value
    value = value[:, :, 0, 0]
    if not layout.background_mask or value.shape[1] <= layout.mask_classes:
        return value
    fine, coarse = np.split(value, [value.shape[1] - layout.mask_classes], axis=1)
    return np.concatenate([fine, np.roll(coarse, -1, axis=1)], axis=1)


def point_outputs(value: np.ndarray, layout: Layout) -> np.ndarray:
    """The same of the layer that gives a logit for each class."""
    value = point_inputs(value, layout)
    return background_last(value, layout) if layout.background_mask else value


CHANGES: dict[str, Callable[[np.ndarray, Layout], np.ndarray]] = {
    "background_last": background_last,
    "no_background_boxes": no_background_boxes,
    "no_background_masks": no_background_masks,
    "ratios_outermost": ratios_outermost,
    "pointwise": pointwise,
    "transposed": transposed,
    "transposed_background_last": transposed_background_last,
    "transposed_background_box": transposed_background_box,
    "background_mask_last": background_mask_last,
    "point_inputs": point_inputs,
    "point_outputs": point_outputs,
}
