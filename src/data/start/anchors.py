"""Anchors that fit a data set's objects, where the usual ones do not."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...config import Config
from ..formats.index import ImageRecord
from ..inspection import anchor_fit
from .recipe import Choice, Choices, Wish

KEY = "rpn.anchor_generator.scales"
LEAST_GAIN = 0.1  # of the share of objects with a fitting anchor, for other anchors than the usual, or finer ones
SCALES = ([8], [4], [4, 8], [2, 4, 8])  # of anchors, in strides
FINE = ([5.7], [2.8], [2], [1.4], [1], [1, 2, 4, 8])  # half octaves and small ones, where few objects fit any of these
FEW = 0.1  # share of the objects with a fitting anchor: less is few


def anchors(own: Config, records: Sequence[ImageRecord], size: tuple[int, int], wish: Wish) -> Choices:
    """Other scales where the usual ones fit the objects badly in images of (w, h) `size`; the usual ones where weights
    of heads may be loaded, and where scales are typed. A warning where few objects have one that fits.
    """
    generator, threshold = own.rpn.anchor_generator, own.train_cfg.rpn.assigner.pos_iou_thr
    usual = tuple(generator.scales)

    def share(scales: Sequence[float]) -> float:
        best, _ = anchor_fit(records, size[::-1], replace(generator, scales=list(scales)))
        return float((best >= threshold).mean()) if len(best) else 1.0

    shares = {usual: share(usual)}
    taken = usual
    if wish.preset != "published" and KEY not in own.typed:
        best = _best(SCALES, share, shares)
        if shares[best] < FEW and shares[finest := _best(FINE, share, shares)] >= shares[best] + LEAST_GAIN:
            best = finest
        taken = best if shares[best] >= shares[usual] + LEAST_GAIN else usual
    reach = f"can reach IoU {threshold:g} with an anchor"
    words = f"{shares[taken]:.0%} of the objects {reach} at {size[0]}x{size[1]}"
    few = f"{shares[taken]:.0%} of the objects {reach}: look at their sizes and shapes" if shares[taken] < FEW else ""
    if taken == usual:
        words = f"the usual: {words}" if KEY not in own.typed else words
        return {KEY: Choice(list(usual), words, few)} if few else {}
    words = f"{words}; {shares[usual]:.0%} with the usual {', '.join(f'{one:g}' for one in usual)}"
    return {KEY: Choice(list(taken), words, few)}


def _best(some: Sequence[Sequence[float]], share: Callable, shares: dict[tuple, float]) -> tuple:
    """The scales with the largest share, of equals the first, which are fewer; all of them come into `shares`."""
    found = {tuple(scales): share(scales) for scales in some}
    shares |= found
    return max(found, key=found.get)
