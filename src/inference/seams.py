"""Detections of overlapping tiles become those of the image: an object over a seam comes out once, and whole.

SAHI's greedy non-maximum merging joins boxes of a class whose intersection is half of the smaller one. That swallows a
small object in front of a large one of its class, and leaves an object larger than a tile in pieces. What tiles know
beyond boxes is used here instead: which part of the image each of them has seen, and which borders cut its objects.

* Two detections of one tile are two objects: the network has seen both, and has suppressed doubles itself.
* Detections of one class in two tiles are one object if they agree in what both tiles see: the IoU of their masks
  there (boxes, without masks) is at least a half. The best agreement is taken first, and no object gets two detections
  of one tile. So pieces join from tile to tile, however large the object is.
* What is left of a class and agrees with a better one is its double, if the other's tile sees all of it and has none
  of its own for it.
* A piece that a border cuts, half of which lies in a detection of such a tile, is a part of that. A piece of another
  class that agrees with one is left out if that is not cut and scores as much: half a circle may look like a square.
* An object that some tile sees whole, not cut by a border within the image, is what such tiles say: their boxes'
  mean, weighted by score, and the pixels that half of their masks have. Its pieces add nothing. Otherwise boxes and
  masks are united, as SAHI does.
* Every tile is asked again what each region is, so that by the best score (SAHI's) false detections add up: each tile
  has its own. The score is the mean over the tiles that see the object, nothing where one does not find it, as
  Weighted Boxes Fusion has it over networks; a tile that sees 0.9 of it has a weight of 0.9 to the fourth. An object
  of which no tile sees half has the best score.

Tiles side by side, without overlap, see nothing together: there a detection on either side that reaches the common
border goes with the other if they meet it in the same place (IoU of the stretches of border).

Example, one row: tiles [0, 100] and [80, 180]; boxes [60, 100] of the first and [80, 130] of the second are
[80, 100] both in what both see: one object, [60, 130]. SAHI finds 20 / 40 of the smaller one, just enough; of [0, 100]
and [80, 180] it finds a fifth, and this rule one object of the whole length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pycocotools import mask as coco_mask

from ..data.rle import moved, united, voted
from .results import ImagePrediction

AGREEMENT = 0.5  # IoU, and share of a piece
HALF, POWER = 0.5, 4  # of an object that a tile sees: whether it counts in the score, and how much
REACH, SLACK = 1.0, 0.05  # pixels within which a box reaches a border; share of its side by which it may fall short

Place = tuple[int, int]  # (top, left) of a tile


def merge_tiles(size: tuple[int, int], places: Sequence[Place], found: Sequence[ImagePrediction]) -> ImagePrediction:
    """The detections of an image of (h, w), best first, of those of its tiles, each in pixels of its tile."""
    if len(found) == 1 and (found[0].height, found[0].width) == tuple(size):
        return found[0]
    views = Views(size, places, found)
    pairs = list(agreements(views))
    objects = Objects(views)
    objects.join(pairs)
    objects.suppress_doubles(pairs)
    objects.add_pieces(pairs)
    boxes, labels, scores, masks = [], [], [], []
    for members in objects.groups():
        box, score, mask = _object(views, members)
        boxes.append(box)
        labels.append(views.labels[members[0]])
        scores.append(score)
        masks.append(mask)
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    return ImagePrediction(
        *size,
        np.float32(boxes).reshape(-1, 4)[order],
        np.int32(labels)[order],
        np.float32(scores)[order],
        [masks[i] for i in order] if views.has_masks else None,
    )


class Views:
    """All detections of an image's tiles.

    N detections: boxes (N, 4) xyxy pixels of the image; labels, scores, tile (N,); rects (T, 4) int xyxy of the tiles;
    cut, near (N,) bool: reaches a border of its tile that is none of the image; does so, or ends shortly before.
    """

    def __init__(self, size: tuple[int, int], places: Sequence[Place], found: Sequence[ImagePrediction]):
        self.size, self.found = size, found
        self.rects = np.int64([[x, y, x + one.width, y + one.height] for (y, x), one in zip(places, found)])
        self.tile = np.repeat(np.arange(len(found)), [len(one) for one in found])
        self.first = np.cumsum([0, *(len(one) for one in found)])
        shifted = [one.boxes + np.float32([x, y, x, y]) for (y, x), one in zip(places, found)]
        self.boxes = np.concatenate([np.zeros((0, 4), np.float32), *shifted])
        self.labels = np.concatenate([np.zeros(0, np.int32), *(one.labels for one in found)])
        self.scores = np.concatenate([np.zeros(0, np.float32), *(one.scores for one in found)])
        self.has_masks = all(one.masks is not None for one in found)
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        self.reach = np.tile(REACH + SLACK * np.maximum(sides, 0), 2)
        inner = self.rects != [0, 0, size[1], size[0]]
        gaps = np.where(inner[self.tile], -self._beyond(self.boxes, self.rects[self.tile]), np.inf)
        self.cut, self.near = (gaps <= REACH).any(axis=1), (gaps <= self.reach).any(axis=1)

    @staticmethod
    def _beyond(boxes: np.ndarray, rects: np.ndarray) -> np.ndarray:
        """(..., 4) pixels by which boxes go beyond the sides of rectangles, negative inside."""
        return (boxes - rects) * np.float32([-1, -1, 1, 1])

    def is_inside(self, i: int, tile: int) -> bool:
        """Whether a tile sees all of a detection's box."""
        return bool((self._beyond(self.boxes[i], self.rects[tile]) <= REACH).all())

    def goes_beyond(self, i: int, other: int) -> bool:
        """Whether a detection goes on where the tile of another one has ended."""
        return bool((self._beyond(self.boxes[i], self.rects[self.tile[other]]) > self.reach[other]).any())

    def mask(self, i: int, rect: np.ndarray) -> dict:
        """A detection's mask in the frame of a rectangle, xyxy."""
        tile = self.tile[i]
        left, top = self.rects[tile, :2] - rect[:2]
        size = int(rect[3] - rect[1]), int(rect[2] - rect[0])
        return moved(self.found[tile].masks[i - self.first[tile]], size, (int(top), int(left)))

    def is_whole(self, i: int, members: Sequence[int]) -> bool:
        """Whether a detection shows its object whole, as far as the other views of it tell."""
        return not self.cut[i] and not any(self.goes_beyond(k, i) for k in members if k != i)

    def shares(self, box: np.ndarray) -> np.ndarray:
        """(T,) what share of a box's area each tile sees."""
        low, high = np.maximum(self.rects[:, :2], box[:2]), np.minimum(self.rects[:, 2:], box[2:])
        return np.maximum(high - low, 0).prod(axis=1) / max(float(np.prod(box[2:] - box[:2])), 1e-6)

    @cached_property
    def whole(self) -> np.ndarray:
        return np.int64([0, 0, self.size[1], self.size[0]])


@dataclass(frozen=True)
class Agreement:
    """Detections of two tiles that have to do with one another: their numbers; IoU of masks, or boxes, in what both
    tiles see; IoU of boxes there; the shares of either's part there that lies in the other's.
    """

    one: int
    other: int
    iou: float
    box_iou: float
    share: float
    other_share: float


def agreements(views: Views):
    """Every `Agreement` of which a figure is at least a half."""
    tiles = np.flatnonzero(np.diff(views.first))
    for place, tile in enumerate(tiles):
        later, rect = tiles[place + 1 :], views.rects[tile]
        common = np.concatenate(
            [np.maximum(views.rects[later, :2], rect[:2]), np.minimum(views.rects[later, 2:], rect[2:])], axis=1
        )
        sides = common[:, 2:] - common[:, :2]
        for other, both in zip(later[(sides > 0).all(axis=1)], common[(sides > 0).all(axis=1)]):
            yield from _in_common(views, tile, other, both)
        touching = (sides >= 0).all(axis=1) & ((sides > 0).sum(axis=1) == 1)
        for other, both in zip(later[touching], common[touching]):
            yield from _at_border(views, tile, other, both)


def _in_common(views: Views, tile: int, other: int, both: np.ndarray):
    """both: xyxy of what two tiles see."""
    own, theirs = _clipped(views, tile, both), _clipped(views, other, both)
    if not len(own[0]) or not len(theirs[0]):
        return
    box_iou, share, other_share = _overlaps(_xywh(own[1]), _xywh(theirs[1]))
    rows, columns = np.nonzero(share > 0)
    if not len(rows):
        return
    iou = box_iou
    if views.has_masks:
        some, others = np.unique(rows), np.unique(columns)
        masks = [[views.mask(k, both) for k in numbers] for numbers in (own[0][some], theirs[0][others])]
        iou, share, other_share = (np.zeros_like(box_iou) for _ in range(3))
        for to, values in zip((iou, share, other_share), _overlaps(*masks)):
            to[np.ix_(some, others)] = values
    for row, column in zip(rows, columns):
        figures = [float(one[row, column]) for one in (iou, box_iou, share, other_share)]
        if max(figures) >= AGREEMENT:
            yield Agreement(int(own[0][row]), int(theirs[0][column]), *figures)


def _at_border(views: Views, tile: int, other: int, both: np.ndarray):
    """both: the stretch of border, xyxy, of two tiles side by side."""
    across = int(both[2] > both[0])  # 0: two tiles side by side, their border is at one x; 1: at one y
    along = 1 - across
    ends = []
    for one in (tile, other):
        numbers = np.arange(views.first[one], views.first[one + 1])
        low, high = views.boxes[numbers, across], views.boxes[numbers, across + 2]
        reaches = (low <= both[across] + views.reach[numbers, across]) & (
            high >= both[across] - views.reach[numbers, across]
        )
        numbers = numbers[reaches]
        ends.append((numbers, views.boxes[numbers][:, [along, along + 2]]))
    for k, (low, high) in zip(*ends[0]):
        for j, (other_low, other_high) in zip(*ends[1]):
            common = min(high, other_high) - max(low, other_low)
            iou = float(common / max(max(high, other_high) - min(low, other_low), 1e-6))
            if iou >= AGREEMENT:
                yield Agreement(int(k), int(j), iou, 0.0, 0.0, 0.0)


def _clipped(views: Views, tile: int, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detections of a tile that reach into a rectangle, and what of their boxes lies in it."""
    numbers = np.arange(views.first[tile], views.first[tile + 1])
    boxes = views.boxes[numbers].astype(np.float64)
    boxes = np.concatenate([np.maximum(boxes[:, :2], both[:2]), np.minimum(boxes[:, 2:], both[2:])], axis=1)
    seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return numbers[seen], boxes[seen]


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _overlaps(own, theirs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, m) IoU, share of each of `own`, share of each of `theirs`; of boxes (xywh) or run-length codes."""
    one, many = [0] * len(theirs), [1] * len(theirs)
    iou, share = (np.nan_to_num(np.asarray(coco_mask.iou(own, theirs, kind), float)) for kind in (one, many))
    other_share = np.nan_to_num(np.asarray(coco_mask.iou(theirs, own, [1] * len(own)), float)).T
    return iou, share, other_share


class Objects:
    """Which detections are views of one object. Each begins as an object of its own; `root` finds an object's number.
    """

    def __init__(self, views: Views):
        self.views, self._above = views, list(range(len(views.tile)))
        self._members = {k: [k] for k in self._above}
        self._left_out: set[int] = set()

    def root(self, i: int) -> int:
        while self._above[i] != i:
            self._above[i] = self._above[self._above[i]]
            i = self._above[i]
        return i

    def groups(self) -> list[list[int]]:
        """The detections of every object that is left."""
        return [members for root, members in self._members.items() if root not in self._left_out]

    def join(self, pairs: Sequence[Agreement]) -> None:
        """Views that agree, the best agreement first, no two of one tile."""
        labels = self.views.labels
        alike = [one for one in pairs if one.iou >= AGREEMENT and labels[one.one] == labels[one.other]]
        for pair in sorted(alike, key=lambda one: (-one.iou, one.one, one.other)):
            roots = self.root(pair.one), self.root(pair.other)
            if not self._tiles(roots[0]) & self._tiles(roots[1]):
                self._unite(*roots)

    def suppress_doubles(self, pairs: Sequence[Agreement]) -> None:
        """Leave out an object that is a better one's double, if the tile of that sees all of it and has none for it."""
        views, scores = self.views, {root: self._score(root) for root in self._members}
        alike = [
            (self.root(j), self.root(i), i, j)
            for one in pairs
            for i, j in ((one.one, one.other), (one.other, one.one))
            if max(one.iou, one.box_iou) >= AGREEMENT and views.labels[i] == views.labels[j]
        ]
        for better, worse, i, j in sorted(alike, key=lambda one: (-scores[one[0]], one)):
            is_worse = (-scores[worse], worse) > (-scores[better], better)
            if is_worse and not self._left_out & {better, worse} and self._is_news(i, worse, j):
                self._left_out.add(worse)

    def add_pieces(self, pairs: Sequence[Agreement]) -> None:
        """Pieces become parts of what they lie in; those of another class than a whole object are left out."""
        views = self.views
        inside = [
            (share, i, j, one.iou)
            for one in pairs
            for i, j, share in ((one.one, one.other, one.share), (one.other, one.one, one.other_share))
            if share >= AGREEMENT
        ]
        for _, i, j, iou in sorted(inside, key=lambda one: (-one[0], one[1], one[2])):
            piece, whole = self.root(i), self.root(j)
            if piece == whole or self._left_out & {piece, whole} or not all(views.near[self._members[piece]]):
                continue
            if not self._is_news(i, piece, j):
                continue
            if views.labels[i] == views.labels[j]:
                self._unite(piece, whole)
            elif iou >= AGREEMENT and not views.cut[j] and self._score(whole) >= self._score(piece):
                self._left_out.add(piece)

    def _is_news(self, i: int, root: int, j: int) -> bool:
        """Whether the tile of detection j sees all of detection i and has none of its own for i's object."""
        tile = self.views.tile[j]
        return self.views.is_inside(i, tile) and tile not in self._tiles(root)

    def _tiles(self, root: int) -> set[int]:
        return set(self.views.tile[self._members[root]].tolist())

    def _score(self, root: int) -> float:
        return float(self.views.scores[self._members[root]].max())

    def _unite(self, one: int, other: int) -> None:
        first, second = sorted((one, other))
        self._above[second] = first
        self._members[first] += self._members.pop(second)


def _object(views: Views, members: Sequence[int]) -> tuple[np.ndarray, np.float32, dict | None]:
    """Box, score and mask of the object whose views these are."""
    best = {int(views.tile[i]): i for i in sorted(members, key=lambda i: views.scores[i])}
    whole = [i for i in best.values() if views.is_whole(i, members)]
    masks = [views.mask(i, views.whole) for i in whole or members] if views.has_masks else []
    if whole:
        weights = views.scores[whole].astype(np.float64)
        box = (views.boxes[whole] * weights[:, None]).sum(axis=0) / weights.sum()
        mask = voted(masks, weights.tolist()) if len(masks) > 1 else masks[0] if masks else None
    else:
        boxes = views.boxes[members]
        box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        mask = united(masks) if masks else None
    return box, _score(views, box, best), mask


def _score(views: Views, box: np.ndarray, best: dict[int, int]) -> np.float32:
    """The mean over the tiles that see half of a box or more, or have a view of it, each with the fourth power of the
    share that it sees; the best score where no tile sees half. best: the best view in each tile.
    """
    shares = views.shares(box)
    if shares.max() < HALF:
        return views.scores[list(best.values())].max()
    scores = np.zeros(len(shares))
    scores[list(best)] = views.scores[list(best.values())]
    weights = np.where((shares >= HALF) | (scores > 0), shares**POWER, 0)
    return np.float32((weights * scores).sum() / weights.sum())
