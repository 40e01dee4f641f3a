"""Images that are the same picture: copied, encoded anew or resized, by what their files show.

A picture's fingerprint is a perceptual hash (pHash: the signs of its lowest 255 cosine coefficients) and a thumbnail.
The hash finds candidates; of flat pictures, whose coefficients are noise, and of drawn shapes on like backgrounds it
finds too many: the thumbnails of both must agree too. A mirrored, cropped or repainted copy is another picture.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .decoding import USUAL_RULES, ImageRules, decode, look_at
from .images import MAX_PIXELS, ImageFile, read_content
from .read_ahead import read_ahead

SIDE, LOW, THUMB = 64, 16, 16  # pixels of the grey picture, its coefficients a side, pixels of the thumbnail
LEAST_SIDE = 96  # pixels that a JPEG keeps when it is decoded at a fraction of its size
MOST_BITS = 80  # of 255 that differ: of two pictures that have nothing in common 127, give or take 24
MOST_DIFFERENCE = 12.0  # grey levels, root of the mean square over the thumbnails
MOST_SHARE = 0.4  # the same, in shares of the thumbnails' own contrast: foggy pictures are not all alike
FLAT = 1.0  # grey levels of contrast below which a picture shows nothing
# Below so much contrast, as in pictures taken at night, the hash is of noise, and two thumbnails are near one another
# whatever little there is to see: sides must be in one ratio, and the thumbnails, but for their mean, noise apart.
NEAR_FLAT, SAME_RATIO, NOISE = 4.0, 1.02, 0.25  # grey levels, and the share by which width / height may differ
BLOCK = 4096  # pictures of either set that are compared at once
ROWS, CANDIDATES = 64, 16  # whose thumbnails are, each with the likest hashes of a block
WORKERS = 8


@dataclass(frozen=True)
class Fingerprint:
    """digest: of the file's bytes; size: (w, h) upright; bits: (255,) bool; thumbnail: (16, 16, 3) uint8."""

    digest: bytes
    size: tuple[int, int]
    bits: np.ndarray
    thumbnail: np.ndarray


@dataclass(frozen=True)
class Duplicate:
    """Two places, in one list of pictures or in two. is_same_file: byte for byte; bits: of the hash that differ;
    difference: of the thumbnails, grey levels.
    """

    first: int
    second: int
    is_same_file: bool
    bits: int
    difference: float


def fingerprint(
    file: str | ImageFile, max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> Fingerprint | None:
    """None where the file is no whole image, or too large a one: see `images.why_unreadable`."""
    content = read_content(file)
    header = look_at(content)
    if header is None or header.size[0] * header.size[1] > max_pixels:
        return None
    reduced = next((one for one in (8, 4, 2) if min(header.size) // one >= LEAST_SIDE), 1)
    image = decode(content, header, rules.upright, rules, reduced)
    if image is None:
        return None
    size = (header.upright_size if rules.upright else header.size)[::-1]
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lowest = cv2.dct(grey.astype(np.float32))[:LOW, :LOW].reshape(-1)[1:]
    thumbnail = cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return Fingerprint(digest, size, lowest > np.median(lowest), thumbnail)


def fingerprints(
    files: Sequence[str | ImageFile], max_pixels: int = MAX_PIXELS, rules: ImageRules = USUAL_RULES
) -> list[Fingerprint | None]:
    """Of every file, in order, several at a time."""
    return list(read_ahead(lambda file: fingerprint(file, max_pixels, rules), files, WORKERS, ahead=4 * WORKERS))


def across(first: Sequence[Fingerprint | None], second: Sequence[Fingerprint | None]) -> list[Duplicate]:
    """Every picture of the second list that is in the first too, with the nearest one there."""
    return list(_nearest(_Stack.of(first), _Stack.of(second), within=False))


def within(pictures: Sequence[Fingerprint | None]) -> list[Duplicate]:
    """Every picture that is there before, with the nearest one of those (`first` lies before `second`)."""
    stack = _Stack.of(pictures)
    return list(_nearest(stack, stack, within=True))


@dataclass(frozen=True)
class _Stack:
    """The fingerprints of a list that there are. places: in the list; signs: (N, 255) float32 of 1 and -1;
    ratios: (N,) width / height.
    """

    places: np.ndarray
    digests: list[bytes]
    signs: np.ndarray
    thumbnails: np.ndarray
    ratios: np.ndarray

    @classmethod
    def of(cls, found: Sequence[Fingerprint | None]) -> "_Stack":
        places = [place for place, one in enumerate(found) if one is not None]
        bits = np.array([found[place].bits for place in places], bool).reshape(len(places), LOW * LOW - 1)
        thumbnails = np.array([found[place].thumbnail for place in places], np.uint8)
        thumbnails = thumbnails.reshape(len(places), THUMB * THUMB, 3)
        signs = np.where(bits, np.float32(1), np.float32(-1))
        ratios = np.array([found[place].size[0] / found[place].size[1] for place in places])
        return cls(np.array(places, int), [found[place].digest for place in places], signs, thumbnails, ratios)

    def seen(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Thumbnails and ratios of some of them."""
        return self.thumbnails[rows].astype(np.float32), self.ratios[rows]


def _nearest(first: _Stack, second: _Stack, within: bool) -> Iterator[Duplicate]:
    for start in range(0, len(second.places), BLOCK):
        best: dict[int, tuple] = {}  # by row of the second: what is nearest
        for below in range(0, min(start + BLOCK, len(first.places)) if within else len(first.places), BLOCK):
            for row, found in _pairs(first, second, below, start, within):
                best[row] = min(best.get(row, found), found)
        for row in sorted(best):
            is_other, difference, bits, other = best[row]
            yield Duplicate(int(first.places[other]), int(second.places[row]), not is_other, bits, difference)


def _pairs(first: _Stack, second: _Stack, below: int, start: int, within: bool) -> Iterator[tuple[int, tuple]]:
    """(row of the second, (whether the files differ, difference, bits, row of the first)) of one block by one block."""
    above, most = second.signs[start : start + BLOCK], first.signs.shape[1]
    products = above @ first.signs[below : below + BLOCK].T
    if within and start < below + BLOCK:  # only what lies before
        products[np.arange(below, below + products.shape[1]) >= np.arange(start, start + len(above))[:, None]] = -most
    least = most - 2 * MOST_BITS
    rows = np.flatnonzero(products.max(1, initial=-most) >= least)
    for some in np.array_split(rows, -(-len(rows) // ROWS)) if len(rows) else ():
        count = min(CANDIDATES, products.shape[1])
        others = np.argpartition(-products[some], count - 1, axis=1)[:, :count]
        values = np.take_along_axis(products[some], others, axis=1)
        differences = _differences(first.seen(others + below), second.seen((some + start)[:, None]))
        for i, k in np.argwhere((values >= least) & np.isfinite(differences)):
            row, other = int(some[i]) + start, int(others[i, k]) + below
            is_other = first.digests[other] != second.digests[row]
            yield row, (is_other, float(differences[i, k]), round((most - float(values[i, k])) / 2), other)


def _differences(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Grey levels, root of the mean square over thumbnails (..., 256, 3); infinite where they are of two pictures.

    first, second: thumbnails, and ratios (...) of the pictures' sides.
    """
    (one, ratio), (other, other_ratio) = first, second
    apart = one - other
    difference = np.sqrt((apart**2).mean((-2, -1)))
    contrast = np.maximum(one.std(-2).mean(-1), other.std(-2).mean(-1))
    most = np.where(contrast < FLAT, FLAT, np.minimum(MOST_DIFFERENCE, MOST_SHARE * contrast))
    in_content = np.sqrt(((apart - apart.mean(-2, keepdims=True)) ** 2).mean((-2, -1)))
    turned = ratio / other_ratio
    is_alike = (in_content <= MOST_SHARE * contrast + NOISE) & (np.maximum(turned, 1 / turned) <= SAME_RATIO)
    return np.where((difference <= most) & ((contrast >= NEAR_FLAT) | is_alike), difference, np.inf)
