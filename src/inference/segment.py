"""From an image of any size to its label map, by one or several scales, windows and the mirror image.

The definition is the HRNet authors' (`BaseDataset.multi_scale_inference`): logits are enlarged to the size of the
network's input, averaged with those of the mirror image, exponentiated, averaged over windows, enlarged to the size
of the image, and added up over the scales. All enlarging is bilinear with half-pixel centres, but for the first, which
is the network's own (`seg_head.bilinear`); with align_corners, as in the authors' OCR branch, the second too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..config import Config
from ..config.definition import doublings
from ..data.augmentation.geometry import scaled_size
from ..data.label_sets import LabelSet
from ..data.normalisation import PixelNormalisation
from .backends import run_model

Network = Callable[[np.ndarray], np.ndarray]  # (B, 3, H, W) float32 -> logits (B, C, h, w) float32


@dataclass(frozen=True)
class SegmentationSettings:
    """How images are put to the network. window: (h, w) of the windows, and of stretched images.

    keep_ratio: False stretches every image to `window`; mode: 'whole' (above scale 1 by windows, but for stretched
    images) or 'slide'.
    stride: step between windows in shares of the window; mirrored_order: see `LabelSet.mirrored_order`.
    coordinates: of the logits' enlarging, 'half_pixel', 'asymmetric' or 'align_corners' (`seg_head.bilinear`).
    """

    window: tuple[int, int]
    normalisation: PixelNormalisation
    keep_ratio: bool
    mode: str
    scales: tuple[float, ...]
    flip: bool
    stride: float
    mirrored_order: tuple[int, ...]
    coordinates: str = "half_pixel"

    @classmethod
    def from_config(cls, cfg: Config, mirrored_order: Sequence[int]) -> "SegmentationSettings":
        return cls(
            (cfg.img_height, cfg.img_width),
            PixelNormalisation.from_config(cfg),
            cfg.keep_ratio,
            cfg.eval_mode,
            tuple(cfg.eval_scales),
            cfg.eval_flip,
            cfg.eval_stride,
            tuple(int(k) for k in mirrored_order),
            cfg.seg_head.bilinear,
        )

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 BGR -> the network's input at scale 1, (3, h', w') float32."""
        if not self.keep_ratio:
            image = cv2.resize(image, self.window[::-1], interpolation=cv2.INTER_LINEAR)
        return self.normalisation.divided(image[..., ::-1])


def exported_size(cfg: Config) -> tuple[int, int]:
    """(height, width) of the images that the exported network takes."""
    return cfg.eval_height or cfg.img_height, cfg.eval_width or cfg.img_width


def logits_size(cfg: Config, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the logits for an image of this size, by a network whose finest map has a stride of 4."""
    height, width = (-(-side // 4) * 2 ** doublings(cfg) for side in size)
    return height, width


def scored_label(cfg: Config, label: np.ndarray | None) -> np.ndarray | None:
    """(h, w) labels of an image as they are compared: as they are, or stretched as it is (`eval_label_size`)."""
    if label is None or cfg.keep_ratio or cfg.eval_label_size == "own":
        return label
    return cv2.resize(label, (cfg.img_width, cfg.img_height), interpolation=cv2.INTER_NEAREST)


def make_segmenter(cfg: Config, model, labels: LabelSet) -> "Segmenter":
    """A segmenter of `model` (a MindSpore network or an exported file) by the configuration's `eval_...` keys."""
    settings = SegmentationSettings.from_config(cfg, labels.mirrored_order())
    return Segmenter(lambda batch: run_model(model, batch)[0], settings, cfg.test_batch_size)


class Segmenter:
    """Label maps of images. The network gets batches of `batch_size` windows or mirror images of one image."""

    def __init__(self, network: Network, settings: SegmentationSettings, batch_size: int = 1):
        self.network, self.settings, self.batch_size = network, settings, batch_size

    def scores(self, image: np.ndarray) -> "Scores":
        """Run the network on (h, w, 3) uint8 BGR at every scale; what is left to do needs no network."""
        prepared = self.settings.prepare(image)
        found = []
        for scale in self.settings.scales:
            scaled = prepared if scale == 1 else _resize_planes(prepared, scaled_size(prepared.shape[1:], scale))
            found.append((scaled.shape[1:], self._pieces(scaled, scale)))
        return Scores(found)

    def _pieces(self, image: np.ndarray, scale: float) -> list["Piece"]:
        """Logits of all parts of one scaled image, mirror images averaged in."""
        settings = self.settings
        height, width = image.shape[1:]
        if settings.mode == "slide" or (settings.keep_ratio and scale > 1):
            places = window_places((height, width), settings.window, settings.stride)
            size = settings.window
        else:
            places, size = [(0, 0)], (height, width)
        inputs = np.stack([_cut(image, place, size) for place in places])
        if settings.flip:
            inputs = np.concatenate([inputs, inputs[..., ::-1]])
        logits = self._run(np.ascontiguousarray(inputs))
        mirrored = logits[len(places) :] if settings.flip else [None] * len(places)
        pairs = self._pairs(logits, mirrored)
        return [Piece(place, size, *pair, settings.coordinates) for place, pair in zip(places, pairs)]

    def _pairs(self, logits: np.ndarray, mirrored) -> list[tuple[np.ndarray, np.ndarray | None]]:
        order = list(self.settings.mirrored_order)
        return [(own, None if other is None else other[order]) for own, other in zip(logits, mirrored)]

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        """Batches of a fixed size, so that the network is compiled once for each size of image."""
        size, outputs = self.batch_size, []
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            missing = size - len(batch)
            padded = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
            outputs.append(self.network(padded)[: len(batch)])
        return np.concatenate(outputs)


@dataclass(frozen=True)
class Piece:
    """Logits (C, h, w) of one window of a scaled image: its top left corner, its size in pixels, and the logits of its
    mirror image (still mirrored, classes in order), or None. coordinates: of their enlarging.
    """

    place: tuple[int, int]
    size: tuple[int, int]
    logits: np.ndarray
    mirrored: np.ndarray | None = None
    coordinates: str = "half_pixel"

    def enlarged(self) -> np.ndarray:
        """(C, *size) logits at the size of the network's input."""
        own = _enlarge(self.logits, self.size, self.coordinates)
        if self.mirrored is None:
            return own
        return (own + _enlarge(self.mirrored, self.size, self.coordinates)[..., ::-1]) * np.float32(0.5)


@dataclass(frozen=True)
class Scores:
    """What the network said about one image: (scaled size, pieces) for every scale."""

    scales: list[tuple[tuple[int, int], list[Piece]]]

    def label_map(self, size: tuple[int, int]) -> np.ndarray:
        """(*size) uint8 classes; size (h, w) is that of the image, or of its label."""
        if len(self.scales) == 1 and len(self.scales[0][1]) == 1 and self.scales[0][1][0].size == tuple(size):
            return _argmax(self.scales[0][1][0].enlarged())  # neither exp nor a second resize changes which is largest
        total, shift = None, None
        for input_size, pieces in self.scales:
            scores, shift = _exponentiated(pieces, input_size, shift)
            is_aligned = pieces[0].coordinates == "align_corners"
            scores = _enlarge(scores, tuple(size), "align_corners" if is_aligned else "half_pixel")
            total = scores if total is None else np.add(total, scores, out=total)
        return _argmax(total)


def window_places(image: tuple[int, int], window: tuple[int, int], stride: float) -> list[tuple[int, int]]:
    """Top left corners of windows that cover an image of (h, w); the last ones are moved back inside."""
    starts = []
    for length, side in zip(image, window):
        step = max(int(side * stride), 1)
        count = max(math.ceil((length - side) / step), 0) + 1
        starts.append([max(min(k * step, length - side), 0) for k in range(count)])
    return [(top, left) for top in starts[0] for left in starts[1]]


def _exponentiated(
    pieces: list[Piece], size: tuple[int, int], shift: np.float32 | None
) -> tuple[np.ndarray, np.float32]:
    """(C, *size) mean over the pieces of exp(logits - shift).

    shift: one number for all scales of an image, which changes no comparison and keeps exp from overflowing.
    """
    total, count = None, np.zeros(size, np.float32)
    for piece in pieces:
        logits = piece.enlarged()
        shift = logits.max() if shift is None else shift
        total = np.zeros((len(logits), *size), np.float32) if total is None else total
        (top, left), (height, width) = piece.place, piece.size
        height, width = min(height, size[0] - top), min(width, size[1] - left)  # a small image was padded
        total[:, top : top + height, left : left + width] += np.exp(logits[:, :height, :width] - shift)
        count[top : top + height, left : left + width] += 1
    return total if len(pieces) == 1 else total / count, shift


def _cut(image: np.ndarray, place: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """(3, *size) window at `place`, zeros (the mean colour) where the image ends."""
    part = image[:, place[0] : place[0] + size[0], place[1] : place[1] + size[1]]
    missing = [wanted - have for wanted, have in zip(size, part.shape[1:])]
    return np.pad(part, [(0, 0), (0, missing[0]), (0, missing[1])]) if any(missing) else part


def _resize_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) float32 -> (C, *size), bilinear with half-pixel centres (PyTorch's `interpolate`)."""
    if planes.shape[1:] == tuple(size):
        return planes
    resized = np.empty((len(planes), *size), np.float32)
    for plane, out in zip(planes, resized):
        cv2.resize(np.ascontiguousarray(plane), size[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
    return resized


def _enlarge(planes: np.ndarray, size: tuple[int, int], coordinates: str) -> np.ndarray:
    """(C, h, w) float32 -> (C, *size), bilinear; coordinates: see `interpolation_matrix` of the networks' layers."""
    if coordinates == "half_pixel" or planes.shape[1:] == tuple(size):
        return _resize_planes(planes, size)
    sides = zip(planes.shape[1:], size)
    (top, bottom, down), (left, right, across) = (_neighbours(*side, coordinates) for side in sides)
    resized = np.empty((len(planes), *size), np.float32)
    for plane, out in zip(planes, resized):
        rows = plane[top] * (1 - down)[:, None] + plane[bottom] * down[:, None]
        np.add(rows[:, left] * (1 - across), rows[:, right] * across, out=out)
    return resized


def _neighbours(before: int, after: int, coordinates: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of a side its lower and upper source, and the upper one's share."""
    step = (before - 1) / max(after - 1, 1) if coordinates == "align_corners" else before / after
    source = np.arange(after) * step
    low = np.minimum(source.astype(np.int64), before - 1)
    return low, np.minimum(low + 1, before - 1), (source - low).astype(np.float32)


def _argmax(scores: np.ndarray) -> np.ndarray:
    """(C, h, w) -> (h, w) uint8, the first largest; plane by plane, several times as fast as numpy's argmax."""
    best, winner = scores[0].copy(), np.zeros(scores.shape[1:], np.uint8)
    for k in range(1, len(scores)):
        better = scores[k] > best
        np.copyto(best, scores[k], where=better)
        winner[better] = k
    return winner
