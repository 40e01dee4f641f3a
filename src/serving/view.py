"""What of a result a page shows: the image, a layer for each object or class, likely classes."""

import io
import json
import secrets
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ..inference.overlay import MASK_OPACITY, SMALLEST_SIDE, UNKNOWN, instance_colour
from ..inference.prediction_entries import BOX, is_of_classifier

OBJECTS, REGIONS, CLASSES = "object", "region", "class"
LONGEST_SIDE = 1280  # pixels of the image that is shown
MOST_LAYERS = 100  # of an image: the best objects, the largest classes; the JSON has all
QUALITY = 90  # of its JPEG
NOTHING, INSIDE, EDGE = 0, 1, 2  # values of a layer's pixels
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """One thing over the image. png: what is drawn, of the shown image's size; score: None of what has none; number:
    among the view's layers.
    """

    number: int
    name: str
    label: str
    colour: RGB
    score: float | None
    png: bytes


@dataclass(frozen=True)
class View:
    """A result as it is shown. kind: OBJECTS, REGIONS or CLASSES; height, width: of the image itself; jpeg: the image
    as shown; packed: what infer.py writes, as compressed JSON; layers: best objects or largest regions first; likely:
    classes of the whole image with their scores, best first; token: a name that nobody guesses.
    """

    kind: str
    height: int
    width: int
    jpeg: bytes
    packed: bytes
    layers: list[Layer] = field(default_factory=list)
    likely: list[tuple[str, float]] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def entry(self) -> dict:
        """The image's entry in infer.py's file."""
        return json.loads(zlib.decompress(self.packed))

    @property
    def size(self) -> int:
        """Bytes that it takes, near enough."""
        return len(self.jpeg) + len(self.packed) + sum(len(one.png) for one in self.layers)

    def names(self) -> list[str]:
        """The names of the layers, each once, in their order."""
        return list(dict.fromkeys(layer.name for layer in self.layers))

    def shown(self, threshold: float, names: Collection[str]) -> list[Layer]:
        """The layers of these names that reach the threshold."""
        wanted = set(names)
        return [one for one in self.layers if one.name in wanted and (one.score is None or one.score >= threshold)]


def make_view(result, rgb: np.ndarray) -> View:
    """The view of a result of the image (h, w, 3) uint8 RGB that it is about."""
    height, width = rgb.shape[:2]
    shown, scale = _fitted(rgb)
    _, jpeg = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    entry = result.to_json()
    kind, layers, likely = OBJECTS, [], []
    if hasattr(result, "label_map"):
        kind, layers = REGIONS, list(_regions(result, shown.shape[:2]))
    elif is_of_classifier(entry):
        likely = [(_class_name(one["name"], one["label"]), one["score"]) for one in entry["predictions"]]
        kind = CLASSES
    else:
        layers = list(_objects(entry["predictions"], shown.shape[:2], scale))
    packed = zlib.compress(json.dumps(entry).encode(), 1)
    return View(kind, height, width, jpeg.tobytes(), packed, layers, likely)


def _class_name(name: str, label: object) -> str:
    return name if name != UNKNOWN else f"class {label}"


def _fitted(rgb: np.ndarray) -> tuple[np.ndarray, float]:
    """The image as large as it is shown, and how much larger that is: small ones by a whole factor."""
    longer = max(rgb.shape[:2])
    scale = LONGEST_SIDE / longer if longer > LONGEST_SIDE else max(1, -(-SMALLEST_SIDE // longer))
    if scale == 1:
        return rgb, 1.0
    size = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST), scale


def _objects(predictions: Sequence[dict], size: tuple[int, int], scale: float) -> Iterator[Layer]:
    best = sorted(predictions, key=lambda one: -one["score"])[:MOST_LAYERS]
    thickness = max(2, round(max(size) / 400))
    for index, one in enumerate(best):
        name, colour = _class_name(one["class"]["name"], one["class"]["label"]), instance_colour(index)[::-1]
        pixels = np.full(size, NOTHING, np.uint8)
        if "mask" in one:
            # By columns, as it is decoded: the other way round a large one is copied first.
            columns = cv2.resize(coco_mask.decode(one["mask"]).T, size, interpolation=cv2.INTER_NEAREST)
            _fill(pixels, np.ascontiguousarray(columns.T), max(1, thickness // 2))
        left, top, width, height = (one["bbox"][side] * scale for side in BOX)
        corners = [(round(left), round(top)), (round(left + width) - 1, round(top + height) - 1)]
        cv2.rectangle(pixels, *(_inside(corner, size) for corner in corners), EDGE, thickness)
        yield Layer(index, name, f"{name} {one['score']:.2f}", colour, one["score"], _png(pixels, colour))


def _regions(result, size: tuple[int, int]) -> Iterator[Layer]:
    shown = cv2.resize(result.label_map, size[::-1], interpolation=cv2.INTER_NEAREST)
    counts = np.bincount(result.label_map.ravel(), minlength=len(result.names))
    present = [k for k in np.argsort(-counts, kind="stable") if counts[k] and k < len(result.names)]
    for number, k in enumerate(present[:MOST_LAYERS]):
        name, colour = result.names[k], tuple(int(value) for value in result.palette[k])
        share = counts[k] / result.label_map.size
        pixels = np.where(shown == k, INSIDE, NOTHING).astype(np.uint8)
        yield Layer(number, name, f"{name} {share:.1%}", colour, None, _png(pixels, colour))


def _fill(pixels: np.ndarray, mask: np.ndarray, thickness: int) -> None:
    pixels[mask > 0] = INSIDE
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, EDGE, thickness)


def _inside(corner: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    return tuple(min(max(place, 0), side - 1) for place, side in zip(corner, size[::-1]))


def _png(pixels: np.ndarray, colour: RGB) -> bytes:
    """A layer's values as an image of one colour: half seen through inside, whole on edges."""
    picture = Image.fromarray(pixels, "P")
    picture.putpalette([*colour] * 3)
    content = io.BytesIO()
    picture.save(content, "png", transparency=bytes([0, round(255 * MASK_OPACITY), 255]), compress_level=1)
    return content.getvalue()
