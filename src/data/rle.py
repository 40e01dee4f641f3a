"""COCO's run-length codes by arithmetic on their runs alone: no bitmap of the image is made, however large it is.

A code goes down the columns. `edges` are the positions (column x height + row) where it switches on and off,
alternating: the object [[0, 1], [1, 1]] of 2 x 2 pixels is on from position 1 to the end, edges [1, 4].
"""

import numpy as np
from pycocotools import mask as coco_mask

from .mask_checks import rle_counts

GOES_ON = bytes(range(48 + 32, 48 + 64))  # characters of a compressed code that are not the last of their number


def encoded(edges: np.ndarray, height: int, width: int) -> dict:
    """COCO's compressed run-length code of the runs that start and end at `edges`, which do not fall."""
    touching = np.flatnonzero(edges[1:] == edges[:-1])  # a run down to the last row goes on in the next column
    if len(touching):
        edges = np.delete(edges, np.concatenate([touching, touching + 1]))
    ends = [] if len(edges) and edges[-1] == height * width else [height * width]
    bounds = np.concatenate([[0], edges, ends]).astype(np.uint32)
    code = coco_mask.frPyObjects({"size": [height, width], "counts": bounds[1:] - bounds[:-1]}, height, width)
    return {"size": [int(height), int(width)], "counts": code["counts"].decode("ascii")}


def edges_of(rle: dict) -> np.ndarray:
    """(2n,) int64: start and end of every run of ones of an RLE of either form, in order. It is taken to be sound."""
    ends = np.cumsum(rle_counts(rle["counts"]))
    edges = ends[: len(ends) // 2 * 2].reshape(-1, 2)  # after the last run of ones only zeros follow
    return edges[edges[:, 0] < edges[:, 1]].reshape(-1)


def moved(rle: dict, size: tuple[int, int], place: tuple[int, int]) -> dict:
    """The mask of a window in the frame of the whole, or of the whole in a window; what lies outside is cut off.

    size: (h, w) of the new frame; place: (top, left) of the old frame in the new one, negative to cut a window out.
    The column [1, 1] of 2 x 1 pixels at (1, 1) of 4 x 2 is on in [5, 7].
    """
    (height, width), (top, left), own = size, place, rle["size"][0]
    starts, ends = edges_of(rle).reshape(-1, 2).T
    first = starts // own
    pieces = (ends - 1) // own - first + 1  # of each run, one in each column
    run = np.repeat(np.arange(len(starts)), pieces)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low = np.clip(np.maximum(starts[run], column * own) - column * own + top, 0, height)
    high = np.clip(np.minimum(ends[run], (column + 1) * own) - column * own + top, 0, height)
    kept = (low < high) & (column + left >= 0) & (column + left < width)
    base = (column[kept] + left) * height
    return encoded(np.stack([base + low[kept], base + high[kept]], 1).reshape(-1), height, width)


def columns_alone(rle: dict, left: int, count: int) -> dict:
    """Compressed code of `count` columns from column `left` on of a mask that is empty in all others, and in these not.

    Only the first run and, where it is one of zeros, the last one become shorter, which the code has in its first and
    last number, the last as a difference: no other character changes. So an object in a large image is decoded in the
    time that its own columns take.
    """
    (height, width), code = rle["size"], rle["counts"]
    code = code.encode("ascii") if isinstance(code, str) else bytes(code)
    ends_in_zeros = len(code.translate(None, GOES_ON)) % 2  # an odd number of runs
    first = next(place for place, character in enumerate(code) if character not in GOES_ON) + 1
    code = _less(code[:first], left * height) + code[first:]
    if ends_in_zeros:
        last = len(code) - 1
        while last and code[last - 1] in GOES_ON:
            last -= 1
        code = code[:last] + _less(code[last:], (width - left - count) * height)
    return {"size": [height, count], "counts": code}


def _less(number: bytes, amount: int) -> bytes:
    """One number of a compressed code, so much lower; see `mask_checks.rle_counts`."""
    value = sum((character - 48 & 31) << 5 * place for place, character in enumerate(number)) - amount
    if number[-1] - 48 & 16:
        value -= 1 << 5 * len(number)
    code = bytearray()
    while not -16 <= value < 16:
        code.append(48 + 32 + (value & 31))
        value >>= 5
    code.append(48 + (value & 31))
    return bytes(code)


def united(rles: list[dict]) -> dict:
    """The union of masks of one size."""
    code = coco_mask.merge(rles) if len(rles) > 1 else rles[0]
    counts = code["counts"]
    return {"size": [int(side) for side in code["size"]],
            "counts": counts if isinstance(counts, str) else counts.decode("ascii")}  # fmt: skip


def voted(rles: list[dict], weights: list[float]) -> dict:
    """The pixels that masks of half the weight or more have, of masks of one size.

    Of runs [0, 4] and [2, 6] with the same weight: [0, 6]; with weights 1 and 2: [2, 6].
    """
    edges = [edges_of(rle) for rle in rles]
    signs = [weight * (1 - 2 * (np.arange(len(one)) % 2)) for one, weight in zip(edges, weights)]
    places = np.concatenate(edges)
    order = np.argsort(places, kind="stable")
    places, totals = places[order], np.cumsum(np.concatenate(signs)[order])
    last = np.ones(len(places), bool)  # of several edges at one place
    last[:-1] = places[1:] != places[:-1]
    places, is_on = places[last], totals[last] >= sum(weights) * (0.5 - 1e-9)
    changes = np.diff(is_on, prepend=False) != 0
    return encoded(places[changes], *rles[0]["size"])
