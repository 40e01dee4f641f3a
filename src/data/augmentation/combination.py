"""A training sample of several images."""

from collections.abc import Sequence

import numpy as np

from ...config import Config
from ..formats.index import DetectionIndex
from .scene import Scene
from .transform import Size


class Combination:
    """One way to make a scene of several. A kind of it says how many others it takes, and how one comes of all.

    partners: number of other images that it takes. on_original: whether it acts before all changes, on images as their
    files have them; otherwise it acts after them, on images at the size of the network's input.
    """

    partners: int = 1
    on_original: bool = False

    @classmethod
    def draw(cls, cfg: Config, size: Size, rng: np.random.RandomState) -> "Combination | None":
        """The combination of one sample whose image has this size; None for none. rng: a stream of its own."""
        return None

    @classmethod
    def most_objects(cls, cfg: Config, own: int, other: int) -> int:
        """How many objects there may be afterwards in a scene that has `own`, its partners `other` each."""
        return own

    @classmethod
    def check(cls, cfg: Config, dataset: DetectionIndex) -> None:
        """UserError where it is switched on and nothing can come of it with these data."""

    def combine(self, scene: Scene, partners: Sequence[Scene], rng: np.random.RandomState) -> Scene:
        """rng: the stream that it was drawn from, for choices that hang on the partners."""
        return scene
