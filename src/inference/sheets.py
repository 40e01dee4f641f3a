"""Training samples as pictures: what a network gets, back in pixels, with its labels drawn on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..config import Config
from ..data.label_sets import LabelSet
from ..data.loader import Samples, streams_of
from ..data.normalisation import PixelNormalisation
from ..data.readable import kinds_of
from ..errors import counted
from .fonts import FontBook
from .label_text import label_text
from .overlay import blend, draw_class, draw_overlay, enlarged

SIDE = 384  # pixels of a picture's longer side: three stand side by side
CROWD = "crowd"
LEAST_SHARE = 0.005  # of the pixels that a class covers, or of a mixed image, to be named
MOST_NAMED = 6  # classes below a picture
MOST_TOGETHER = 16  # samples of a batch: large ones take memory
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shown:
    """picture: (h, w, 3) uint8 BGR; words: what stands below it."""

    picture: np.ndarray
    words: str = ""


@dataclass(frozen=True)
class Drawer:
    """draw: from a sample's arrays by their columns' names. legend: what colours mean, (h, w, 3) uint8 BGR."""

    draw: Callable[[Arrays], Shown]
    legend: np.ndarray | None = None


def object_drawer(cfg: Config, classes: Sequence[str]) -> Drawer:
    """Boxes, masks where there are any, class names, and how many objects there are."""
    normalisation, fonts = PixelNormalisation.from_config(cfg), FontBook(cfg.font)

    def draw(sample: Arrays) -> Shown:
        image = normalisation.restored(sample["image"])
        scale = min(1.0, SIDE / max(image.shape[:2]))
        image = _scaled(image, scale)
        objects = []
        for row in np.flatnonzero(sample["gt_labels"]):
            x1, y1, x2, y2 = (float(side) * scale for side in sample["gt_boxes"][row])
            label = int(sample["gt_labels"][row])
            one = {
                "bbox": {"x_min": x1, "y_min": y1, "width": x2 - x1, "height": y2 - y1},
                "class": {"label": label - 1, "name": classes[label - 1] if label > 0 else CROWD},
                "score": 1.0,
            }
            if (mask := _mask(sample, int(row), image.shape[:2])) is not None:
                one["mask"] = mask
            objects.append(one)
        crowds = int((sample["gt_labels"] < 0).sum())
        words = counted(len(objects) - crowds, "object") + (f", {counted(crowds, 'crowd')}" if crowds else "")
        return Shown(_limited(draw_overlay(image, objects, 0.0, fonts, with_scores=False)), words)

    return Drawer(draw)


def label_drawer(cfg: Config, labels: LabelSet) -> Drawer:
    """The colour of its class over each pixel; ignored pixels show the image."""
    normalisation, palette = PixelNormalisation.from_config(cfg), labels.palette[..., ::-1]

    def draw(sample: Arrays) -> Shown:
        image, label = normalisation.restored(sample["image"]), sample["label"]
        is_class = (label >= 0) & (label < len(palette))
        coloured = blend(image, palette[np.where(is_class, label, 0)])
        picture = np.where(is_class[..., None], coloured, image)
        share = np.bincount(label[is_class], minlength=len(palette)) / label.size
        first = [k for k in np.argsort(-share, kind="stable") if share[k] >= LEAST_SHARE]
        words = ", ".join(f"{labels.names[k]} {share[k]:.0%}" for k in first[:MOST_NAMED])
        more = f" and {len(first) - MOST_NAMED} more" if len(first) > MOST_NAMED else ""
        return Shown(_limited(enlarged(picture)[0]), f"{words}{more}" or "no class")

    return Drawer(draw, legend(labels.names, palette, FontBook(cfg.font)))


def class_drawer(cfg: Config, classes: Sequence[str]) -> Drawer:
    """The class in the corner; both where two images are mixed."""
    normalisation, fonts = PixelNormalisation.from_config(cfg), FontBook(cfg.font)

    def draw(sample: Arrays) -> Shown:
        image = normalisation.restored(sample["image"])
        label, other, share = int(sample["label"]), int(sample["other_label"]), float(sample["share"])
        parts = {label: share} | {other: 1 - share} if other != label else {label: 1.0}
        shown = sorted((one for one in parts if parts[one] >= LEAST_SHARE), key=parts.get, reverse=True)
        name = " + ".join(f"{classes[one]} {parts[one]:.2f}" for one in shown) if shown[1:] else classes[shown[0]]
        image = _scaled(image, min(1.0, SIDE / max(image.shape[:2])))
        best = [{"name": name, "label": shown[0], "score": 1.0}]
        return Shown(_limited(draw_class(image, best, fonts, with_scores=False)), name)

    return Drawer(draw)


def legend(names: Sequence[str], palette: np.ndarray, fonts: FontBook) -> np.ndarray:
    """A line a class: its colour and name. palette: (C, 3) BGR."""
    texts = [label_text(name, f"class {k}", "", (0.5, 1), fonts) for k, name in enumerate(names)]
    height = max(text.size[1] for text in texts) + 4
    page = np.full((height * len(texts), 44 + max(text.size[0] for text in texts), 3), 255, np.uint8)
    for k, (text, colour) in enumerate(zip(texts, palette)):
        page[k * height + 2 : (k + 1) * height - 2, 2:36] = colour
        text.draw(page, 40, k * height + 2, 0)
    return page


def seen_by_training(samples: Samples, entries: Sequence[int], cfg: Config) -> Iterator[tuple[int, Arrays | None]]:
    """These entries as the first epoch has them, mixed in batches as training does; None for an unreadable one.

    What mixes several images mixes those of `entries`, as nothing else of an epoch is read.
    """
    size = min(cfg.batch_size, MOST_TOGETHER)
    for number, start in enumerate(range(0, len(entries), size)):
        made = {entry: _made(samples, entry, cfg.seed) for entry in entries[start : start + size]}
        for readable in _of_a_kind(samples, [entry for entry, sample in made.items() if sample is not None]):
            twice = readable[-1:] if size % 2 == 0 and len(readable) % 2 else []  # who mixes pairs finds pairs
            batch = tuple(np.stack(arrays) for arrays in zip(*(made[entry] for entry in readable + twice)))
            batch = samples.mix(batch, np.random.RandomState([cfg.seed % 2**32, 0, number, 0]))
            for place, entry in enumerate(readable):
                made[entry] = tuple(array[place] for array in batch)
        for entry, sample in made.items():
            yield entry, None if sample is None else dict(zip(samples.columns, sample))


def without_augmentation(samples: Samples, entries: Sequence[int], cfg: Config) -> Iterator[tuple[int, Arrays | None]]:
    """The same without random changes."""
    for entry in entries:
        item = samples.read(entry)
        if item is None:
            yield entry, None
        else:
            sample = samples.plain(item, streams_of(samples, cfg.seed % 2**32, 0, entry))
            yield entry, dict(zip(samples.columns, sample))


def _of_a_kind(samples: Samples, entries: Sequence[int]) -> Iterable[list[int]]:
    """The entries in groups whose samples have one shape."""
    kinds, groups = kinds_of(samples), {}
    for entry in entries:
        groups.setdefault(kinds and kinds[entry], []).append(entry)
    return groups.values()


def _made(samples: Samples, entry: int, seed: int) -> tuple[np.ndarray, ...] | None:
    item = samples.read(entry)
    return None if item is None else samples.make(item, streams_of(samples, seed % 2**32, 0, entry))


def _mask(sample: Arrays, row: int, size: tuple[int, int]) -> dict | None:
    """The mask of an object as RLE of (h, w); None where it has none, or shows nothing at this size."""
    packed = sample.get("gt_masks")
    if packed is None or row >= len(packed) or not packed[row].any():
        return None
    bitmap = np.unpackbits(packed[row], axis=-1)
    if bitmap.shape != size:
        shrunk = cv2.resize(bitmap * np.uint8(255), size[::-1], interpolation=cv2.INTER_AREA)
        bitmap = (shrunk >= 128).astype(np.uint8)
    code = coco_mask.encode(np.asfortranarray(bitmap))
    return code if bitmap.any() else None


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _limited(picture: np.ndarray) -> np.ndarray:
    return _scaled(picture, min(1.0, SIDE / max(picture.shape[:2])))
