"""Mixup and CutMix of a batch as timm defines them (timm/data/mixup.py, 1.0).

An image's partner is that at the same place of the batch read backwards. Everything is drawn in timm's order, so that
equal streams of random numbers give equal batches.
"""

from dataclasses import dataclass

import numpy as np

from ..config import Config

Box = tuple[slice, slice, slice]  # of (3, h, w)


@dataclass(frozen=True)
class TimmMixing:
    """mixup, cutmix: alphas, 0 where there is none; minmax: least and largest share of the sides that CutMix's boxes
    have, or none: an area of the alpha's; prob: that there is mixing at all; switch_prob: that it is CutMix, where both
    are on; mode: batch draws once for all, pair for an image and its partner together, elem for each image.
    """

    mixup: float
    cutmix: float
    minmax: tuple[float, ...] = ()
    prob: float = 1.0
    switch_prob: float = 0.5
    mode: str = "batch"

    @classmethod
    def from_config(cls, cfg: Config) -> "TimmMixing | None":
        """None where nothing is mixed, or otherwise than timm does."""
        if cfg.mixup_mode == "permuted" or not (cfg.mixup or cfg.cutmix or cfg.cutmix_minmax):
            return None
        cutmix = 1.0 if cfg.cutmix_minmax else cfg.cutmix
        minmax = tuple(cfg.cutmix_minmax)
        return cls(cfg.mixup, cutmix, minmax, cfg.mixup_prob, cfg.mixup_switch_prob, cfg.mixup_mode)

    def mix(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(B, 3, H, W) float32, B even -> the same mixed, the partners' labels, the own label's share (B,) float32."""
        count = len(images)
        if self.mode == "batch":
            images, share = self._as_one(images, rng)
            return images, labels[::-1].copy(), np.full(count, share, np.float32)
        drawn = count if self.mode == "elem" else count // 2
        shares, are_cut = self._draw_each(drawn, rng)
        mixed = images.copy()
        for k in range(drawn):
            if shares[k] == 1:
                continue
            box = None
            if are_cut[k]:
                box, shares[k] = self._box(images.shape[2:], shares[k], rng)
            for place in (k, count - 1 - k)[: 1 if self.mode == "elem" else 2]:
                own, other = images[place], images[count - 1 - place]
                if box is None:
                    mixed[place] = own * shares[k] + other * (1 - shares[k])
                else:
                    mixed[place][box] = other[box]
        if self.mode == "pair":
            shares = np.concatenate((shares, shares[::-1]))
        return mixed, labels[::-1].copy(), shares

    def _as_one(self, images: np.ndarray, rng: np.random.RandomState) -> tuple[np.ndarray, float]:
        share, is_cut = self._draw_once(rng)
        if share == 1:
            return images, 1.0
        if not is_cut:
            return np.float32(share) * images + np.float32(1 - share) * images[::-1], share
        box, share = self._box(images.shape[2:], share, rng)
        mixed = images.copy()
        mixed[(slice(None), *box)] = images[::-1][(slice(None), *box)]
        return mixed, share

    def _draw_once(self, rng: np.random.RandomState) -> tuple[float, bool]:
        """The own image's share, and whether it is CutMix's."""
        if not rng.rand() < self.prob:
            return 1.0, False
        is_cut = rng.rand() < self.switch_prob if self.mixup and self.cutmix else not self.mixup
        alpha = self.cutmix if is_cut else self.mixup
        return float(rng.beta(alpha, alpha)), is_cut

    def _draw_each(self, count: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """The same `count` times, (count,) float32 and bool."""
        if self.mixup and self.cutmix:
            are_cut = rng.rand(count) < self.switch_prob
            of_cutmix, of_mixup = (rng.beta(alpha, alpha, size=count) for alpha in (self.cutmix, self.mixup))
            shares = np.where(are_cut, of_cutmix, of_mixup)
        else:
            alpha = self.mixup or self.cutmix
            are_cut, shares = np.full(count, not self.mixup), rng.beta(alpha, alpha, size=count)
        is_mixed = rng.rand(count) < self.prob
        return np.where(is_mixed, shares.astype(np.float32), np.float32(1)), are_cut

    def _box(self, size: tuple[int, int], share: float, rng: np.random.RandomState) -> tuple[Box, float]:
        """What of an (h, w) image is the partner's, and the exact share of the rest."""
        if self.minmax:
            sides = [rng.randint(int(side * self.minmax[0]), int(side * self.minmax[1])) for side in size]
            starts = [rng.randint(0, whole - side + 1) for whole, side in zip(size, sides)]
            ends = [start + side for start, side in zip(starts, sides)]
        else:
            ratio = np.sqrt(1 - share)
            sides = [int(whole * ratio) for whole in size]
            centres = [rng.randint(0, whole) for whole in size]
            starts = [max(centre - side // 2, 0) for centre, side in zip(centres, sides)]
            ends = [min(centre + (side + 1) // 2, whole) for centre, side, whole in zip(centres, sides, size)]
        area = (ends[0] - starts[0]) * (ends[1] - starts[1])
        box = slice(None), slice(starts[0], ends[0]), slice(starts[1], ends[1])
        return box, 1.0 - area / float(size[0] * size[1])
