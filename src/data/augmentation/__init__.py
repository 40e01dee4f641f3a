"""Augmentations of training samples, of all tasks.

A new one is a class (see `transform.Transform`), a line in `AUGMENTATIONS` and its keys. Its `draw` reads the keys and
gives None where there is nothing to do:

    class RandomInversion(Transform):
        @classmethod
        def draw(cls, cfg, size, rng):
            return cls() if rng.rand() < cfg.invert_ratio else None

        def image(self, image):
            return 255 - image

It draws from a stream of its own, which its name leads to: switching it on changes no other's choices.

What makes one sample of several images is a class (see `combination.Combination`), a line in `COMBINATIONS`, its keys.
"""

from collections.abc import Callable

import numpy as np

from ...config import Config
from ..streams import SampleStreams
from .aerial import QuarterTurns, VerticalFlip
from .combination import Combination
from .copy_paste import CopyPaste
from .erasing import RandomErasing
from .mosaic import Mosaic
from .photometric import PhotometricDistortion
from .scene import Scene
from .transform import Chain, OnRgb, Size, Transform

# They act in this order on RGB images, after the task's own changes, at the size of the network's input, which they
# keep; those with `on_original` act before them, on the image as its file has it, and may change its size.
AUGMENTATIONS: dict[str, type[Transform]] = {
    "photometric_distortion": PhotometricDistortion,
    "rotate90": QuarterTurns,
    "vertical_flip": VerticalFlip,
    "random_erasing": RandomErasing,
}
# In this order, for detection: those with `on_original` before every change of an image, the others after all.
COMBINATIONS: dict[str, type[Combination]] = {"mosaic": Mosaic, "copy_paste": CopyPaste}


def draw_transforms(
    own: Callable[[Size, np.random.RandomState], Chain], cfg: Config, size: Size, streams: SampleStreams, bgr: bool
) -> Chain:
    """All changes of one sample whose image has this size.

    own(size, stream): the task's own, from the shared stream. bgr: whether the image comes in BGR order.
    """
    first = _draw_added(cfg, size, streams, bgr, on_original=True)
    size = first.new_size(size)
    middle = own(size, streams.shared)
    return Chain((first, middle, _draw_added(cfg, middle.new_size(size), streams, bgr, on_original=False)))


def combine_scenes(
    scene: Scene,
    cfg: Config,
    streams: SampleStreams,
    count: int,
    partner: Callable[[int, SampleStreams], Scene],
    on_original: bool,
) -> Scene:
    """The sample's scene with others of its data set, of `count` entries, in it, as far as that is switched on.

    partner(entry, streams): the scene of an entry, as it is to go in. on_original: whose turn it is.
    """
    for name, kind in COMBINATIONS.items():
        if kind.on_original != on_original:
            continue
        rng = streams.of(name)
        step = kind.draw(cfg, scene.size, rng)
        if step is not None:
            entries = rng.randint(count, size=step.partners)
            partners = [partner(int(entry), streams.partner(name, k)) for k, entry in enumerate(entries)]
            scene = step.combine(scene, partners, rng)
    return scene


def most_objects(cfg: Config, most: int) -> int:
    """How many objects a sample may have where no image has more than `most`."""
    found = most
    for kind in COMBINATIONS.values():
        found = kind.most_objects(cfg, found, most)
    return found


def _draw_added(cfg: Config, size: Size, streams: SampleStreams, bgr: bool, on_original: bool) -> Chain:
    steps: list[Transform] = []
    for name, kind in AUGMENTATIONS.items():
        step = kind.draw(cfg, size, streams.of(name)) if kind.on_original == on_original else None
        if step is not None:
            if not on_original and step.new_size(size) != size:
                raise ValueError(f"augmentation {name} changes the image's size, which only one with on_original may")
            steps.append(OnRgb(step) if bgr and not step.any_order else step)
            size = step.new_size(size)
    return Chain(tuple(steps))
